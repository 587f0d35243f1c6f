// Brings the shards that a daemon owns in line with those that it ought to own, at every change of members and
// owners: gives up what another is meant to run, takes what is free and its own.
//
// H1  A shard is given up only after its actors have stopped, and taken only when its key is absent: the two
//     daemons of a hand-over never decide at once, whatever each believes of the member list.
// H2  Rounds run one after another. A change during a round asks for one more.
// H3  From claim() on shards are given up and taken; actors that have work are started from run() on. A daemon that
//     is about to run them may need, before that, what a shard of its own decides: it must not wait for itself.
// H4  A shard goes when its own actors have stopped: one that is slow to end what it does keeps only its shard waiting.
// H5  What failed on the store is tried again after a pause, as long as the lease holds. A shard that was taken
//     although the answer was lost is found in the directory, under our lease.
import type { Clock, Timer } from '../../actors/kernel/clock.ts';
import { reasonOf } from '../../actors/kernel/errors.ts';
import type { Log } from '../../actors/kernel/ports.ts';
import type { Directory } from './directory.ts';
import type { Membership } from './membership.ts';
import { carriersOf, placeShards } from './placement.ts';
import { SHARDS } from './shard.ts';

const RETRY_MS = 500;
/** Shards whose actors stop within this are given up together. */
const TOGETHER_MS = 100;

/** The actors of shards, as who runs them sees it. */
export interface ShardActors {
  /** Starts those that have work; resolves to how many. */
  start(shards: ReadonlySet<number>): Promise<number>;
  /** Stops all; for each shard that has any: until none of its own decides or acts any more. Never rejects. */
  stop(shards: ReadonlySet<number>): ReadonlyMap<number, Promise<unknown>>;
}

export interface ShardKeeperOptions {
  readonly node: string;
  readonly membership: Membership;
  readonly directory: Directory;
  readonly actors: ShardActors;
  readonly clock: Clock;
  readonly log: Log;
}

export class ShardKeeper {
  readonly #options: ShardKeeperOptions;
  /** Shards whose actors were started. */
  readonly #started = new Set<number>();
  /** Null: changes are not acted on yet, or not any more. */
  #mode: 'idle' | 'running' | null = null;
  #mayStart = false;
  #round: Promise<number> = Promise.resolve(0);
  #isDue = false;
  #retry: Timer | undefined;

  constructor(options: ShardKeeperOptions) {
    this.#options = options;
  }

  /** Takes what is free and ours, and acts on changes from now on; starts no actors yet. Errors: `store/*`. */
  async claim(): Promise<void> {
    await this.#take(this.#wanted());
    this.#mode = 'idle';
    if (this.#isDue) void this.#begin();
  }

  /** Starts actors, now and of what is taken later. Resolves to how many were started at once. */
  async run(): Promise<number> {
    while (this.#mode === 'running') await this.#round;
    if (this.#mode === null) return 0;
    this.#mayStart = true;
    return await this.#begin();
  }

  /** Members or owners have changed. */
  changed(): void {
    this.#isDue = true;
    if (this.#mode === 'idle') void this.#begin();
  }

  /** No round begins any more; resolves when the one under way is over. Shards stay as they are. */
  async stop(): Promise<void> {
    this.#mode = null;
    this.#retry?.cancel();
    await this.#round;
  }

  #begin(): Promise<number> {
    this.#retry?.cancel();
    this.#mode = 'running';
    this.#round = this.#rounds();
    return this.#round;
  }

  async #rounds(): Promise<number> {
    let started = 0;
    try {
      do {
        this.#isDue = false;
        started += await this.#once();
      } while (this.#isDue && this.#mode === 'running');
    } catch (error) {
      this.#retryLater(error);
    }
    if (this.#mode === 'running') this.#mode = 'idle';
    return started;
  }

  async #once(): Promise<number> {
    this.#adopt();
    const wanted = this.#wanted();
    await this.#giveUp(wanted);
    await this.#take(wanted);
    return this.#start();
  }

  /** Also what is another's to run by now: nobody but us can give up what is under our lease. */
  #adopt(): void {
    const { membership, directory } = this.#options;
    for (let shard = 0; shard < SHARDS; shard++) {
      const owner = directory.ownerOf(shard);
      if (owner !== null) membership.adopt(shard, owner);
    }
  }

  /** What placement means us to run, by what we know of the members now. */
  #wanted(): ReadonlySet<number> {
    const { node, directory } = this.#options;
    const placed = placeShards(carriersOf(directory.members));
    return new Set(placed.flatMap((owner, shard) => (owner === node ? [shard] : [])));
  }

  async #giveUp(wanted: ReadonlySet<number>): Promise<void> {
    const { membership, actors, log } = this.#options;
    const surplus = new Set(membership.shards.filter((shard) => !wanted.has(shard)));
    if (this.#mode === null) return;
    const leaving = new Set([...surplus, ...membership.leaving]);
    if (leaving.size === 0) return;
    const stopping = actors.stop(surplus);
    for (const shard of surplus) this.#started.delete(shard);
    const stopped = new Set([...leaving].filter((shard) => !stopping.has(shard)));
    const ends = [...stopping].map(([shard, end]) => end.then(() => stopped.add(shard)));
    const all = Promise.all(ends);
    try {
      for (let left = leaving.size; left > 0; left -= await this.#release(stopped))
        await this.#atMost(TOGETHER_MS, all);
    } finally {
      // Before another round: it may mean a shard to stay whose actors are still on their way out.
      await all;
    }
    log('info', 'gave shards up', { shards: leaving.size });
  }

  /** Gives up what has been added by now, and takes it out of there; resolves to how many. */
  async #release(stopped: Set<number>): Promise<number> {
    const shards = [...stopped];
    stopped.clear();
    await this.#options.membership.release(shards);
    return shards.length;
  }

  async #atMost(ms: number, end: Promise<unknown>): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = this.#options.clock.after(ms, resolve);
    await Promise.race([promise, end]);
    timer.cancel();
  }

  async #take(wanted: ReadonlySet<number>): Promise<void> {
    const { membership, directory } = this.#options;
    const held = new Set(membership.shards);
    const missing = [...wanted].filter((shard) => !held.has(shard));
    await membership.take(missing.filter((shard) => directory.ownerOf(shard) === null));
  }

  async #start(): Promise<number> {
    const { membership, actors, log } = this.#options;
    const fresh = new Set(membership.shards.filter((shard) => !this.#started.has(shard)));
    if (fresh.size === 0 || !this.#mayStart || this.#mode === null) return 0;
    const started = await actors.start(fresh);
    for (const shard of fresh) this.#started.add(shard);
    log('info', 'took shards', { shards: fresh.size, actors: started });
    return started;
  }

  #retryLater(error: unknown): void {
    const { clock, log } = this.#options;
    if (this.#mode === null) return;
    log('warn', 'shards are not as they ought to be yet', { reason: reasonOf(error) });
    this.#retry = clock.after(RETRY_MS, () => this.changed());
  }
}
