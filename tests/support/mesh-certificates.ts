// An authority and certificates of nodes, made with openssl for a test file.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { MeshIdentity } from '../../transport/mesh/socket.ts';

export interface TestAuthority {
  /** A certificate for a node of this name. */
  identity(name: string): MeshIdentity;
  close(): void;
}

export function testAuthority(): TestAuthority {
  const directory = mkdtempSync(join(tmpdir(), `troupe-mesh-${process.pid}-`));
  const at = (name: string) => join(directory, name);
  const openssl = (...words: string[]) => execFileSync('openssl', words, { stdio: 'ignore' });
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'];
  openssl('req', '-x509', ...key, '-keyout', at('ca.key'), '-out', at('ca.pem'), '-subj', '/CN=ca');
  writeFileSync(at('extensions'), 'extendedKeyUsage=serverAuth,clientAuth\n');
  const read = (name: string) => readFileSync(at(name), 'utf8');
  return {
    identity(name) {
      openssl('req', ...key, '-keyout', at('key'), '-out', at('csr'), '-subj', `/CN=${name}`);
      const signer = ['-CA', at('ca.pem'), '-CAkey', at('ca.key'), '-CAcreateserial'];
      const extensions = ['-extfile', at('extensions')];
      openssl(
        'x509',
        '-req',
        '-in',
        at('csr'),
        ...signer,
        ...extensions,
        '-out',
        at('certificate'),
      );
      return { ca: read('ca.pem'), certificate: read('certificate'), key: read('key') };
    },
    close: () => rmSync(directory, { recursive: true, force: true }),
  };
}
