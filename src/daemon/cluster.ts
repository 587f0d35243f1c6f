// This daemon in the cluster: joined under a lease it owns the shards that placement gives it and runs their
// actors; members that come and go move shards. When the lease is lost it stops deciding at once, leaves the
// machine as it is, and joins again when the store is back.
import type { Clock } from '../../actors/kernel/clock.ts';
import { codeOf, reasonOf, TroupeError } from '../../actors/kernel/errors.ts';
import type { Address } from '../../actors/kernel/kind.ts';
import type { Log, Ownership } from '../../actors/kernel/ports.ts';
import type { Runtime } from '../../actors/kernel/runtime.ts';
import { MACHINE } from '../../actors/node/machine-message.ts';
import { ARCHIVE } from '../archive/archive-message.ts';
import { EXECUTOR, nodeOfExecutor } from '../../actors/node/executor-message.ts';
import { Directory } from '../../transport/sharding/directory.ts';
import type { Member } from '../../transport/sharding/member.ts';
import {
  Membership,
  type MembershipOptions,
  type ShardMoves,
} from '../../transport/sharding/membership.ts';
import type { Routes } from '../../transport/sharding/router.ts';
import { ShardKeeper, type ShardActors } from '../../transport/sharding/shard-keeper.ts';
import { SHARDS, shardOf } from '../../transport/sharding/shard.ts';
import type { Keys } from '../../transport/store/keys.ts';
import type { Store } from '../../transport/store/store.ts';
import { storedObjects } from './feed.ts';

export interface ClusterOptions {
  readonly store: Store;
  readonly keys: Keys;
  readonly clock: Clock;
  readonly log: Log;
  /** For the jitter of retries. */
  readonly random: () => number;
  readonly membership: MembershipOptions;
  /** Called each time the daemon has joined and owns its shards, before the actors are started. */
  readonly onJoined: () => Promise<void>;
  /** The node was removed from the cluster while it was away: it never joins again. */
  readonly onRemoved: (error: TroupeError) => void;
}

const NO_MOVES: ShardMoves = { taken: 0, givenUp: 0 };
const REJOIN_MS = 500;
const LONGEST_REJOIN_MS = 10_000;

/** Whoever owns an address decides for it; the runtime asks here before each turn. */
export class Cluster implements Ownership, Routes {
  readonly #options: ClusterOptions;
  #membership: Membership | null = null;
  #directory: Directory | null = null;
  #shards: ShardKeeper | null = null;
  readonly #listeners = new Set<() => void>();
  /** Actors have been started under the membership; until then its loss is the failure of the join. */
  #isJoined = false;
  #isLeaving = false;
  #leaseLosses = 0;
  /** Of the memberships that are over. */
  #past: ShardMoves = { taken: 0, givenUp: 0 };
  #rejoining: Promise<void> = Promise.resolve();
  #endPause: () => void = () => {};

  constructor(options: ClusterOptions) {
    this.#options = options;
  }

  epochOf(address: Address): number | null {
    return this.#membership?.epochOf(address) ?? null;
  }

  nodeOf(address: Address): string | null {
    const { node } = this.#options.membership.member;
    if (address.kind === 'node') return address.id;
    if (address.kind === MACHINE || address.kind === ARCHIVE) return address.id;
    if (address.kind === EXECUTOR) return nodeOfExecutor(address.id);
    if (this.epochOf(address) !== null) return node;
    const owner = this.#directory?.ownerOf(shardOf(address))?.node ?? null;
    // Ours by a view that is behind, or by a lease that may be over.
    return owner === node ? null : owner;
  }

  /** As far as we know; null while we are no member ourselves. */
  get members(): readonly Member[] | null {
    return this.#isJoined ? (this.#directory?.members ?? null) : null;
  }

  /** The actors of our shards run, or are being started. */
  get isJoined(): boolean {
    return this.#isJoined;
  }

  /** Undefined: no such member, as far as we know. */
  memberOf(node: string): Member | undefined {
    return this.#directory?.memberOf(node);
  }

  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  /** Whether the node's daemon is in the cluster, as this one last read it. */
  isMember(node: string): boolean {
    return this.memberOf(node) !== undefined;
  }

