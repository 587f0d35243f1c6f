// Which nodes can hold blobs, and what blobs are told when those come and go.
import type { NodeView } from '../../actors/blob/copies.ts';
import { blobRef, type BlobMessage } from '../../actors/blob/state.ts';
import type { Clock, Timer } from '../../actors/kernel/clock.ts';
import type { Address } from '../../actors/kernel/kind.ts';
import type { Random, Router } from '../../actors/kernel/ports.ts';
import type { ReadModel } from '../read/read-model.ts';

/** Every machine that has said what it is. */
export function blobNodes(read: ReadModel, isUp: (node: string) => boolean): NodeView[] {
  return [...read.nodes.all()].flatMap(({ id, state }) => {
    if (state.machine === null) return [];
    return [{ node: id, isUp: state.phase === 'created' && isUp(id) }];
  });
}

export interface BlobNewsOptions {
  readonly read: ReadModel;
  readonly router: Router;
  readonly random: Random;
  readonly isUp: (node: string) => boolean;
  /** How many nodes keep each blob. */
  readonly copies: number;
  /** Whether this daemon runs the actor. */
  readonly isOwn: (address: Address) => boolean;
}

/** A machine says what it is shortly after it has joined. */
const LOOK_AGAIN_MS = 5_000;

/** Notices when the nodes are not what blobs were last told. */
export class BlobNews {
  readonly #options: BlobNewsOptions & { readonly clock: Clock };
  #told = '';
  #again: Timer | null = null;

  constructor(options: BlobNewsOptions & { readonly clock: Clock }) {
    this.#options = options;
  }

  /** A member may have come or gone; cheap when none has. */
  changed(): void {
    this.#look();
    this.#again?.cancel();
    this.#again = this.#options.clock.after(LOOK_AGAIN_MS, () => this.#look());
  }

  stop(): void {
    this.#again?.cancel();
  }

  #look(): void {
    const { read, isUp } = this.#options;
    const views = blobNodes(read, isUp).map(({ node, isUp: up }) => `${node} ${up}`);
    const now = views.toSorted().join();
    if (now === this.#told) return;
    this.#told = now;
    tellBlobsOfNodes(this.#options);
  }
}

/** Tells the blobs that this daemon runs how the nodes are now. */
export function tellBlobsOfNodes(options: BlobNewsOptions): void {
  const { read, isUp, copies } = options;
  const nodes = blobNodes(read, isUp);
  tellBlobs(options, { kind: 'nodes-changed', nodes, copies });
}

/** Tells them that a machine has left for good. */
export function tellBlobsNodeIsGone(options: BlobNewsOptions, node: string): void {
  tellBlobs(options, { kind: 'node-gone', node });
}

function tellBlobs({ read, router, random, isOwn }: BlobNewsOptions, message: BlobMessage): void {
  const trace = random.uuid();
  for (const { id, state } of read.blobs.all()) {
    if (state.phase === 'deleted' || !isOwn(blobRef(id))) continue;
    router.tell(blobRef(id), message, { trace });
  }
}
