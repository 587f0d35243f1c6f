// A download that may be broken off at any byte and go on later: the bytes, and beside them a note of what
// they belong to. Used on the worker thread only, so its file calls are synchronous.
//
// R1  The bytes go on only for the same URL and the same version of what it names (validators, size).
// R2  After a crash of the machine only bytes below the last checkpoint are trusted (a file may grow before
//     its bytes reach the disk); after a crash of the daemon the kernel still has them all.
// R3  The hash is over all bytes of the file: on going on, those already there are read again.
// R4  The note keeps a hash of the URL, not the URL: it may carry a password.
import { createHash, type Hash } from 'node:crypto';
import * as fs from 'node:fs';

export interface Validators {
  readonly etag: string | null;
  readonly lastModified: string | null;
  /** Null: the server did not say. */
  readonly totalBytes: number | null;
}

interface Note extends Validators {
  readonly urlHash: string;
  readonly bootId: string;
  readonly syncedBytes: number;
  readonly isComplete: boolean;
}

const NO_VALIDATORS: Validators = { etag: null, lastModified: null, totalBytes: null };
const CHECKPOINT_BYTES = 64 * 1024 * 1024;
const REREAD_BYTES = 1024 * 1024;

export class PartialFile {
  readonly #path: string;
  readonly #fd: number;
  readonly #urlHash: string;
  #hash: Hash = createHash('sha256');
  #validators: Validators = NO_VALIDATORS;
  #offset = 0;
  #syncedBytes = 0;
  #isComplete = false;

  /** Opens what is there for this URL, or starts empty. Close it. */
  constructor(path: string, url: string) {
    this.#path = path;
    this.#urlHash = createHash('sha256').update(url).digest('hex');
    this.#fd = fs.openSync(path, fs.constants.O_RDWR | fs.constants.O_CREAT, 0o600);
    this.#takeUp(readNote(notePath(path)));
  }

  /** Bytes that are here and hashed. */
  get offset(): number {
    return this.#offset;
  }

  get isComplete(): boolean {
    return this.#isComplete;
  }

  get validators(): Validators {
    return this.#validators;
  }

  /** What `If-Range` may carry, so that the server sends the rest only of the same version; null: no way to ask. */
  get rangeValidator(): string | null {
    const { etag, lastModified } = this.#validators;
    if (etag !== null && !etag.startsWith('W/')) return etag;
    return lastModified;
  }

  /** Drops all bytes and begins again, as the version with these validators. */
  begin(validators: Validators): void {
    fs.ftruncateSync(this.#fd, 0);
    this.#hash = createHash('sha256');
    this.#offset = 0;
    this.#syncedBytes = 0;
    this.#isComplete = false;
    this.#validators = validators;
    this.#writeNote();
  }

  append(chunk: Uint8Array): void {
    let done = 0;
    while (done < chunk.length) {
      done += fs.writeSync(this.#fd, chunk, done, chunk.length - done, this.#offset + done);
    }
    this.#hash.update(chunk);
    this.#offset += chunk.length;
    if (this.#offset - this.#syncedBytes >= CHECKPOINT_BYTES) this.checkpoint();
  }

  /** Makes what is here survive a crash of the machine. */
  checkpoint(): void {
    fs.fdatasyncSync(this.#fd);
    this.#syncedBytes = this.#offset;
    this.#writeNote();
  }

  complete(): void {
    this.#isComplete = true;
    this.checkpoint();
  }

  /** Of all bytes, hex. The file can still be appended to. */
  sha256(): string {
    return this.#hash.copy().digest('hex');
  }

  close(): void {
    fs.closeSync(this.#fd);
  }

  #takeUp(note: Note | undefined): void {
    if (note === undefined || note.urlHash !== this.#urlHash) return this.begin(NO_VALIDATORS);
    const sizeBytes = fs.fstatSync(this.#fd).size;
    const isSameBoot = note.bootId === bootId();
    const trusted = isSameBoot ? sizeBytes : Math.min(sizeBytes, note.syncedBytes);
    fs.ftruncateSync(this.#fd, trusted);
    this.#validators = note;
    this.#isComplete = note.isComplete && trusted >= note.syncedBytes;
    this.#syncedBytes = Math.min(note.syncedBytes, trusted);
    this.#reread(trusted);
  }

  #reread(lengthBytes: number): void {
    const buffer = Buffer.allocUnsafe(REREAD_BYTES);
    while (this.#offset < lengthBytes) {
      const want = Math.min(buffer.length, lengthBytes - this.#offset);
      const got = fs.readSync(this.#fd, buffer, 0, want, this.#offset);
      if (got === 0) throw new Error(`${this.#path} shrank while it was read`);
      this.#hash.update(buffer.subarray(0, got));
      this.#offset += got;
    }
  }

  #writeNote(): void {
    const { etag, lastModified, totalBytes } = this.#validators;
    const note: Note = {
      etag,
      lastModified,
      totalBytes,
      urlHash: this.#urlHash,
      bootId: bootId(),
      syncedBytes: this.#syncedBytes,
      isComplete: this.#isComplete,
    };
    const path = notePath(this.#path);
    fs.writeFileSync(`${path}.new`, JSON.stringify(note), { flush: true, mode: 0o600 });
    fs.renameSync(`${path}.new`, path);
  }
}

function notePath(path: string): string {
  return `${path}.json`;
}

/** Undefined when there is none, or not one of ours: the download then begins again. */
function readNote(path: string): Note | undefined {
  try {
    const note: unknown = JSON.parse(fs.readFileSync(path, 'utf8'));
    return isNote(note) ? note : undefined;
  } catch {
    return undefined;
  }
}

function isNote(value: unknown): value is Note {
  if (typeof value !== 'object' || value === null) return false;
  const note = value as Record<keyof Note, unknown>;
  const isTextOrNull = (member: unknown) => member === null || typeof member === 'string';
  return (
    isTextOrNull(note.etag) &&
    isTextOrNull(note.lastModified) &&
    (note.totalBytes === null || typeof note.totalBytes === 'number') &&
    typeof note.urlHash === 'string' &&
    typeof note.bootId === 'string' &&
    typeof note.syncedBytes === 'number' &&
    typeof note.isComplete === 'boolean'
  );
}

function bootId(): string {
  return fs.readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
}
