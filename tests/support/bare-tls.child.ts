// A thread that reads all that a TLS server sends, and how long that took: the floor of tests/bench/blob-transfer.bench.ts.
import { connect } from 'node:tls';
import { parentPort, workerData } from 'node:worker_threads';
import type { MeshIdentity } from '../../transport/mesh/socket.ts';

const { port, identity } = workerData as { port: number; identity: MeshIdentity };
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
let bytes = 0;
socket.on('data', (piece: Buffer) => (bytes += piece.length));
socket.on('close', () => parentPort?.postMessage({ bytes, ms: performance.now() - begun }));
