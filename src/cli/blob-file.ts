// Files of this machine that become blobs, and blobs that become files here: in pieces, so that little is in memory.
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { open, rename, rm, stat } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import type { View } from '../client/client.ts';
import type { Call } from './command.ts';
import { CliError } from './failure.ts';
import { duration, size } from './format.ts';
import { segment } from './object-path.ts';
import type { Progress } from './progress.ts';
import { isView, text } from './table.ts';

const PIECE_BYTES = 4 * 1024 * 1024;

/** The blob's UUID; one with the same bytes that is there already is used instead. `name`: of the artifact that keeps it. */
export async function fileToBlob(
  call: Call,
  path: string,
  name: string,
  progress: Progress,
): Promise<string> {
  const client = call.client();
  const known = await client.call('GET', `/blob_checksums/sha512/${await sha512Of(path)}`);
  if (isView(known) && text(known, 'state') === 'created') return text(known, 'uuid');
  const upload = text(await client.view('POST', '/upload'), 'uuid');
  await using file = await open(path, 'r');
  const { size: sizeBytes } = await file.stat();
  const startedAtMono = performance.now();
  const piece = Buffer.alloc(PIECE_BYTES);
  for (let sent = 0; sent < sizeBytes;) {
    const { bytesRead } = await file.read(piece, 0, piece.length, sent);
    if (bytesRead === 0) throw new CliError(`${path} has become shorter while it was sent`);
    await client.sendBytes(`/upload/${segment(upload)}`, piece.subarray(0, bytesRead));
    sent += bytesRead;
    progress.note(`sending ${size(sent)} of ${size(sizeBytes)}`, elapsed(startedAtMono));
  }
  const at = `/artifacts/upload/${segment(name)}`;
  const artifact = await client.view('POST', at, { upload_uuid: upload });
  const blobId = text(artifact, 'blob_uuid');
  await blobThere(call, blobId, progress);
  return blobId;
}

/** Beside the file first, so that a broken-off transfer leaves what was there; returns the bytes written. */
export async function blobToFile(
  call: Call,
  blobId: string,
  path: string,
  progress: Progress,
): Promise<number> {
  await blobThere(call, blobId, progress);
  const half = `${path}.part`;
  try {
    const sizeBytes = await writeFrom(call, { blobId, path: half, progress });
    await rename(half, path);
    return sizeBytes;
  } catch (error) {
    await rm(half, { force: true });
    throw error;
  }
}

/** All of a blob that is known to be small. */
export async function blobBytes(call: Call, blobId: string, progress: Progress): Promise<Buffer> {
  await blobThere(call, blobId, progress);
  return await call.client().bytes(`/blobs/${segment(blobId)}/data`);
}

async function writeFrom(
  call: Call,
  { blobId, path, progress }: { blobId: string; path: string; progress: Progress },
): Promise<number> {
  const startedAtMono = performance.now();
  await using file = await open(path, 'w');
  let written = 0;
  for (;;) {
    const range = `offset=${written}&limit=${PIECE_BYTES}`;
    const bytes = await call.client().bytes(`/blobs/${segment(blobId)}/data?${range}`);
    await file.appendFile(bytes);
    written += bytes.length;
    progress.note(`received ${size(written)}`, elapsed(startedAtMono));
    if (bytes.length < PIECE_BYTES) return written;
  }
}

/** Waits until its bytes can be read. */
async function blobThere(call: Call, blobId: string, progress: Progress): Promise<void> {
  const { signal, pollMs } = call.world;
  const startedAtMono = performance.now();
  for (;;) {
    const blob: View = await call.client().view('GET', `/blobs/${segment(blobId)}`);
    const state = text(blob, 'state');
    if (state === 'created') return;
    if (state !== 'initial') throw new CliError(`blob ${blobId} is ${state}`);
    progress.note(`blob ${blobId}: ${state}`, elapsed(startedAtMono));
    await delay(pollMs, undefined, { signal });
  }
}

async function sha512Of(path: string): Promise<string> {
  const found = await stat(path);
  if (!found.isFile()) throw new CliError(`${path} is no file`);
  const hash = createHash('sha512');
  for await (const chunk of createReadStream(path)) hash.update(chunk as Buffer);
  return hash.digest('hex');
}

function elapsed(startedAtMono: number): string {
  return duration(performance.now() - startedAtMono);
}
