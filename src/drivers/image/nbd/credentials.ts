// The node's certificate under the names that QEMU looks for.
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** PEM. */
export interface Certified {
  readonly ca: string;
  readonly certificate: string;
  readonly key: string;
}

/** The directory that holds them; written anew at each start of the daemon. */
export function writeCredentials(dir: string, { ca, certificate, key }: Certified): string {
  const tls = join(dir, 'tls');
  mkdirSync(tls, { recursive: true, mode: 0o700 });
  const write = (name: string, text: string) =>
    writeFileSync(join(tls, name), text, { mode: 0o600 });
  write('ca-cert.pem', ca);
  for (const side of ['server', 'client']) {
    write(`${side}-cert.pem`, certificate);
    write(`${side}-key.pem`, key);
  }
  return tls;
}
