// A replica, complete or coming in (coming-replicas.ts), open for reading by who serves it to other nodes.
//
// H1  Only what was published is opened, and only by an id that can be part of a path: any other text names no replica.
// H2  What is open stays readable to its end when the replica is removed meanwhile.
import { open, type FileHandle } from 'node:fs/promises';
import type { ReplicaReport } from '../../../actors/blob/ports.ts';
import { TroupeError } from '../../../actors/kernel/errors.ts';
import { DIGEST_BYTES } from './chunk-digests.ts';

/** Of a replica that is coming in: what is here of it. */
export interface PartlyHere {
  /** Chunks that are verified; only grows. */
  readonly count: number;
  has(index: number): boolean;
  /** The digests of all its chunks are known, and right. */
  readonly isListed: boolean;
  /** Another node that copies it too takes from here. */
  takenBy(node: string): void;
}

export class HeldReplica {
  /** Absent: it is complete. */
  declare readonly partly?: PartlyHere;
  readonly sizeBytes: number;
  readonly sha512: string;
  readonly #file: FileHandle;
  readonly #path: string;
  readonly #digests: Uint8Array;

  private constructor(
    file: FileHandle,
    path: string,
    { sizeBytes, sha512 }: ReplicaReport,
    digests: Uint8Array,
    partly?: PartlyHere,
  ) {
    this.#file = file;
    this.#path = path;
    this.sizeBytes = sizeBytes;
    this.sha512 = sha512;
    this.#digests = digests;
    if (partly !== undefined) this.partly = partly;
  }

  /** Close it. */
  static async open(
    path: string,
    report: ReplicaReport,
    digests: Uint8Array,
    partly?: PartlyHere,
  ): Promise<HeldReplica> {
    return new HeldReplica(await open(path, 'r'), path, report, digests, partly);
  }

  /** SHA-256 of a chunk, as it was when the replica was verified. */
  digestOf(index: number): Uint8Array {
    return this.#digests.slice(index * DIGEST_BYTES, (index + 1) * DIGEST_BYTES);
  }

  /** Fills all of `into`. Errors: those of the file system, `image/damaged` for a file that is shorter than it was. */
  async read(into: Uint8Array, position: number): Promise<void> {
    let done = 0;
    while (done < into.length) {
      const left = into.length - done;
      const { bytesRead } = await this.#file.read(into, done, left, position + done);
      if (bytesRead === 0) {
        throw new TroupeError('image/damaged', `${this.#path} is shorter than it was`);
      }
      done += bytesRead;
    }
  }

  async close(): Promise<void> {
    await this.#file.close();
  }
}
