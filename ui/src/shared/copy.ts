// Puts text on the clipboard.
import { toast } from './toast';

/** Copies, and says whether it worked. */
export async function copy(text: string): Promise<void> {
  try {
    await navigator.clipboard.writeText(text);
    toast('Copied.');
  } catch {
    // Without TLS browsers have no clipboard; a selection always works.
    const area = document.createElement('textarea');
    area.value = text;
    document.body.append(area);
    area.select();
    const isCopied = document.execCommand('copy');
    area.remove();
    toast(isCopied ? 'Copied.' : 'The browser does not allow copying.', !isCopied);
  }
}
