// What lets a new machine into the cluster: the text that `troupe node invite` prints and `troupe node join` takes.
//
// V1  It holds everything that the two sides need to trust each other: the cluster's authority, and a certificate
//     with its key that the cluster takes for one admission. Whoever reads it can join: it is a secret until used.
import { createPrivateKey, generateKeyPairSync, randomBytes, X509Certificate } from 'node:crypto';
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { TroupeError } from '../../actors/kernel/errors.ts';
import type { PeerAddress } from '../../transport/mesh/socket.ts';
import { certifyGuest } from './authority.ts';
import type { ClusterFiles } from './files.ts';
import { NODE_NAME } from './join-messages.ts';

/** Begins the common name of an invitation's certificate; no node's name has a colon. */
export const GUEST_PREFIX = 'guest:';
const FORMAT = 'troupe1';

export interface Invitation {
  /** The mesh of the node that admits. */
  readonly address: PeerAddress;
  /** PEM. */
  readonly authority: string;
  readonly certificate: string;
  readonly key: string;
}

export interface Terms {
  /** Where the mesh of this node is reached. */
  readonly address: PeerAddress;
  /** How long it is good. */
  readonly days: number;
  /** The node that it is for, whose name it may give again; null: any that is new. */
  readonly node: string | null;
}

/** Errors: `config/invalid` on a machine without the authorities' keys. */
export async function invite(
  files: ClusterFiles,
  { address, days, node }: Terms,
  trace: string,
): Promise<string> {
  const { publicKey, privateKey } = generateKeyPairSync('ed25519');
  const subject = {
    publicKey: publicKey.export({ type: 'spki', format: 'pem' }).toString(),
    name: guestName(node),
  };
  const signer = { certificate: files.inviter, key: files.inviterKey };
  if (!existsSync(signer.key)) throw notHere(files);
  const authority = await readFile(files.authority, 'utf8');
  const certificate = await certifyGuest(signer, subject, days, trace);
  const key = privateKey.export({ type: 'pkcs8', format: 'der' }).toString('base64url');
  return [FORMAT, address.host, address.port, derOf(authority), derOf(certificate), key].join(',');
}

/** Error: `config/invalid` for what is no invitation. */
export function readInvitation(text: string): Invitation {
  const [format, host = '', port, authority, certificate, key] = text.trim().split(',');
  try {
    if (format !== FORMAT || host === '' || !(Number(port) > 0)) throw new Error('its form');
    const der = Buffer.from(key ?? '', 'base64url');
    const privateKey = createPrivateKey({ key: der, type: 'pkcs8', format: 'der' });
    return {
      address: { host, port: Number(port) },
      authority: pemOf(authority),
      certificate: pemOf(certificate),
      key: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
    };
  } catch (cause) {
    const message =
      'this is no invitation, or a part of one: give all of what `troupe node invite` printed, in one line';
    throw new TroupeError('config/invalid', message, {}, cause);
  }
}

/** A common name holds 64 characters. Error: `config/invalid` for a name that does not fit in, or that no node can have. */
function guestName(node: string | null): string {
  if (node !== null && !NODE_NAME.test(node)) {
    const expected = 'expected a name of up to 63 lower case letters, digits and inner hyphens';
    throw new TroupeError('config/invalid', `name of a node: ${expected}, found ${node}`);
  }
  const name = [
    GUEST_PREFIX,
    randomBytes(6).toString('base64url'),
    node === null ? '' : `:${node}`,
  ];
  if (name.join('').length <= 64) return name.join('');
  const message = `${node} is too long a name to be given again; join under a new one`;
  throw new TroupeError('config/invalid', message);
}

function notHere({ inviterKey }: ClusterFiles): TroupeError {
  const message = `${inviterKey} is missing: invitations are made on the machine where \`troupe cluster init\` was run`;
  return new TroupeError('config/invalid', message);
}

function derOf(pem: string): string {
  return new X509Certificate(pem).raw.toString('base64url');
}

function pemOf(der: string | undefined): string {
  return new X509Certificate(Buffer.from(der ?? '', 'base64url')).toString();
}
