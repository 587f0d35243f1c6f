// Stand-ins for what the kernel needs from the world: a clock turned by hand, seeded randomness, a
// journal in memory that fails on demand, ownership given and taken, a log that keeps its lines.
import type { Clock, Timer } from '../../actors/kernel/clock.ts';
import { TroupeError } from '../../actors/kernel/errors.ts';
import { formatAddress, parseAddress, type Address } from '../../actors/kernel/kind.ts';
import type {
  EventRecord,
  Journal,
  Loaded,
  Log,
  LogLevel,
  Ownership,
  Random,
  TurnWrite,
} from '../../actors/kernel/ports.ts';
import { Runtime, type ResumeEntry, type RuntimeOptions } from '../../actors/kernel/runtime.ts';

/** Rounds of the event loop that settle() waits: more than any chain of hops between two timers here. */
const SETTLE_ROUNDS = 30;

/** Lets everything that needs no timer and no I/O come to rest: promises, and nact's turns. */
export async function settle(rounds = SETTLE_ROUNDS): Promise<void> {
  for (let round = 0; round < rounds; round++)
    await new Promise((resolve) => setImmediate(resolve));
}

/** Waits, in real time, until `condition` holds; throws after `timeoutMs` naming `what`. */
export async function until(
  condition: () => boolean,
  what: string,
  timeoutMs = 5_000,
): Promise<void> {
  const giveUpAt = performance.now() + timeoutMs;
  while (!condition()) {
    if (performance.now() > giveUpAt) throw new Error(`not within ${timeoutMs} ms: ${what}`);
    await new Promise((resolve) => setImmediate(resolve));
  }
}

interface ManualTimer {
  readonly dueMono: number;
  readonly run: () => void;
}

/** Time stands still until advance(). Monotonic time starts at 0, wall time at 1,000,000 ms. */
export class ManualClock implements Clock {
  #mono = 0;
  #wallOffset = 1_000_000;
  #timers: ManualTimer[] = [];

  nowMs(): number {
    return this.#mono + this.#wallOffset;
  }

  monoMs(): number {
    return this.#mono;
  }

