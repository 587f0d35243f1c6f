// The door: gives a certificate and the cluster's settings to a machine that bears an invitation.
//
// D1  Who gets here has proved by TLS that it bears an invitation; nothing of others is read.
// D2  An invitation admits one node, and a node's name is given once. Both are recorded in the store before anything
//     is signed. The same machine may ask again: its first answer may have been lost. It proves that it has the private
//     key: anybody can learn the public one, and the answer may hold the key to an etcd.
// D3  An invitation for a named node gives that name again: the machine was made anew, or the node was removed. From then
//     on the one that had it before is a stranger (transport/sharding/admission.ts).
import { createPublicKey } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { randomUUID } from 'node:crypto';
import { codeOf, CODES, reasonOf, TroupeError } from '../../actors/kernel/errors.ts';
import type { Log } from '../../actors/kernel/ports.ts';
import {
  admissionKey,
  decodeAdmission,
  encodeAdmission,
  keyDigest,
} from '../../transport/sharding/admission.ts';
import type { Keys } from '../../transport/store/keys.ts';
import type { Compare, Entry, Store } from '../../transport/store/store.ts';
import { certifyNode } from './authority.ts';
import type { ClusterFiles } from './files.ts';
import { GUEST_PREFIX } from './invitation.ts';
import { claimOf, decodeApplication, type Admitted, type Application } from './join-messages.ts';
import { isSignedBy } from './key-pair.ts';

const MAX_BODY_BYTES = 16 * 1024;

export interface AdmissionOptions {
  readonly files: ClusterFiles;
  readonly store: Store;
  readonly keys: Keys;
  /** What every node of the cluster needs to know. */
  readonly shared: Omit<Admitted, 'certificate'>;
  readonly log: Log;
}

/** Answers the requests of bearers of invitations; `guest` is the common name that TLS proved. */
export function admission(
  options: AdmissionOptions,
): (guest: string, request: IncomingMessage, response: ServerResponse) => void {
  return (guest, request, response) => {
    admit(options, guest, request).then(
      (admitted) => answer(response, 200, admitted),
      (error: unknown) => {
        const { code, message } = { code: codeOf(error), message: reasonOf(error) };
        options.log('warn', 'a machine was not admitted', { guest, reason: message });
        answer(response, CODES[code].http, { code, message });
      },
    );
  };
}

async function admit(
  options: AdmissionOptions,
  guest: string,
  request: IncomingMessage,
): Promise<Admitted> {
  const { files, shared, log } = options;
  if (request.method !== 'POST' || request.url !== '/join') {
    throw new TroupeError('api/not-found', 'an invitation is good for POST /join only');
  }
  const application = decodeApplication(await bodyOf(request));
  const publicKey = readPublicKey(application.publicKey);
  if (!isSignedBy(publicKey, claimOf(guest, application), application.proof)) {
    throw new TroupeError('api/forbidden', 'proof is no signature by the key of publicKey');
  }
  await record(options, guest, application, publicKey);
  const signer = { certificate: files.authority, key: files.authorityKey };
  const subject = { publicKey, name: application.node };
  const certificate = await certifyNode(signer, subject, application.address, randomUUID());
  log('info', 'a node was admitted', { admitted: application.node, guest });
  return { ...shared, certificate };
}

/** D2, D3. Errors: `api/forbidden`, `store/*`. */
async function record(
  { store, keys }: AdmissionOptions,
  guest: string,
  { node }: Application,
  publicKey: string,
): Promise<void> {
  const [, id = '', wantedNode] = guest.split(':');
  if (wantedNode !== undefined && wantedNode !== node) {
    const message = `this invitation is for ${wantedNode}; join with --node ${wantedNode}, or make another`;
    throw new TroupeError('api/forbidden', message);
  }
  const key = keyDigest(publicKey);
  const used = keys.alloc('invitation', id);
  const name = admissionKey(keys, node);
  const value = encodeAdmission({ node, key, isRemoved: false });
  const isFree = (absent: string): Compare => ({
    target: 'create',
    key: absent,
    is: '==',
    than: 0,
  });
  const put = (at: string) => ({ op: 'put', key: at, value }) as const;
  const compare = wantedNode === undefined ? [isFree(used), isFree(name)] : [isFree(used)];
  const { succeeded } = await store.txn({ compare, then: [put(used), put(name)] });
  if (succeeded) return;
  const [byInvitation, byName] = [await store.get(used), await store.get(name)];
  if (isSame(byInvitation, key) && isSame(byName, key)) return;
  const message =
    byInvitation === null
      ? `there is, or was, a node called ${node}: join with another name (--node), or, when this machine takes its place, with an invitation for it (\`troupe node invite --for ${node}\`)`
      : 'this invitation was used already; make another with `troupe node invite`';
  throw new TroupeError('api/forbidden', message);
}

function isSame(entry: Entry | null, key: string): boolean {
  const record = entry === null ? null : decodeAdmission(entry.value);
  return record !== null && !record.isRemoved && record.key === key;
}

function readPublicKey(pem: string): string {
  try {
    return createPublicKey(pem).export({ type: 'spki', format: 'pem' }).toString();
  } catch (cause) {
    throw new TroupeError('api/bad-request', 'publicKey is no public key (PEM)', {}, cause);
  }
}

async function bodyOf(request: IncomingMessage): Promise<unknown> {
  let text = '';
  for await (const chunk of request) {
    text += String(chunk);
    if (text.length > MAX_BODY_BYTES) throw new TroupeError('api/too-large', 'too large a body');
  }
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new TroupeError('api/bad-request', 'the body is not JSON', {}, cause);
  }
}

function answer(response: ServerResponse, status: number, body: unknown): void {
  response.on('error', () => response.destroy());
  response.writeHead(status, { 'content-type': 'application/json', connection: 'close' });
  response.end(JSON.stringify(body));
}

/** Whether a common name is that of an invitation. */
export function isGuest(name: string): boolean {
  return name.startsWith(GUEST_PREFIX);
}
