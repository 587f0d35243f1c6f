// A thread that reads all that a TLS server sends, and how long that took: the floor of tests/bench/blob-transfer.bench.ts.
// With a path it writes what comes there, for good.
import { closeSync, fdatasyncSync, openSync, writeSync } from 'node:fs';
import { connect } from 'node:tls';
import { parentPort, workerData } from 'node:worker_threads';
import type { MeshIdentity } from '../../transport/mesh/socket.ts';

interface Wish {
  readonly port: number;
  readonly identity: MeshIdentity;
  readonly path?: string;
}

const { port, identity, path } = workerData as Wish;
const { ca, certificate: cert, key } = identity;
const begun = performance.now();
const socket = connect({
  port,
  host: '127.0.0.1',
  ca,
  cert,
  key,
  checkServerIdentity: () => undefined,
});
const fd = path === undefined ? undefined : openSync(path, 'w');
let bytes = 0;
socket.on('data', (piece: Buffer) => {
  bytes += piece.length;
  if (fd !== undefined) writeSync(fd, piece);
});
socket.on('close', () => {
  if (fd !== undefined) {
    fdatasyncSync(fd);
    closeSync(fd);
  }
  parentPort?.postMessage({ bytes, ms: performance.now() - begun });
});
