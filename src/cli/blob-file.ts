// Files of this machine that become blobs for a guest, and blobs from a guest that become files here.
import { setTimeout as delay } from 'node:timers/promises';
import type { View } from '../client/client.ts';
import type { Call } from './command.ts';
import { CliError } from './failure.ts';
import { duration } from './format.ts';
import { segment } from './object-path.ts';
import type { Progress } from './progress.ts';
import { text } from './table.ts';
import { bringFile, fetchBlob } from './transfer.ts';

/** The blob's UUID; one with the same bytes that is there already is used instead. `name`: of the artifact that keeps it. */
export async function fileToBlob(
  call: Call,
  path: string,
  name: string,
  progress: Progress,
): Promise<string> {
  const brought = await bringFile(call, path);
  if (brought.blob_uuid !== undefined) return brought.blob_uuid;
  const artifact = await call
    .client()
    .view('POST', `/artifacts/upload/${segment(name)}`, { ...brought });
  const blobId = text(artifact, 'blob_uuid');
  await blobThere(call, blobId, progress);
  return blobId;
}

/** Returns the bytes written. */
export async function blobToFile(
  call: Call,
  blobId: string,
  path: string,
  progress: Progress,
): Promise<number> {
  const blob = await blobThere(call, blobId, progress);
  await fetchBlob(call, blob, path);
  return Number(blob['size']);
}

/** All of a blob that is known to be small. */
export async function blobBytes(call: Call, blobId: string, progress: Progress): Promise<Buffer> {
  await blobThere(call, blobId, progress);
  return await call.client().bytes(`/blobs/${segment(blobId)}/data`);
}

/** Waits until its bytes can be read. */
async function blobThere(call: Call, blobId: string, progress: Progress): Promise<View> {
  const { signal, pollMs } = call.world;
  const startedAtMono = performance.now();
  for (;;) {
    const blob = await call.client().view('GET', `/blobs/${segment(blobId)}`);
    const state = text(blob, 'state');
    if (state === 'created') return blob;
    if (state !== 'initial') throw new CliError(`blob ${blobId} is ${state}`);
    const elapsed = duration(performance.now() - startedAtMono);
    progress.note(`blob ${blobId}: ${state}`, elapsed);
    await delay(pollMs, undefined, { signal });
  }
}
