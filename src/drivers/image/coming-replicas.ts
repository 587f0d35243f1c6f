// Replicas that are being copied to here: the chunks that have come are served to others who copy the same blob.
//
// G1  A chunk is told of only after its bytes are in the file and its digest is known (SharedChunks.add()).
// G2  The list of all digests is handed on once it is known to be right (SharedChunks.list()).
// G3  Who takes from it copies the blob too, and is told to the copy.
// G4  What is open stays readable when the copy ends, well or badly: each chunk was verified by itself.
import type { ReplicaReport } from '../../../actors/blob/ports.ts';
import { chunkCount, DIGEST_BYTES } from './chunk-digests.ts';
import { HeldReplica } from './held-replica.ts';

/** Which chunks are here, and their digests: written by the thread that copies, read by the one that serves. */
export class SharedChunks {
  readonly digests: Uint8Array;
  readonly #here: Uint8Array;
  /** How many are here; whether all digests are. */
  readonly #head: Int32Array;

  /** `shared`: of SharedChunks.make() for as many bytes. */
  constructor(shared: SharedArrayBuffer, sizeBytes: number) {
    const count = chunkCount(sizeBytes);
    this.#head = new Int32Array(shared, 0, HEAD);
    this.digests = new Uint8Array(shared, HEAD_BYTES, count * DIGEST_BYTES);
    this.#here = new Uint8Array(shared, HEAD_BYTES + count * DIGEST_BYTES, count);
  }

  static make(sizeBytes: number): SharedArrayBuffer {
    return new SharedArrayBuffer(HEAD_BYTES + chunkCount(sizeBytes) * (DIGEST_BYTES + 1));
  }

  /** How many are here. */
  get count(): number {
    return Atomics.load(this.#head, COUNT);
  }

  has(index: number): boolean {
    return Atomics.load(this.#here, index) === 1;
  }

  /** The digests of all chunks are here. */
  get isListed(): boolean {
    return Atomics.load(this.#head, LISTED) === 1;
  }

  /** Of all chunks, one after the other; known to be right. */
  list(digests: Uint8Array): void {
    this.digests.set(digests);
    Atomics.store(this.#head, LISTED, 1);
  }

  /** Once for each. */
  add(index: number, digest: Uint8Array): void {
    this.digests.set(digest, index * DIGEST_BYTES);
    Atomics.store(this.#here, index, 1);
    Atomics.add(this.#head, COUNT, 1);
  }
}

const [COUNT, LISTED, HEAD] = [0, 1, 2];
const HEAD_BYTES = HEAD * Int32Array.BYTES_PER_ELEMENT;

interface Coming {
  readonly path: string;
  readonly report: ReplicaReport;
  readonly chunks: SharedChunks;
  /** Another node takes from it. */
  readonly takenBy: (node: string) => void;
}

export class ComingReplicas {
  readonly #byBlob = new Map<string, Coming>();

  /** From then on it is served. The file is there. */
  begin(blobId: string, coming: Coming): void {
    this.#byBlob.set(blobId, coming);
  }

  end(blobId: string): void {
    this.#byBlob.delete(blobId);
  }

  /** Null when none of this blob is coming. Close it. */
  async open(blobId: string): Promise<HeldReplica | null> {
    const coming = this.#byBlob.get(blobId);
    if (coming === undefined) return null;
    const { path, report, chunks, takenBy } = coming;
    const partly = {
      get count() {
        return chunks.count;
      },
      get isListed() {
        return chunks.isListed;
      },
      has: (index: number) => chunks.has(index),
      takenBy,
    };
    return await HeldReplica.open(path, report, chunks.digests, partly);
  }
}
