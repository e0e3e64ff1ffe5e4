// A command to try in a shell.
import { copy } from './copy';

/** Shows it, and copies it. */
export function Command({ text }: { text: string }) {
  return (
    <>
      <pre tabIndex={0}>{text}</pre>
      <button onClick={() => void copy(text)}>Copy</button>
    </>
  );
}
