// Tells what has something on a machine whether that machine's daemon is there: which boot of it, or that it is missing.
//
// P1  Level-triggered: what an object knows of a machine, as the read model shows it, is compared with the members. Who
//     knows otherwise is told again until the read model agrees. When all agree nothing runs, until members change or
//     something comes to a machine; or, while a blob has too few copies, a node has measured that it has more room.
// P2  A daemon tells only what it owns itself; a daemon without a lease owns nothing, so one that is cut off declares
//     nobody missing.
// P3  A machine is missing once its member key has been away for `lostAfterMs` by our own clock, counted from when we
//     saw it go, or from our own joining: after an outage of the store all come back in any order.
// P4  A boot is told of once the node's own record says the same: who is told goes by that record, the machine's address
//     for one, and is not told again.
// P5  A node that was removed from the cluster is neither: who has something there hears that it is gone for good.
import type { Clock, Timer } from '../../actors/kernel/clock.ts';
import { reasonOf } from '../../actors/kernel/errors.ts';
import type { Address, Message } from '../../actors/kernel/kind.ts';
import type { Log, Ownership, Random, Router } from '../../actors/kernel/ports.ts';
import { MISSING, type NodeSeen } from '../../actors/node/presence.ts';
import type { BlobState } from '../../actors/blob/state.ts';
import { whoLostNode } from './removed-nodes.ts';
import { blobsToTell, type BlobsOptions } from './blob-nodes.ts';
import type { ReadModel } from '../read/read-model.ts';
import type { Routes } from '../../transport/sharding/router.ts';
import type { Member } from '../../transport/sharding/member.ts';

export interface PresenceOptions {
  readonly cluster: Ownership &
    Pick<Routes, 'onChange'> & { readonly members: readonly Member[] | null };
  readonly read: ReadModel;
  readonly router: Router;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly lostAfterMs: number;
  readonly blobs: Pick<BlobsOptions, 'copies' | 'patienceMs'>;
}

/** While somebody is known to know otherwise, or may be. */
const LOOK_AGAIN_MS = 1_000;
/** A burst of changes, as when shards move, is looked at once. */
const SETTLE_MS = 100;
const AT_ONCE = 64;
/** What nodes have left changes by the minute. */
const ROOM_MS = 30_000;

export class Presence {
  readonly #options: PresenceOptions;
  /** When each machine was seen to be away, by our monotonic clock. */
  readonly #awaySince = new Map<string, number>();
  readonly #forget: readonly (() => void)[];
  #timer: Timer | null = null;
  #dueAtMono = Infinity;
  #isStopped = false;
  /** Some blob has too few copies. */
  #isShort = false;
  #running: Promise<void> = Promise.resolve();

