// Containers as Docker's json-file driver leaves them on disk.
import { appendFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** The driver splits lines that are longer. */
const PIECE_BYTES = 16 * 1024;

/** A folder of containers, for LOG_SOURCES. */
export function dockerFolder() {
  const folder = mkdtempSync(join(tmpdir(), 'monlight-docker-'));
  let made = 0;
  return {
    folder,
    remove: () => rmSync(folder, { recursive: true, force: true }),
    container(name) {
      const id = String(++made).padStart(64, '0');
      const home = join(folder, id);
      const log = join(home, `${id}-json.log`);
      mkdirSync(home);
      writeFileSync(log, '');
      const host = { LogConfig: { Type: 'json-file', Config: {} } };
      writeFileSync(join(home, 'hostconfig.json'), JSON.stringify(host));
      const config = { ID: id, Name: `/${name}`, Created: new Date(0).toISOString(), LogPath: log, State: { Running: true } };
      writeFileSync(join(home, 'config.v2.json'), JSON.stringify(config));
      return {
        /** Prints lines, each at its time (now when not given). */
        print(lines, { stream = 'stdout', time = () => new Date() } = {}) {
          const records = lines.flatMap((line, number) => {
            const at = time(number).toISOString();
            const pieces = [];
            const text = `${line}\n`;
            for (let start = 0; start < text.length; start += PIECE_BYTES) pieces.push(text.slice(start, start + PIECE_BYTES));
            return pieces.map((log) => JSON.stringify({ log, stream, time: at }));
          });
          appendFileSync(log, `${records.join('\n')}\n`);
        },
        /** Prints a line of these bytes, which need not be text. */
        printBytes(bytes) {
          const [before, behind] = JSON.stringify({ log: '|\n', stream: 'stdout', time: new Date().toISOString() }).split('|');
          appendFileSync(log, Buffer.concat([Buffer.from(before), bytes, Buffer.from(`${behind}\n`)]));
        },
      };
    },
  };
}
