// Joins the image driver with the other nodes': serves this machine's replicas over the mesh's server, and copies
// replicas from others, each copy on a thread with links of its own.
import type { Clock } from '../../actors/kernel/clock.ts';
import type { Log } from '../../actors/kernel/ports.ts';
import { DEFAULT_TIMING, type FetchTiming } from '../../transport/blobs/fetch.ts';
import { RateLimit } from '../../transport/blobs/rate-limit.ts';
import type { BlobSelf } from '../../transport/blobs/serving.ts';
import { BLOBS_PATH, BlobServer } from '../../transport/blobs/socket.ts';
import type { Doors, MeshIdentity, PeerAddress } from '../../transport/mesh/socket.ts';
import type { ImageDriver } from '../drivers/image/driver.ts';
import type { CopyShell, PeerRequest, Peers } from '../drivers/image/peer-copy.ts';
import { runJob } from '../drivers/image/worker-job.ts';

export interface BlobExchangeOptions {
  readonly self: BlobSelf;
  readonly identity: MeshIdentity;
  readonly images: ImageDriver;
  /** Where a member's mesh listens; undefined: no such member. */
  readonly addressOf: (node: string) => PeerAddress | undefined;
  readonly clock: Clock;
  readonly log: Log;
  readonly timing?: FetchTiming;
  /** Most that copies for nobody in particular bring in, and as much that they take out, bytes a second; 0: no limit. */
  readonly copyRate?: number;
}

export interface BlobExchange {
  /** For the mesh (MeshOptions.doors). */
  readonly doors: Doors;
  /** Ends what is being served; call it before the mesh's close(). Copies end with the image driver. */
  close(): void;
}

/** What a copy's thread is given. */
export interface CopyRequest extends PeerRequest {
  readonly self: BlobSelf;
  readonly identity: MeshIdentity;
  readonly addresses: Readonly<Record<string, PeerAddress>>;
  readonly timing: FetchTiming;
  /** The same for all copies of this daemon. */
  readonly limit: { readonly copyRate: number; readonly shared: SharedArrayBuffer };
}

/** What the thread is told of a node that copies it too. */
export interface Met {
  readonly node: string;
  readonly address: PeerAddress;
}

/** From then on the image driver copies from peers. */
export function blobExchange(options: BlobExchangeOptions): BlobExchange {
  const { self, images, clock, log, copyRate = 0 } = options;
  const rate = new RateLimit(copyRate);
  const holder = { open: (blobId: string) => images.openForPeer(blobId) };
  const server = new BlobServer({ self, holder, clock, log, rate });
  images.connect(peersOf(options));
  return { doors: new Map([[BLOBS_PATH, server.door]]), close: () => server.close() };
}

function peersOf({
  self,
  identity,
  addressOf,
  timing = DEFAULT_TIMING,
  copyRate = 0,
}: BlobExchangeOptions): Peers {
  const { shared } = new RateLimit(copyRate);
  return {
    fetch: async (wanted: PeerRequest, { meet, ...shell }: CopyShell) => {
      const known = [...wanted.nodes, ...wanted.peers].flatMap((node) => {
        const address = addressOf(node);
        return address === undefined ? [] : [[node, address] as const];
      });
      const addresses = Object.fromEntries(known);
      const limit = { copyRate, shared };
      const request: CopyRequest = { ...wanted, self, identity, addresses, timing, limit };
      const onStart = (tell: (met: Met) => void) =>
        meet((node) => {
          const address = addressOf(node);
          if (address !== undefined) tell({ node, address });
        });
      const job = { kind: 'copy', request };
      return (await runJob(ENTRY, job, { ...shell, onStart })) as Uint8Array;
    },
  };
}

/** The compiled package has .js files where the checkout has .ts ones. */
const ENTRY = new URL(
  import.meta.url.endsWith('.ts') ? './blob-worker.ts' : './blob-worker.js',
  import.meta.url,
);