  constructor(options: PresenceOptions) {
    this.#options = options;
    this.#forget = [
      options.cluster.onChange(() => this.#lookIn(SETTLE_MS)),
      options.read.onChange((changes) => {
        if (changes.some((change) => this.#isUnseen(change))) this.#lookIn(LOOK_AGAIN_MS);
        else if (changes.some((change) => this.#concernsCopies(change))) this.#lookIn(SETTLE_MS);
        else if (changes.some((change) => this.#mayMakeRoom(change))) this.#lookIn(ROOM_MS);
      }),
    ];
    this.#lookIn(SETTLE_MS);
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    for (const forget of this.#forget) forget();
    this.#timer?.cancel();
    await this.#running;
  }

  /** Has come to a machine whose daemon it has not been told of. Ours to tell, and no member need come or go for it. */
  #isUnseen({ kind, id }: Address): boolean {
    const { read, cluster } = this.#options;
    if (kind === 'instance') {
      const state = read.instances.get(id)?.state;
      const isPlaced = state !== undefined && state.node !== null && state.phase !== 'deleted';
      return isPlaced && state.nodeBoot === null && cluster.epochOf({ kind, id }) !== null;
    }
    if (kind !== 'network') return false;
    const { nodes = [], boots = {} } = read.networks.get(id)?.state ?? {};
    const isUnseen = nodes.some((node) => boots[node] === undefined);
    return isUnseen && cluster.epochOf({ kind, id }) !== null;
  }

  /** P5; or the copies of blobs may have to be others. */
  #concernsCopies({ kind, id }: Address): boolean {
    const { read } = this.#options;
    const isRemoved = (node: string) => read.nodes.get(node)?.state.phase === 'deleted';
    if (kind === 'node') return isRemoved(id);
    // How many copies it asks for, or whether it asks at all, may have changed.
    if (kind === 'artifact') return true;
    return kind === 'blob' && Object.keys(read.blobs.get(id)?.state.replicas ?? {}).some(isRemoved);
  }

  /** A node says what it has left, and some blob has too few copies. */
  #mayMakeRoom({ kind, id }: Address): boolean {
    if (kind === 'blob') this.#isShort ||= isShort(this.#options.read.blobs.get(id)?.state);
    return kind === 'node' && this.#isShort;
  }

  #lookIn(ms: number): void {
    const { clock } = this.#options;
    const dueAtMono = clock.monoMs() + ms;
    if (this.#isStopped || dueAtMono >= this.#dueAtMono) return;
    this.#timer?.cancel();
    this.#dueAtMono = dueAtMono;
    this.#timer = clock.after(ms, () => {
      this.#dueAtMono = Infinity;
      this.#running = this.#running
        .then(() => this.#look())
        .catch((error: unknown) => {
          this.#options.log('error', 'machines could not be looked at', { error });
          this.#lookIn(LOOK_AGAIN_MS);
        });
    });
  }

  async #look(): Promise<void> {
    const { cluster, log } = this.#options;
    const { members } = cluster;
    if (this.#isStopped) return;
    if (members === null) {
      this.#awaySince.clear();
      return this.#lookIn(LOOK_AGAIN_MS);
    }
    const isOurs = (address: Address) => cluster.epochOf(address) !== null;
    const wrong = [
      ...whoLostNode(this.#options.read, isOurs),
      ...this.#wrong(this.#boots(members)),
      ...this.#wrongBlobs(members),
    ];
    for (let at = 0; at < wrong.length && !this.#isStopped; at += AT_ONCE) {
      const told = wrong.slice(at, at + AT_ONCE).map((one) => this.#tell(one));
      for (const outcome of await Promise.allSettled(told)) {
        if (outcome.status === 'fulfilled') continue;
        log('debug', 'not told of a machine yet', { reason: reasonOf(outcome.reason) });
      }
    }
    if (wrong.length > 0) this.#lookIn(LOOK_AGAIN_MS);
    this.#isShort = [...this.#options.read.blobs.all()].some(({ state }) => isShort(state));
  }

  /** The boot of each machine that is known for certain: there, or away for long enough. */
  #boots(members: readonly Member[]): Map<string, string> {
    const { read, clock, lostAfterMs } = this.#options;
    const now = clock.monoMs();
    const boots = new Map<string, string>();
    const there = new Map(members.map(({ node, bootId }) => [node, bootId]));
    for (const { id, state } of read.nodes.all()) {
      if (state.phase === 'deleted') continue;
      const boot = there.get(id);
      if (boot !== undefined) {
        this.#awaySince.delete(id);
        if (boot === state.bootId) boots.set(id, boot);
        else this.#lookIn(LOOK_AGAIN_MS);
        continue;
      }
      const sinceMono = this.#awaySince.get(id) ?? now;
      this.#awaySince.set(id, sinceMono);
      const leftMs = sinceMono + lostAfterMs - now;
      if (leftMs <= 0) boots.set(id, MISSING);
      else this.#lookIn(leftMs);
    }
    return boots;
  }

  *#wrong(boots: ReadonlyMap<string, string>): Generator<Wrong> {
    const { read, cluster } = this.#options;
    const differs = (address: Address, node: string, known: string | null | undefined) => {
      const boot = boots.get(node);
      return boot !== undefined && boot !== known && cluster.epochOf(address) !== null;
    };
    const nodeSeen = (node: string): NodeSeen => {
      return { kind: 'node-seen', node, boot: boots.get(node) ?? MISSING };
    };
    for (const { id, state } of read.instances.all()) {
      const to = { kind: 'instance', id };
      const { node, nodeBoot } = state;
      if (node === null || state.phase === 'deleted') continue;
      if (differs(to, node, nodeBoot)) yield { to, message: nodeSeen(node) };
    }
    for (const { id, state } of read.networks.all()) {
      const to = { kind: 'network', id };
      for (const node of state.nodes) {
        if (differs(to, node, state.boots[node])) yield { to, message: nodeSeen(node) };
      }
    }
  }

  #wrongBlobs(members: readonly Member[]): Iterable<Wrong> {
    const { read, cluster, blobs } = this.#options;
    const there = new Set(members.map(({ node }) => node));
    return blobsToTell({
      read,
      isUp: (node) => there.has(node),
      isOurs: (blob) => cluster.epochOf(blob) !== null,
      ...blobs,
    });
  }

  async #tell({ to, message }: Wrong): Promise<void> {
    const { router, random, read } = this.#options;
    const { revision } = await router.ask(to, message, { trace: random.uuid() });
    await read.reached(revision);
  }
}

function isShort(blob: BlobState | undefined): boolean {
  return blob?.phase === 'created' && blob.shortage !== null;
}

interface Wrong {
  readonly to: Address;
  readonly message: Message;
}
