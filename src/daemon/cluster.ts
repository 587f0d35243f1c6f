// This daemon in the cluster: joined under a lease it owns shards and runs their actors; when the lease is
// lost it stops deciding at once, leaves the machine as it is, and joins again when the store is back.
import type { Clock } from '../../actors/kernel/clock.ts';
import { reasonOf } from '../../actors/kernel/errors.ts';
import type { Address } from '../../actors/kernel/kind.ts';
import type { Log, Ownership } from '../../actors/kernel/ports.ts';
import type { Runtime } from '../../actors/kernel/runtime.ts';
import { Membership, type MembershipOptions } from '../../transport/sharding/membership.ts';
import { SHARDS } from '../../transport/sharding/shard.ts';
import type { Keys } from '../../transport/store/keys.ts';
import type { Store } from '../../transport/store/store.ts';
import { storedObjects } from './feed.ts';

export interface ClusterOptions {
  readonly store: Store;
  readonly keys: Keys;
  readonly clock: Clock;
  readonly log: Log;
  readonly membership: MembershipOptions;
  /** Called each time the daemon has joined and owns its shards, before the actors are started. */
  readonly onJoined: () => Promise<void>;
}

const REJOIN_MS = 500;
const LONGEST_REJOIN_MS = 10_000;

/** Whoever owns an address decides for it; the runtime asks here before each turn. */
export class Cluster implements Ownership {
  readonly #options: ClusterOptions;
  #membership: Membership | null = null;
  #runtime: Runtime | null = null;
  #isLeaving = false;
  #rejoining: Promise<void> = Promise.resolve();

  constructor(options: ClusterOptions) {
    this.#options = options;
  }

  epochOf(address: Address): number | null {
    return this.#membership?.epochOf(address) ?? null;
  }

  /** Joins and starts the actors that have work; resolves to how many. Errors: `host/locked`, `store/*`. */
  async join(runtime: Runtime): Promise<number> {
    this.#runtime = runtime;
    const { store, keys, log, membership: options, onJoined } = this.#options;
    const membership = await Membership.join(options);
    this.#membership = membership;
    membership.onLost((end) => this.#lost(end));
    const shards = await membership.takeShards();
    if (shards < SHARDS) log('warn', 'some shards have another owner', { shards });
    await onJoined();
    return runtime.resume(() => storedObjects(store, keys, log));
  }

  /** Gives the shards up. Stop the runtime first. */
  async leave(): Promise<void> {
    this.#isLeaving = true;
    await this.#rejoining;
    await this.#membership?.leave();
    this.#membership = null;
  }

  #lost(end: string): void {
    if (this.#isLeaving) return;
    this.#options.log('warn', 'lease lost: not deciding any more, guests run on', { end });
    this.#membership = null;
    this.#rejoining = this.#rejoin().catch((error: unknown) => {
      this.#options.log('error', 'giving up joining the cluster', { error });
    });
  }

  async #rejoin(): Promise<void> {
    const runtime = this.#runtime;
    if (runtime === null) return;
    await runtime.stop(() => true);
    for (
      let pauseMs = REJOIN_MS;
      !this.#isLeaving;
      pauseMs = Math.min(pauseMs * 2, LONGEST_REJOIN_MS)
    ) {
      try {
        const actors = await this.join(runtime);
        this.#options.log('info', 'joined again', { actors });
        return;
      } catch (error) {
        this.#options.log('debug', 'not joined yet', { reason: reasonOf(error) });
        await new Promise<void>((resolve) => this.#options.clock.after(pauseMs, resolve));
      }
    }
  }
}