  after(delayMs: number, run: () => void): Timer {
    const timer = { dueMono: this.#mono + Math.max(0, delayMs), run };
    this.#timers.push(timer);
    return { cancel: () => (this.#timers = this.#timers.filter((other) => other !== timer)) };
  }

  /** Timers that have not fired and are not cancelled. */
  get pending(): number {
    return this.#timers.length;
  }

  /** Somebody sets the wall clock; monotonic time does not move. */
  jumpWall(byMs: number): void {
    this.#wallOffset += byMs;
  }

  /** Moves time on, firing timers in order and letting everything settle after each. */
  async advance(byMs: number): Promise<void> {
    const end = this.#mono + byMs;
    await settle();
    for (let next = this.#next(end); next !== undefined; next = this.#next(end)) {
      const fired = next;
      this.#timers = this.#timers.filter((timer) => timer !== fired);
      this.#mono = Math.max(this.#mono, fired.dueMono);
      fired.run();
      await settle();
    }
    this.#mono = end;
    await settle();
  }

  #next(endMono: number): ManualTimer | undefined {
    const due = this.#timers.filter(({ dueMono }) => dueMono <= endMono);
    return due.reduce<ManualTimer | undefined>((first, timer) => {
      return first === undefined || timer.dueMono < first.dueMono ? timer : first;
    }, undefined);
  }
}

/** The same numbers for the same seed (mulberry32). */
export function seededRandom(seed: number): Random {
  let state = seed >>> 0;
  const number = () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
  const hex = (digits: number) => {
    let text = '';
    while (text.length < digits) text += Math.floor(number() * 16).toString(16);
    return text;
  };
  return {
    number,
    uuid: () => `${hex(8)}-${hex(4)}-4${hex(3)}-a${hex(3)}-${hex(12)}`,
  };
}

/** What a journal call does instead of working. `lost-answer`: the write is done, and nobody learns. */
export type Fault = 'unavailable' | 'lost-answer' | 'too-large' | 'broken' | 'hang';

/** Snapshots, events and index in memory, guarded by an epoch as the real one is. */
export class MemoryJournal implements Journal {
  readonly objects = new Map<string, Loaded>();
  readonly events = new Map<string, readonly EventRecord[]>();
  /** `namespace/kind/name` -> ids. */
  readonly index = new Map<string, ReadonlySet<string>>();
  /** What was committed, in order. */
  readonly writes: TurnWrite[] = [];
  loads = 0;
  /** The epoch that the store knows; a write under another is refused. */
  epoch: number;
  /** Asked before each call. */
  fault: (call: 'load' | 'commit', address: Address) => Fault | null = () => null;
  #revision = 0;

  constructor(epoch = 1) {
    this.epoch = epoch;
  }

  get revision(): number {
    return this.#revision;
  }

  async load(address: Address): Promise<Loaded | null> {
    this.loads++;
    await failed(this.fault('load', address), () => {});
    const loaded = this.objects.get(formatAddress(address));
    return loaded === undefined ? null : structuredClone(loaded);
  }

  async commit(write: TurnWrite): Promise<number> {
    await failed(this.fault('commit', write.address), () => this.#apply(write));
    return this.#apply(write);
  }

  /** Puts a snapshot there as if an earlier daemon had written it. */
  put(address: Address, schema: number, state: unknown): void {
    const loaded = { snapshot: { schema, state }, revision: ++this.#revision };
    this.objects.set(formatAddress(address), loaded);
  }

  stateOf(address: Address): unknown {
    return this.objects.get(formatAddress(address))?.snapshot.state;
  }

  messagesOf(address: Address): readonly string[] {
    return (this.events.get(formatAddress(address)) ?? []).map(({ message }) => message);
  }

  /** For Runtime.resume(). */
  *read(): Iterable<ResumeEntry> {
    for (const [key, loaded] of this.objects) {
      const address = parseAddress(key);
      if (address !== undefined) yield { address, loaded: structuredClone(loaded) };
    }
  }

  #apply(write: TurnWrite): number {
    if (write.epoch !== this.epoch)
      throw new TroupeError('shard/not-owner', `epoch ${write.epoch}, the store has ${this.epoch}`);
    // structuredClone refuses functions, and cuts the store's copy off from the actor's.
    const kept = structuredClone(write);
    const key = formatAddress(write.address);
    const revision = ++this.#revision;
    this.writes.push(kept);
    if (kept.snapshot === null) {
      this.objects.delete(key);
      this.events.delete(key);
    } else {
      this.objects.set(key, { snapshot: kept.snapshot, revision });
      this.events.set(key, [...(this.events.get(key) ?? []), ...kept.events]);
    }
    this.#reindex(kept);
    return revision;
  }

  #reindex({ address: { kind, id }, index: { before, after } }: TurnWrite): void {
    if (before !== null) {
      const row = `${before.namespace}/${kind}/${before.name}`;
      const rest = [...(this.index.get(row) ?? [])].filter((other) => other !== id);
      if (rest.length > 0) this.index.set(row, new Set(rest));
      else this.index.delete(row);
    }
    if (after === null) return;
    const row = `${after.namespace}/${kind}/${after.name}`;
    this.index.set(row, new Set([...(this.index.get(row) ?? []), id]));
  }
}

async function failed(fault: Fault | null, apply: () => unknown): Promise<void> {
  switch (fault) {
    case null:
      return;
    case 'unavailable':
      throw new TroupeError('store/unavailable', 'no answer within 5000 ms');
    case 'lost-answer':
      apply();
      throw new TroupeError('store/unavailable', 'the answer was lost');
    case 'too-large':
      throw new TroupeError('store/too-large', 'more than 512 KiB');
    case 'broken':
      throw new TypeError('the journal has a bug');
    case 'hang':
      return await new Promise<void>(() => {});
  }
}

/** Owns everything under one epoch until told otherwise. */
export class FakeOwnership implements Ownership {
  epoch: number | null;

  constructor(epoch: number | null = 1) {
    this.epoch = epoch;
  }

  epochOf(_address: Address): number | null {
    return this.epoch;
  }
}

export interface LogLine {
  readonly level: LogLevel;
  readonly message: string;
  readonly fields: Readonly<Record<string, unknown>>;
}

/** A log that is kept, to be asserted on. */
export function keptLog(): { readonly log: Log; readonly lines: LogLine[] } {
  const lines: LogLine[] = [];
  const log: Log = (level, message, fields = {}) => void lines.push({ level, message, fields });
  return { log, lines };
}

export interface World {
  readonly clock: ManualClock;
  readonly journal: MemoryJournal;
  readonly ownership: FakeOwnership;
  readonly random: Random;
  readonly lines: readonly LogLine[];
  readonly runtime: Runtime;
}

/** A runtime in a world of stand-ins; any of them may be given instead. */
export function makeWorld(
  given: Partial<RuntimeOptions> & { readonly seed?: number } = {},
): World & {
  /** Another daemon on the same clock and store, as after a restart or a failover. */
  restart(options?: Partial<RuntimeOptions>): Runtime;
} {
  const { log, lines } = keptLog();
  const clock = new ManualClock();
  const journal = new MemoryJournal();
  const ownership = new FakeOwnership();
  const random = seededRandom(given.seed ?? 1);
  const base = { node: 'n1', clock, journal, ownership, random, log };
  const restart = (options: Partial<RuntimeOptions> = {}) => {
    return new Runtime({ ...base, ...given, ...options });
  };
  return { clock, journal, ownership, random, lines, runtime: restart(), restart };
}
