// Nodes that hold blobs in memory and serve them over real sockets, and what fetches from them.
import { createHash, hash } from 'node:crypto';
import { systemClock } from '../../actors/kernel/clock.ts';
import { TroupeError } from '../../actors/kernel/errors.ts';
import {
  DEFAULT_TIMING,
  fetchBlob,
  type ChunkSink,
  type FetchOptions,
} from '../../transport/blobs/fetch.ts';
import { CHUNK_BYTES, chunkCount, chunkLength } from '../../transport/blobs/frame.ts';
import type { BlobHolder, HeldBlob, PartlyHere } from '../../transport/blobs/serving.ts';
import { blobDialler, BLOBS_PATH, BlobServer } from '../../transport/blobs/socket.ts';
import type { WantedBlob } from '../../transport/blobs/source.ts';
import type { MeshIdentity } from '../../transport/mesh/socket.ts';
import type { MeshCluster, MeshNode } from './mesh-lab.ts';

/** Impatient, so that a test of patience takes no time; never asserted on. */
export const QUICK_TIMING = { greetingMs: 2_000, stallMs: 300, retryDelayMs: 5 };

/** Bytes that differ from chunk to chunk. */
export function sampleBytes(sizeBytes: number): Buffer {
  const bytes = Buffer.alloc(sizeBytes);
  for (let index = 0; index < chunkCount(sizeBytes); index++) {
    const at = index * CHUNK_BYTES;
    bytes.fill(`chunk ${index} `, at, at + chunkLength(sizeBytes, index));
  }
  return bytes;
}

export function wantedOf(bytes: Buffer, blobId = 'blob-1'): WantedBlob {
  const sha512 = createHash('sha512').update(bytes).digest('hex');
  return { blobId, sizeBytes: bytes.length, sha512 };
}

/** The same, with the hash of its list of digests. */
export function listedOf(bytes: Buffer, blobId = 'blob-1'): WantedBlob {
  const chunksSha256 = hash('sha256', Buffer.concat(digestsOf(bytes)));
  return { ...wantedOf(bytes, blobId), chunksSha256 };
}

function digestsOf(bytes: Buffer): Buffer[] {
  return Array.from({ length: chunkCount(bytes.length) }, (_, index) => {
    const at = index * CHUNK_BYTES;
    return hash('sha256', bytes.subarray(at, at + CHUNK_BYTES), 'buffer');
  });
}

/** A blob in memory. `onRead` may spoil what is about to be sent, wait, or throw. */
export class MemoryHolder implements BlobHolder {
  readonly blobs = new Map<string, Buffer>();
  /** The chunks that are here, of a blob of which not all are. */
  readonly parts = new Map<string, Set<number>>();
  /** The digests of all chunks of those are here. */
  isListed = false;
  readonly takers: string[] = [];
  /** Chunks of which the first byte was read, in order. */
  readonly served: number[] = [];
  openCount = 0;
  onRead: (index: number, into: Uint8Array) => Promise<void> | void = () => {};

  open(blobId: string): Promise<HeldBlob> {
    const bytes = this.blobs.get(blobId);
    if (bytes === undefined) {
      return Promise.reject(new TroupeError('image/missing', 'there is no such replica here'));
    }
    this.openCount++;
    const digests = digestsOf(bytes);
    const part = this.parts.get(blobId);
    return Promise.resolve({
      ...(part === undefined ? {} : { partly: this.#partly(part) }),
      sizeBytes: bytes.length,
      sha512: createHash('sha512').update(bytes).digest('hex'),
      digestOf: (index) => digests[index] ?? Buffer.alloc(32),
      read: async (into, position) => {
        if (position % CHUNK_BYTES === 0) this.served.push(position / CHUNK_BYTES);
        into.set(bytes.subarray(position, position + into.length));
        await this.onRead(Math.floor(position / CHUNK_BYTES), into);
      },
      close: () => {
        this.openCount--;
        return Promise.resolve();
      },
    });
  }

  #partly(part: ReadonlySet<number>): PartlyHere {
    const isListed = () => this.isListed;
    return {
      get count() {
        return part.size;
      },
      get isListed() {
        return isListed();
      },
      has: (index) => part.has(index),
      takenBy: (node) => void this.takers.push(node),
    };
  }
}

export interface BlobNode {
  readonly name: string;
  readonly holder: MemoryHolder;
  readonly server: BlobServer;
  readonly node: MeshNode;
}

/** A node of the cluster that holds these blobs. */
export async function blobNode(
  cluster: MeshCluster,
  name: string,
  blobs: Record<string, Buffer> = {},
): Promise<BlobNode> {
  const holder = new MemoryHolder();
  for (const [id, bytes] of Object.entries(blobs)) holder.blobs.set(id, bytes);
  const self = { cluster: 'lab', node: name };
  const server = new BlobServer({ self, holder, clock: systemClock, log: () => {} });
  const node = await cluster.start(name, { doors: new Map([[BLOBS_PATH, server.door]]) });
  return { name, holder, server, node };
}

/** Chunks in memory. */
export class MemorySink implements ChunkSink {
  readonly bytes: Buffer;
  readonly here = new Set<number>();
  onWrite: () => void = () => {};

  constructor(sizeBytes: number) {
    this.bytes = Buffer.alloc(sizeBytes);
  }

  missing(): readonly number[] {
    const all = Array.from({ length: chunkCount(this.bytes.length) }, (_, index) => index);
    return all.filter((index) => !this.here.has(index));
  }

  write(position: number, bytes: Uint8Array): void {
    this.onWrite();
    this.bytes.set(bytes, position);
  }

  verified(index: number): void {
    if (this.here.has(index)) throw new Error(`chunk ${index} came twice`);
    this.here.add(index);
  }
}

export interface Fetcher {
  readonly notices: string[];
  readonly sink: MemorySink;
  readonly fetch: (nodes: readonly string[], changes?: Partial<FetchOptions>) => Promise<void>;
}

/** Fetches into one sink, as the node `name`. */
export function fetcher(
  cluster: MeshCluster,
  identity: MeshIdentity,
  blob: WantedBlob,
  name = 'taker',
): Fetcher {
  const notices: string[] = [];
  const sink = new MemorySink(blob.sizeBytes);
  const dial = blobDialler(identity, (node) => {
    const port = cluster.ports.get(node);
    return port === undefined ? undefined : { host: '127.0.0.1', port };
  });
  return {
    notices,
    sink,
    fetch: (nodes, changes = {}) =>
      fetchBlob({
        self: { cluster: 'lab', node: name },
        blob,
        nodes,
        dial,
        sink,
        clock: systemClock,
        timing: { ...DEFAULT_TIMING, ...QUICK_TIMING },
        signal: new AbortController().signal,
        onProgress: () => {},
        onNotice: (text) => notices.push(text),
        ...changes,
      }),
  };
}
