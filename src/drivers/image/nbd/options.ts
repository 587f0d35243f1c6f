// What qemu-storage-daemon is told, as words of its command line. Nodes in JSON, so that no character of a path means
// anything to its option parser.
import { createHash } from 'node:crypto';

/** Where a replica's bytes come from. */
export type ByteSource =
  | { readonly kind: 'file'; readonly path: string }
  | { readonly kind: 'peer'; readonly host: string; readonly port: number };

/** The one export of each process. */
export const EXPORT = 'replica';
/** A guest that waits for longer has long been given up by its own kernel. */
const RECONNECT_SECONDS = 3600;
/** For a peer that is named although it is not there. */
const OPEN_SECONDS = 3;
const MOST_CLIENTS = 64;

/** Short, and fit for a file's name. */
export function tagOf(blobId: string): string {
  return createHash('sha256').update(blobId).digest('hex').slice(0, 12);
}

/** What an overlay's header says of a base that is served on this socket; understood by QEMU and libvirt. */
export function baseUri(socket: string): string {
  return `nbd+unix:///${EXPORT}?socket=${socket}`;
}

/** Serves the bytes of the file to members of the cluster. */
export function exportWords(path: string, at: { host: string; port: number }, tlsDir: string) {
  const server = `addr.type=inet,addr.host=${at.host},addr.port=${at.port}`;
  return [
    '--object',
    `tls-creds-x509,id=tls,endpoint=server,dir=${tlsDir},verify-peer=on`,
    '--nbd-server',
    `${server},tls-creds=tls,max-connections=${MOST_CLIENTS}`,
    ...blockdev(fileNode('bytes', path)),
    ...exported('bytes'),
  ];
}

/** Serves the disk in the qcow2 image whose bytes come from `source`. */
export function readerWords(source: ByteSource, socket: string, tlsDir: string): string[] {
  const credentials = `tls-creds-x509,id=tls,endpoint=client,dir=${tlsDir},verify-peer=on`;
  const disk = { driver: 'qcow2', 'node-name': 'disk', file: 'bytes', 'read-only': true };
  return [
    ...(source.kind === 'peer' ? ['--object', credentials] : []),
    ...unixServer(socket),
    ...blockdev(source.kind === 'peer' ? peerNode(source) : fileNode('bytes', source.path)),
    ...blockdev(disk),
    ...exported('disk'),
  ];
}

/** Passes on what is served on another socket, and waits while nobody serves there. */
export function frontWords(from: string, socket: string): string[] {
  const server = { type: 'unix', path: from };
  return [
    ...unixServer(socket),
    ...blockdev({ ...nbdNode, 'node-name': 'disk', server, 'open-timeout': OPEN_SECONDS }),
    ...exported('disk'),
  ];
}

const nbdNode = {
  driver: 'nbd',
  export: EXPORT,
  'read-only': true,
  'reconnect-delay': RECONNECT_SECONDS,
};

function peerNode({ host, port }: { host: string; port: number }) {
  const server = { type: 'inet', host, port: String(port) };
  return { ...nbdNode, 'node-name': 'bytes', server, 'tls-creds': 'tls' };
}

/** Not locked: a replica is never written. */
function fileNode(name: string, filename: string) {
  return { driver: 'file', 'node-name': name, filename, 'read-only': true, locking: 'off' };
}

function blockdev(node: object): string[] {
  return ['--blockdev', JSON.stringify(node)];
}

function unixServer(path: string): string[] {
  return ['--nbd-server', `addr.type=unix,addr.path=${path},max-connections=${MOST_CLIENTS}`];
}

function exported(node: string): string[] {
  return ['--export', `type=nbd,id=out,node-name=${node},name=${EXPORT}`];
}
