// The history of a cluster in memory, as a node's archive has it: it may forget its oldest, and be late.
import type { EventRecord, TurnWrite } from '../../actors/kernel/ports.ts';
import {
  matches,
  type History,
  type HistoryBatch,
  type HistoryGap,
  type HistoryItem,
  type HistoryPage,
  type HistoryQuery,
} from '../../src/archive/history.ts';

export class MemoryHistory implements History {
  /** Reads that were answered. */
  reads = 0;
  /** What a read waits for. */
  beforeRead: () => Promise<void> = () => Promise.resolve();
  readonly #items: HistoryItem[] = [];
  readonly #listeners = new Set<(batch: HistoryBatch) => void>();
  #forgotten = 0;
  #forgottenCount = 0;
  #revision = 0;

  get revision(): number {
    return this.#revision;
  }

  /** A turn's events, as the store has them. */
  record({ address: { kind, id }, events, snapshot }: TurnWrite, revision: number): void {
    const { namespace = null } = (snapshot?.state ?? {}) as { namespace?: string | null };
    const whose = kind === 'namespace' ? id : (namespace ?? 'system');
    const items = events.map((event): HistoryItem => {
      return { what: 'event', revision, kind, id, namespace: whose, event };
    });
    this.batch(items, revision);
  }

  batch(items: readonly HistoryItem[], through: number): void {
    this.#items.push(...items);
    this.#revision = through;
    for (const listener of this.#listeners) listener({ items, through });
  }

  /** As an archive that had been away: what is new has to be read. */
  leap(items: readonly HistoryItem[], through: number): void {
    this.#items.push(...items);
    this.#revision = through;
    for (const listener of this.#listeners) listener({ items: null, through });
  }

  /** Lets go of all up to the revision. */
  forget(through: number): void {
    const kept = this.#items.filter((one) => revisionOf(one) > through);
    this.#forgottenCount += this.#items.length - kept.length;
    this.#items.splice(0, this.#items.length, ...kept);
    this.#forgotten = through;
  }

  async read({ after, upTo, filter, limit }: HistoryQuery): Promise<HistoryPage> {
    await this.beforeRead();
    this.reads++;
    const last = Math.min(upTo ?? this.#revision, this.#revision);
    const found = this.#items.filter((one) => {
      const revision = revisionOf(one);
      return revision > after && revision <= last && (one.what === 'gap' || matches(filter, one));
    });
    const items = after < this.#forgotten ? [this.#gap(after), ...found] : found;
    if (items.length <= limit) return { items, through: last, more: false };
    const through = revisionOf(items[limit - 1] ?? this.#gap(after));
    return { items: items.filter((one) => revisionOf(one) <= through), through, more: true };
  }

  onRecorded(listener: (batch: HistoryBatch) => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  #gap(after: number): HistoryGap {
    const [to, count] = [this.#forgotten, this.#forgottenCount];
    return { what: 'gap', from: after + 1, to, count, reason: 'retention' };
  }
}

function revisionOf(item: HistoryItem): number {
  return item.what === 'gap' ? item.to : item.revision;
}

/** An event of an object at a revision. */
export function eventAt(revision: number, changes: Partial<EventRecord> = {}): EventRecord {
  return {
    id: `event-${revision}`,
    atMs: 1_000 * revision,
    node: 'n1',
    trace: 'test',
    type: 'status',
    message: `event ${revision}`,
    ...changes,
  };
}
