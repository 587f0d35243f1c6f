// Where a machine keeps what makes it part of a cluster: certificates below its data directory.
//
// F1  Keys never leave the directory (0700, files 0600), but for this node's, which QEMU is given in the run directory
//     alike. The authorities' keys are on the machine that made the cluster only; the others have certificates.
import { X509Certificate } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { TroupeError } from '../../actors/kernel/errors.ts';
import type { Config } from '../config.ts';
import type { MeshIdentity } from '../../transport/mesh/socket.ts';

export interface ClusterFiles {
  readonly directory: string;
  /** Signs the certificates of nodes. PEM. */
  readonly authority: string;
  readonly authorityKey: string;
  /** Signs invitations, and nothing that etcd or a peer would accept. PEM. */
  readonly inviter: string;
  readonly inviterKey: string;
  /** This node's. PEM. */
  readonly certificate: string;
  readonly key: string;
}

export function clusterFiles(dataDir: string): ClusterFiles {
  return filesIn(join(dataDir, 'cluster'));
}

export function filesIn(directory: string): ClusterFiles {
  const file = (name: string) => join(directory, name);
  return {
    directory,
    authority: file('authority.pem'),
    authorityKey: file('authority-key.pem'),
    inviter: file('inviter.pem'),
    inviterKey: file('inviter-key.pem'),
    certificate: file('node.pem'),
    key: file('node-key.pem'),
  };
}

/** Whether the machine belongs to a cluster already. */
export function isInCluster(dataDir: string): boolean {
  return existsSync(clusterFiles(dataDir).directory);
}

/** What this node shows its peers. Error: `config/invalid` when the machine is in no cluster yet, or under another name. */
export function readIdentity({ dataDir, node }: Pick<Config, 'dataDir' | 'node'>): MeshIdentity {
  const identity = readFiles(dataDir);
  const { subject } = new X509Certificate(identity.certificate);
  if (subject === `CN=${node}`) return identity;
  const message = `setting node: this machine is in its cluster as ${subject.slice(3)}, found ${node}; start with --node ${subject.slice(3)}`;
  throw new TroupeError('config/invalid', message, { setting: 'node' });
}

/** SPKI, PEM: that of its certificate. */
export function publicKeyOf({ certificate }: MeshIdentity): string {
  const { publicKey } = new X509Certificate(certificate);
  return publicKey.export({ type: 'spki', format: 'pem' }).toString();
}

function readFiles(dataDir: string): MeshIdentity {
  const { authority, certificate, key } = clusterFiles(dataDir);
  try {
    return {
      ca: readFileSync(authority, 'utf8'),
      certificate: readFileSync(certificate, 'utf8'),
      key: readFileSync(key, 'utf8'),
    };
  } catch (cause) {
    const message = `setting mesh-address is set, and ${certificate} is missing: run \`troupe cluster init\` on the first machine, \`troupe node join\` on the others`;
    throw new TroupeError('config/invalid', message, { setting: 'mesh-address' }, cause);
  }
}
