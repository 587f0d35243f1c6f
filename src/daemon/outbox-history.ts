// The history as far as the store's outbox reaches: one follower of all events, in revision order.
//
// X1  News are handed on once the read model has their revision: whose an object is, is known by then.
// X2  The outbox keeps the newest events of each object, and none of an object that is gone. Where an object's are cut off
//     a gap says so.
// X3  A page is read from the store as a whole; it is the archive's business to be quicker.
import type { Clock } from '../../actors/kernel/clock.ts';
import { reasonOf } from '../../actors/kernel/errors.ts';
import type { EventRecord, Log } from '../../actors/kernel/ports.ts';
import { SYSTEM } from '../../actors/namespace/state.ts';
import { KEPT } from '../../transport/sharding/event-outbox.ts';
import { decodeEnvelope } from '../../transport/store/codec.ts';
import { follow, type Follow } from '../../transport/store/follow.ts';
import type { Keys } from '../../transport/store/keys.ts';
import type { Change, Entry, Store } from '../../transport/store/store.ts';
import {
  matches,
  type History,
  type HistoryBatch,
  type HistoryEvent,
  type HistoryGap,
  type HistoryItem,
  type HistoryPage,
  type HistoryQuery,
} from '../archive/history.ts';
import type { ReadModel } from '../read/read-model.ts';

/** Of whom the namespace is remembered after they are gone. */
const MAX_REMEMBERED = 100_000;
const REACHED_MS = 5_000;

export interface OutboxOptions {
  readonly store: Store;
  readonly keys: Keys;
  readonly read: ReadModel;
  readonly clock: Clock;
  readonly random: () => number;
  readonly log: Log;
  onFailed(error: Error): void;
}

interface News {
  readonly changes: readonly Change[];
  readonly through: number;
}

export class OutboxHistory implements History {
  readonly #options: OutboxOptions;
  readonly #listeners = new Set<(batch: HistoryBatch) => void>();
  readonly #namespaces = new Map<string, string>();
  readonly #follow: Follow;
  readonly #waiting: News[] = [];
  #isHandingOn = false;
  #isFirst = true;
  #revision = 0;

