// Entry of the thread that copies one replica from other nodes: the event loop that decides never touches its bytes.
import { systemClock } from '../../actors/kernel/clock.ts';
import { fetchBlob } from '../../transport/blobs/fetch.ts';
import { RateLimit } from '../../transport/blobs/rate-limit.ts';
import { blobDialler } from '../../transport/blobs/socket.ts';
import type { WantedBlob } from '../../transport/blobs/source.ts';
import { ChunkFile } from '../drivers/image/chunk-file.ts';
import { asDiskFull } from '../drivers/image/disk-space.ts';
import { serveJob, type WorkerShell } from '../drivers/image/worker-entry.ts';
import type { CopyRequest, Met } from './blobs.ts';

serveJob((job, shell) => copy((job as { readonly request: CopyRequest }).request, shell));

/** Resolves to the chunks' digests. */
async function copy(request: CopyRequest, shell: WorkerShell): Promise<Uint8Array> {
  const { self, identity, timing, nodes, peers } = request;
  const addresses = { ...request.addresses };
  const { sizeBytes, sha512, path, frontier, shared } = request;
  const file = new ChunkFile({ path, sizeBytes, sha512, frontier, shared });
  let isComplete = false;
  try {
    await fetchBlob({
      self,
      blob: wantedOf(request),
      nodes,
      peers,
      meet: (met) =>
        shell.onTold((message) => {
          const { node, address } = message as Met;
          addresses[node] = address;
          met(node);
        }),
      dial: blobDialler(identity, (node) => addresses[node]),
      sink: file,
      clock: systemClock,
      timing,
      rate: new RateLimit(request.limit.copyRate, request.limit.shared),
      signal: shell.signal,
      onProgress: shell.progress,
      onNotice: shell.notice,
    });
    isComplete = true;
    return file.digests;
  } catch (error) {
    throw asDiskFull(error, path);
  } finally {
    await file.close(isComplete);
  }
}

function wantedOf({ blobId, sizeBytes, sha512, chunksSha256, isUrgent }: CopyRequest): WantedBlob {
  const list = chunksSha256 === undefined ? {} : { chunksSha256 };
  return { blobId, sizeBytes, sha512, ...list, isUrgent: isUrgent === true };
}
