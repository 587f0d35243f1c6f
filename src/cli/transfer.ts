// Bytes to and from the API, piece by piece: files of any size, with progress, and little in memory.
import { createHash } from 'node:crypto';
import { open, rename, rm, type FileHandle } from 'node:fs/promises';
import { resolve } from 'node:path';
import type { Client, View } from '../client/client.ts';
import type { Call } from './command.ts';
import { CliError } from './failure.ts';
import { duration, size } from './format.ts';
import { segment } from './object-path.ts';
import { Progress } from './progress.ts';
import { isView, text } from './table.ts';

const PIECE_BYTES = 4 * 1024 * 1024;
/** A piece that does not arrive is sent again. */
const TRIES = 5;

/** The UUID of a blob with the file's bytes, or of an upload that holds them. */
export interface Brought {
  readonly blob_uuid?: string;
  readonly upload_uuid?: string;
}

/** Sends nothing when a blob of the same bytes is there already. */
export async function bringFile(call: Call, path: string): Promise<Brought> {
  const file = await openFile(resolve(call.world.directory, path), 'r');
  const meter = new Meter(call);
  try {
    const { size: totalBytes } = await file.stat();
    const sha512 = await hashOf(file, (done) => meter.note('hashing', done, totalBytes));
    const found = await call.client().call('GET', `/blob_checksums/sha512/${sha512}`);
    if (isView(found)) return { blob_uuid: text(found, 'uuid') };
    const upload = await call.client().view('POST', '/upload');
    const id = text(upload, 'uuid');
    await sendFile(call.client(), id, file, (done) => meter.note('sent', done, totalBytes));
    return { upload_uuid: id };
  } finally {
    meter.end();
    await file.close();
  }
}

async function sendFile(
  client: Client,
  uploadId: string,
  file: FileHandle,
  onProgress: (doneBytes: number) => void,
): Promise<void> {
  const path = `/upload/${segment(uploadId)}`;
  const buffer = Buffer.allocUnsafe(PIECE_BYTES);
  for (let position = 0; ;) {
    const { bytesRead } = await file.read(buffer, 0, buffer.length, position);
    if (bytesRead === 0) return;
    await sendPiece(client, path, buffer.subarray(0, bytesRead), position);
    position += bytesRead;
    onProgress(position);
  }
}

/** Before another try, what may have arrived of the piece is cut off. */
async function sendPiece(
  client: Client,
  path: string,
  piece: Uint8Array,
  position: number,
): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    try {
      if (attempt > 1) await client.call('POST', `${path}/truncate/${position}`);
      return void (await client.sendBytes(path, piece));
    } catch (error) {
      if (attempt === TRIES) throw error;
    }
  }
}

async function hashOf(file: FileHandle, onProgress: (doneBytes: number) => void): Promise<string> {
  const hash = createHash('sha512');
  const buffer = Buffer.allocUnsafe(PIECE_BYTES);
  for (let position = 0; ;) {
    const { bytesRead } = await file.read(buffer, 0, buffer.length, position);
    if (bytesRead === 0) return hash.digest('hex');
    hash.update(buffer.subarray(0, bytesRead));
    position += bytesRead;
    onProgress(position);
  }
}

/** Writes a blob's bytes to a file, which has its name once it is whole and its hash is right. */
export async function fetchBlob(call: Call, blob: View, path: string): Promise<void> {
  const target = resolve(call.world.directory, path);
  const half = `${target}.part`;
  const file = await openFile(half, 'w');
  const meter = new Meter(call);
  try {
    const totalBytes = Number(blob['size']);
    const data = `/blobs/${segment(text(blob, 'uuid'))}/data`;
    const hash = createHash('sha512');
    for (let position = 0; position < totalBytes;) {
      const piece = await call.client().bytes(`${data}?offset=${position}&limit=${PIECE_BYTES}`);
      if (piece.length === 0) throw new CliError('the blob ended before it should');
      hash.update(piece);
      await file.write(piece, 0, piece.length, position);
      position += piece.length;
      meter.note('received', position, totalBytes);
    }
    if (blob['sha512'] !== null && blob['sha512'] !== hash.digest('hex')) {
      throw new CliError('what was received has another hash than the blob; try again');
    }
    await file.sync();
    await rename(half, target);
  } finally {
    meter.end();
    await file.close();
    await rm(half, { force: true });
  }
}

async function openFile(path: string, flags: string): Promise<FileHandle> {
  try {
    return await open(path, flags);
  } catch (error) {
    throw new CliError((error as Error).message);
  }
}

/** How far it is, how fast, and how long it still takes. */
class Meter {
  readonly #progress: Progress;
  readonly #startedAtMono = performance.now();
  #lastTenth = -1;

  constructor({ world }: Call) {
    this.#progress = new Progress(world.stderr);
  }

  note(what: string, doneBytes: number, totalBytes: number): void {
    const tenth = totalBytes === 0 ? 10 : Math.floor((10 * doneBytes) / totalBytes);
    const tookMs = performance.now() - this.#startedAtMono;
    const rate = doneBytes / Math.max(1, tookMs);
    const left = rate === 0 ? '' : `, ${duration((totalBytes - doneBytes) / rate)} left`;
    const aside = `${size(doneBytes)}, ${size(rate * 1_000)}/s${left}`;
    if (tenth !== this.#lastTenth) this.#lastTenth = tenth;
    this.#progress.note(`${what} ${this.#lastTenth * 10} % of ${size(totalBytes)}`, aside);
  }

  end(): void {
    this.#progress.end();
  }
}