  /** Carries this share of the shards from now on; the others see it, and shards move. Errors: `store/*`. */
  async carry(weight: number): Promise<void> {
    if (this.#membership === null) throw new TroupeError('store/lease-lost', 'not a member now');
    await this.#membership.carry(weight);
  }

  /** Shards that this daemon owns. */
  get shardCount(): number {
    return this.#membership?.shards.length ?? 0;
  }

  /** Every shard that somebody owns, as far as we know. */
  get shardOwners(): { readonly shard: number; readonly node: string; readonly epoch: number }[] {
    return Array.from({ length: SHARDS }, (_, shard) => shard).flatMap((shard) => {
      const owner = this.#directory?.ownerOf(shard) ?? null;
      return owner === null ? [] : [{ shard, node: owner.node, epoch: owner.epoch }];
    });
  }

  /** Since the start of the daemon; what went with a lost lease is given up. */
  get shardMoves(): ShardMoves {
    return movesOf(this.#past, this.#membership?.moves);
  }

  get leaseLosses(): number {
    return this.#leaseLosses;
  }

  /** Joins and starts the actors that have work; resolves to how many. After an error: leave(). Errors: `host/locked`, `store/*`. */
  async join(runtime: Runtime): Promise<number> {
    const { membership: options, onJoined } = this.#options;
    const membership = await Membership.join(options);
    this.#membership = membership;
    membership.onLost((end) => this.#lost(runtime, end));
    const keeper = this.#keeper(runtime, membership);
    await this.#directory?.ready();
    await keeper.claim();
    await onJoined();
    this.#checkJoined(membership);
    const actors = await keeper.run();
    this.#checkJoined(membership);
    this.#isJoined = true;
    return actors;
  }

  #keeper(runtime: Runtime, membership: Membership): ShardKeeper {
    const { store, keys, clock, log, random } = this.#options;
    const { node } = this.#options.membership.member;
    const onChange = () => {
      this.#shards?.changed();
      for (const listener of this.#listeners) listener();
    };
    const directory = new Directory({ store, keys, clock, random, log, onChange });
    const actors = this.#actors(runtime);
    const keeper = new ShardKeeper({ node, membership, directory, actors, clock, log });
    this.#directory = directory;
    this.#shards = keeper;
    return keeper;
  }

  #actors(runtime: Runtime): ShardActors {
    const { store, keys, log } = this.#options;
    const shardIn = (shards: ReadonlySet<number>, address: Address) => {
      const shard = address.kind === 'node' ? null : shardOf(address);
      return shard !== null && shards.has(shard) ? shard : null;
    };
    const isIn = (shards: ReadonlySet<number>) => (address: Address) =>
      shardIn(shards, address) !== null;
    return {
      start: (shards) => runtime.resume(() => storedObjects(store, keys, log, isIn(shards))),
      stop: (shards) => runtime.drain((address) => shardIn(shards, address)),
    };
  }

  #checkJoined(membership: Membership): void {
    if (this.#membership === membership) return;
    const message = 'the lease was over before the actors were started';
    throw new TroupeError('store/lease-lost', message);
  }

  /** Gives the shards up; when the store is out of reach they go by their TTL. Stop the runtime first. */
  async leave(): Promise<void> {
    this.#isLeaving = true;
    this.#endPause();
    await this.#letGo();
    await this.#rejoining;
    await this.#giveUp();
  }

  #lost(runtime: Runtime, end: string): void {
    this.#forgetMembership();
    void this.#letGo();
    const wasJoined = this.#isJoined;
    this.#isJoined = false;
    if (this.#isLeaving || !wasJoined) return;
    this.#leaseLosses++;
    this.#options.log('warn', 'lease lost: not deciding any more, guests run on', { end });
    this.#rejoining = this.#rejoin(runtime).catch((error: unknown) => {
      this.#options.log('error', 'giving up joining the cluster', { error });
    });
  }

  async #rejoin(runtime: Runtime): Promise<void> {
    const { log } = this.#options;
    let pauseMs = REJOIN_MS;
    let told = '';
    while (!this.#isLeaving) {
      try {
        await runtime.stop(() => true);
        log('info', 'joined again', { actors: await this.join(runtime) });
        return;
      } catch (error) {
        if (error instanceof TroupeError && error.code === 'node/removed') {
          return this.#options.onRemoved(error);
        }
        const reason = reasonOf(error);
        // An outage was told of when the lease was lost; anything else somebody has to see to.
        const isNews = reason !== told && codeOf(error) !== 'store/unavailable';
        log(isNews ? 'warn' : 'debug', 'not joined yet', { reason });
        told = reason;
      }
      // A try that got half way holds the node's name: the next would find it taken.
      await this.#giveUp();
      await this.#pause(pauseMs);
      pauseMs = Math.min(pauseMs * 2, LONGEST_REJOIN_MS);
    }
  }

  async #giveUp(): Promise<void> {
    const membership = this.#membership;
    this.#forgetMembership();
    this.#isJoined = false;
    try {
      await this.#letGo();
      await membership?.leave();
    } catch (error) {
      this.#options.log('warn', 'the shards go by their TTL', { reason: reasonOf(error) });
    }
  }

  #forgetMembership(): void {
    const membership = this.#membership;
    this.#membership = null;
    if (membership === null) return;
    const { moves, shards } = membership;
    const lost = { taken: 0, givenUp: shards.length };
    this.#past = movesOf(movesOf(this.#past, moves), lost);
  }

  /** Shards move no more. Owner keys stay until the lease ends. */
  async #letGo(): Promise<void> {
    const [keeper, directory] = [this.#shards, this.#directory];
    this.#shards = null;
    this.#directory = null;
    // A round that waits for the store ends by its deadline; a directory that was never read, at once.
    await Promise.all([directory?.close(), keeper?.stop()]);
  }

  /** leave() ends it early. */
  #pause(ms: number): Promise<void> {
    if (this.#isLeaving) return Promise.resolve();
    return new Promise((resolve) => {
      const timer = this.#options.clock.after(ms, resolve);
      this.#endPause = () => {
        timer.cancel();
        resolve();
      };
    });
  }
}

function movesOf(past: ShardMoves, { taken, givenUp }: ShardMoves = NO_MOVES): ShardMoves {
  return { taken: past.taken + taken, givenUp: past.givenUp + givenUp };
}