  constructor(options: OutboxOptions) {
    this.#options = options;
    const { store, keys, clock, random } = options;
    this.#follow = follow(
      store,
      keys.events(),
      {
        changes: (changes, through) => this.#changed(changes, through),
        failed: (error) => options.onFailed(error),
      },
      { clock, random },
    );
  }

  get revision(): number {
    return this.#revision;
  }

  ready(): Promise<void> {
    return this.#follow.ready();
  }

  close(): Promise<void> {
    this.#listeners.clear();
    return this.#follow.close();
  }

  onRecorded(listener: (batch: HistoryBatch) => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  async read({ after, upTo = this.#revision, filter, limit }: HistoryQuery): Promise<HistoryPage> {
    const { store, keys } = this.#options;
    const { types: _types, ...whose } = filter;
    const { kind, id } = filter;
    const events: HistoryEvent[] = [];
    const gaps: HistoryGap[] = [];
    const cuts = new CutOffs(after, upTo);
    for await (const { entries } of store.rangeAll({ prefix: keys.events(kind, id) })) {
      for (const entry of entries) {
        const event = this.#eventOf(entry);
        if (event === undefined || entry.modRevision > upTo) continue;
        if (!matches(whose, event)) continue;
        cuts.count(event);
        if (entry.modRevision > after && matches(filter, event)) events.push(event);
      }
    }
    gaps.push(...cuts.gaps());
    return page([...gaps, ...events].toSorted(byRevision), upTo, limit);
  }

  #changed(changes: readonly Change[], through: number): void {
    if (this.#isFirst) {
      // What there was before is read by those who want it.
      this.#isFirst = false;
      this.#revision = through;
      return;
    }
    this.#waiting.push({ changes, through });
    if (this.#isHandingOn) return;
    this.#isHandingOn = true;
    void this.#handOn().finally(() => (this.#isHandingOn = false));
  }

  async #handOn(): Promise<void> {
    for (let news = this.#waiting.shift(); news !== undefined; news = this.#waiting.shift()) {
      const { changes, through } = news;
      const puts = changes.filter((change) => change.kind === 'put');
      const last = puts.at(-1)?.revision;
      // Events stand in the same transactions as objects, so the copy gets there.
      while (last !== undefined && this.#options.read.revision < last) await this.#reach(last);
      const items = puts.flatMap(({ entry }) => this.#eventOf(entry) ?? []).toSorted(byRevision);
      this.#revision = through;
      for (const listener of this.#listeners) listener({ items, through });
    }
  }

  async #reach(revision: number): Promise<void> {
    const { read, log } = this.#options;
    try {
      await read.reached(revision, REACHED_MS);
    } catch (error) {
      log('warn', 'events wait for the copy of the store', { reason: reasonOf(error) });
    }
  }

  #eventOf({ key, value, modRevision: revision }: Entry): HistoryEvent | undefined {
    const parsed = this.#options.keys.parse(key);
    const decoded = decodeEnvelope(value);
    if (parsed?.area !== 'events' || !decoded.ok) return undefined;
    const { kind, id } = parsed;
    const event = decoded.envelope.state as EventRecord;
    return { what: 'event', revision, kind, id, namespace: this.#namespaceOf(kind, id), event };
  }

  /** Of those who belong to nobody, or are gone for long: system's. */
  #namespaceOf(kind: string, id: string): string {
    if (kind === 'namespace') return id;
    const { read } = this.#options;
    const collections = {
      instance: read.instances,
      interface: read.interfaces,
      network: read.networks,
      artifact: read.artifacts,
    };
    const key = `${kind}/${id}`;
    const known = Object.hasOwn(collections, kind)
      ? collections[kind as keyof typeof collections].get(id)?.state.namespace
      : undefined;
    if (known === undefined || known === null || known === '')
      return this.#namespaces.get(key) ?? SYSTEM;
    const [oldest] = this.#namespaces.keys();
    if (this.#namespaces.size >= MAX_REMEMBERED && oldest !== undefined) {
      this.#namespaces.delete(oldest);
    }
    this.#namespaces.set(key, known);
    return known;
  }
}

/** Finds the objects of which the outbox has let go of events. */
class CutOffs {
  readonly #after: number;
  readonly #upTo: number;
  readonly #seen = new Map<string, { count: number; oldest: number }>();

  constructor(after: number, upTo: number) {
    this.#after = after;
    this.#upTo = upTo;
  }

  count({ kind, id, revision }: HistoryEvent): void {
    const key = `${kind}/${id}`;
    const { count = 0, oldest = revision } = this.#seen.get(key) ?? {};
    this.#seen.set(key, { count: count + 1, oldest: Math.min(oldest, revision) });
  }

  *gaps(): Generator<HistoryGap> {
    for (const { count, oldest } of this.#seen.values()) {
      const [from, to] = [this.#after + 1, Math.min(oldest - 1, this.#upTo)];
      if (count < KEPT || from > to) continue;
      yield { what: 'gap', from, to, count: null, reason: 'bound' };
    }
  }
}

/** The first `limit` of the items, and what else is of the last one's revision. */
function page(items: readonly HistoryItem[], upTo: number, limit: number): HistoryPage {
  if (items.length <= limit) return { items, through: upTo, more: false };
  const last = items[limit - 1];
  const through = last === undefined ? upTo : revisionOf(last);
  return { items: items.filter((one) => revisionOf(one) <= through), through, more: true };
}

function revisionOf(item: HistoryItem): number {
  return item.what === 'gap' ? item.to : item.revision;
}

function byRevision(a: HistoryItem, b: HistoryItem): number {
  return revisionOf(a) - revisionOf(b);
}
