// Certificates of nodes as a cluster gives them, good for 127.0.0.1: QEMU checks more of them than the mesh does.
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { certifyNode, makeAuthority } from '../../src/cluster/authority.ts';
import type { MeshIdentity } from '../../transport/mesh/socket.ts';

/** An authority with its files in the directory; resolves to what certifies a node of a name. */
export async function nodeAuthority(
  dir: string,
  authority = 'nodes',
): Promise<(name: string) => Promise<MeshIdentity>> {
  const file = (name: string) => join(dir, `${authority}-${name}`);
  const signer = { key: file('ca-key.pem'), certificate: file('ca.pem') };
  await makeAuthority(signer, authority, 'test');
  const openssl = (...words: string[]) =>
    execFileSync('openssl', words, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });
  return async (name) => {
    const key = file(`${name}.key`);
    const kind = ['-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:P-256'];
    openssl('genpkey', ...kind, '-out', key);
    const publicKey = openssl('pkey', '-in', key, '-pubout');
    const certificate = await certifyNode(signer, { publicKey, name }, '127.0.0.1', 'test');
    const ca = readFileSync(signer.certificate, 'utf8');
    return { ca, certificate, key: readFileSync(key, 'utf8') };
  };
}
