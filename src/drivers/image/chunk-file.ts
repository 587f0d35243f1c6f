// A copy of a replica that comes in chunks, in any order and from several nodes, and may be broken off at any moment:
// the bytes, and beside them a map of the chunks that are verified. Used on a worker thread.
//
// Y1  A chunk is in the map only after its bytes are on the disk: what a crash leaves, also of the machine, is right.
// Y2  The map belongs to one content (its SHA-512) and to a file of its size: for another everything begins anew.
// Y3  The map is what is kept beside the replica later (chunk-digests.ts): 32 bytes a chunk, zeros for one that is not
//     here yet, after 64 bytes of the SHA-512.
// Y4  The frontier only moves over chunks that are verified and never written again.
import { closeSync, constants, fdatasync, fdatasyncSync, ftruncateSync, openSync } from 'node:fs';
import { readFileSync, renameSync, statSync, writeFileSync, writeSync } from 'node:fs';
import { promisify } from 'node:util';
import { CHUNK_BYTES, chunkCount, DIGEST_BYTES } from './chunk-digests.ts';
import { SharedChunks } from './coming-replicas.ts';
import { Frontier } from './follow-hash.ts';

const HEAD_BYTES = 64;
const CHECKPOINT_CHUNKS = 64;
const datasync = promisify(fdatasync);

export interface ChunkFileOptions {
  readonly path: string;
  readonly sizeBytes: number;
  /** Hex. */
  readonly sha512: string;
  /** Of Frontier.make(). */
  readonly frontier: SharedArrayBuffer;
  /** Of SharedChunks.make(): told of each chunk, for who serves them meanwhile. */
  readonly shared?: SharedArrayBuffer;
}

export class ChunkFile {
  readonly #fd: number;
  readonly #options: ChunkFileOptions;
  readonly #frontier: Frontier;
  readonly #digests: Buffer;
  readonly #count: number;
  readonly #shared: SharedChunks | null;
  /** First chunk that is not here. */
  #firstMissing = 0;
  #sinceCheckpoint = 0;
  #checkpoint: Promise<void> | null = null;
  #failure: Error | null = null;

  /** Opens what is there of this content, or starts empty. Close it. */
  constructor(options: ChunkFileOptions) {
    this.#options = options;
    const { path, sizeBytes } = options;
    this.#frontier = new Frontier(options.frontier);
    this.#count = chunkCount(sizeBytes);
    const map = this.#readMap();
    this.#digests = map ?? Buffer.alloc(this.#count * DIGEST_BYTES);
    const fresh = map === undefined ? constants.O_TRUNC : 0;
    this.#fd = openSync(path, constants.O_RDWR | constants.O_CREAT | fresh, 0o600);
    ftruncateSync(this.#fd, sizeBytes);
    this.#shared = options.shared ? new SharedChunks(options.shared, sizeBytes) : null;
    for (let at = 0; at < this.#count; at++) if (this.#has(at)) this.#share(at);
    this.#moveFrontier();
  }

  /** In rising order. */
  missing(): readonly number[] {
    const all = Array.from({ length: this.#count }, (_, index) => index);
    return all.filter((index) => !this.#has(index));
  }

  /** Of the chunks, one after the other; complete once none is missing. */
  get digests(): Uint8Array {
    return this.#digests;
  }

  /** Throws what the file system says; also what it has said to an earlier checkpoint. */
  write(position: number, bytes: Uint8Array): void {
    if (this.#failure !== null) throw this.#failure;
    let done = 0;
    while (done < bytes.length) {
      done += writeSync(this.#fd, bytes, done, bytes.length - done, position + done);
    }
  }

  verified(index: number, digest: Uint8Array): void {
    this.#digests.set(digest, index * DIGEST_BYTES);
    this.#share(index);
    this.#moveFrontier();
    this.#sinceCheckpoint++;
    if (this.#sinceCheckpoint < CHECKPOINT_CHUNKS || this.#checkpoint !== null) return;
    this.#sinceCheckpoint = 0;
    this.#checkpoint = this.#keep();
  }

  /** The digests of all chunks, known to be right. */
  listed(digests: Uint8Array): void {
    this.#shared?.list(digests);
  }

  /** `isComplete`: who called has the bytes synced, and needs the map no more. */
  async close(isComplete: boolean): Promise<void> {
    try {
      await this.#checkpoint;
      if (isComplete) return;
      fdatasyncSync(this.#fd);
      this.#writeMap(this.#digests);
    } finally {
      closeSync(this.#fd);
    }
  }

  /** Bytes go on coming meanwhile; what came since is for the next one. Never rejects. */
  async #keep(): Promise<void> {
    const digests = Buffer.from(this.#digests);
    try {
      await datasync(this.#fd);
      this.#writeMap(digests);
    } catch (error) {
      this.#failure = error instanceof Error ? error : new Error(String(error));
    } finally {
      this.#checkpoint = null;
    }
  }

  #share(index: number): void {
    this.#shared?.add(
      index,
      this.#digests.subarray(index * DIGEST_BYTES, (index + 1) * DIGEST_BYTES),
    );
  }

  #has(index: number): boolean {
    const at = index * DIGEST_BYTES;
    return !this.#digests.subarray(at, at + DIGEST_BYTES).equals(NONE);
  }

  #moveFrontier(): void {
    while (this.#firstMissing < this.#count && this.#has(this.#firstMissing)) this.#firstMissing++;
    const bytes = Math.min(this.#options.sizeBytes, this.#firstMissing * CHUNK_BYTES);
    if (bytes !== this.#frontier.bytes) this.#frontier.moveTo(bytes);
  }

  /** Undefined when there is none of this content: the copy then begins anew. */
  #readMap(): Buffer | undefined {
    try {
      const { path, sizeBytes } = this.#options;
      if (statSync(path).size !== sizeBytes) return undefined;
      const bytes = readFileSync(mapPath(path));
      const isOurs = bytes.subarray(0, HEAD_BYTES).equals(this.#head());
      if (!isOurs || bytes.length !== HEAD_BYTES + this.#count * DIGEST_BYTES) return undefined;
      return bytes.subarray(HEAD_BYTES);
    } catch {
      return undefined;
    }
  }

  #writeMap(digests: Uint8Array): void {
    const path = mapPath(this.#options.path);
    const bytes = Buffer.concat([this.#head(), digests]);
    writeFileSync(`${path}.new`, bytes, { flush: true, mode: 0o600 });
    renameSync(`${path}.new`, path);
  }

  #head(): Buffer {
    return Buffer.from(this.#options.sha512, 'hex');
  }
}

const NONE = Buffer.alloc(DIGEST_BYTES);

export function mapPath(path: string): string {
  return `${path}.chunks`;
}
