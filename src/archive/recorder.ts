// Follows the store and records all that happens: objects and events, in revision order.
//
// R1  The file's cursor is the only cursor. Whatever fails, following begins again after what is in the file.
// R2  Batches are handed to listeners after they are in the file, in order, each once, within one life of the recorder.
// R3  What the store has to say is held in memory up to MAX_QUEUED changes; more is left in the store until there is room.
// R4  When the store has forgotten what comes next (compaction), or is another one, see catch-up.ts.
import type { Clock, Timer } from '../../actors/kernel/clock.ts';
import { reasonOf, TroupeError } from '../../actors/kernel/errors.ts';
import type { Log } from '../../actors/kernel/ports.ts';
import { backoff, type Backoff } from '../../transport/store/backoff.ts';
import type { Keys } from '../../transport/store/keys.ts';
import type { Change, Store } from '../../transport/store/store.ts';
import type { Archive } from './archive.ts';
import { fillFrom, listStore, unrecorded, type ArchivePeers } from './catch-up.ts';
import { rowsOf } from './decode.ts';
import type { HistoryBatch } from './history.ts';
import { without, type Range, type Row } from './record.ts';

export interface RecorderOptions {
  readonly store: Store;
  readonly keys: Keys;
  readonly archive: Archive;
  readonly peers: ArchivePeers;
  readonly clock: Clock;
  /** For the jitter of retries. */
  readonly random: () => number;
  readonly log: Log;
  /** Called after each batch that is in the file, with how many events it held. */
  readonly onRecorded?: (revision: number, events: number) => void;
}

const MAX_QUEUED = 20_000;
/** Of one transaction of the file: a reader waits no longer than that takes. */
const MAX_BATCH = 1_000;
const ASK_AGAIN_MS = 2_000;
const LONGEST_ASK_AGAIN_MS = 600_000;

export class Recorder {
  readonly #options: RecorderOptions;
  readonly #listeners = new Set<(batch: HistoryBatch) => void>();
  readonly #backoff: Backoff;
  readonly #ready = Promise.withResolvers<void>();
  #revision = 0;
  #isClosed = false;
  #endWait: () => void = () => {};
  #run: Promise<void>;
  #repair: Timer | undefined;
  #repairing: Promise<void> = Promise.resolve();

  constructor(options: RecorderOptions) {
    this.#options = options;
    this.#backoff = backoff(100, 10_000, options.random);
    this.#ready.promise.catch(() => undefined);
    this.#run = this.#record();
  }

  /** Recorded up to this revision, or seen to hold nothing to record. */
  get revision(): number {
    return this.#revision;
  }

  /** Resolves when it has begun to follow; rejects with `store/closed` when closed before. */
  ready(): Promise<void> {
    return this.#ready.promise;
  }

  onRecorded(listener: (batch: HistoryBatch) => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  /** Close it before the archive and the store. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#ready.reject(new TroupeError('store/closed', 'the recorder is closed'));
    this.#repair?.cancel();
    this.#endWait();
    await this.#run;
    await this.#repairing;
  }

  async #record(): Promise<void> {
    const { archive, log } = this.#options;
    while (!this.#isClosed) {
      try {
        const { cursor, setAside } = await archive.open();
        if (setAside !== null)
          log('error', 'the archive was set aside, and begins anew', { reason: setAside });
        this.#revision = Math.max(cursor, setAside === null ? this.#revision : 0);
        if (cursor === 0) await this.#catchUp(0, false);
        await this.#follow(await this.#cursor());
      } catch (error) {
        if (this.#isClosed) return;
        log('warn', 'history is not recorded now', { reason: reasonOf(error) });
        await this.#pause();
      }
    }
  }

  async #cursor(): Promise<number> {
    return (await this.#options.archive.open()).cursor;
  }

  /** Resolves when there is too much to hold (R3); rejects when recording fails. */
  async #follow(cursor: number): Promise<void> {
    const { store, keys } = this.#options;
    const intake = new Intake((changes, revision) => this.#take(changes, revision));
    // All of the cluster in one watch: its changes come in one order.
    const watch = store.watch(
      { prefix: keys.root, fromRevision: Math.max(cursor, this.#revision) + 1 },
      {
        changes: (changes, revision) => intake.add(changes, revision),
        ended: (error) => intake.fail(error),
      },
    );
    this.#endWait = () => intake.fail(new TroupeError('store/closed', 'the recorder is closed'));
    this.#ready.resolve();
    this.#startRepairs();
    try {
      await intake.end;
    } catch (error) {
      if (!(error instanceof TroupeError) || error.code !== 'store/compacted') throw error;
      const seen = Math.max(await this.#cursor(), this.#revision);
      await this.#catchUp(seen, error.detail['replaced'] === true);
    } finally {
      await watch.close();
      await intake.settled();
    }
  }

  /** One batch of whole revisions. */
  async #take(changes: readonly Change[], revision: number): Promise<void> {
    const { keys, log, clock, archive } = this.#options;
    const rows = rowsOf(changes, { keys, log, nowMs: clock.nowMs() });
    // What holds nothing to record is not written: it costs nothing to see it again.
    const recorded = rows.length === 0 ? [] : await archive.record({ rows, gaps: [], revision });
    this.#backoff.reset();
    this.#passOn(recorded, revision);
  }

  #passOn(rows: readonly Row[] | null, revision: number): void {
    this.#revision = revision;
    const items = rows === null ? null : rows.filter((row) => row.what === 'event');
    for (const listener of this.#listeners) listener({ items, through: revision });
    this.#options.onRecorded?.(revision, items?.length ?? Infinity);
  }

  async #catchUp(cursor: number, isReplaced: boolean): Promise<void> {
    const { store, keys, archive, clock, log } = this.#options;
    const listing = await listStore(store, keys);
    const { revision } = listing;
    const isOther = isReplaced || revision < cursor;
    if (isOther) {
      log('error', 'the store has gone back to an older state: its history begins anew', {
        cursor,
        revision,
      });
      await archive.restart();
    }
    const since = isOther ? 0 : cursor;
    const rows = await unrecorded(archive, listing, since, { keys, log, nowMs: clock.nowMs() });
    // Who changes an object, or takes it away, is seen in the listing: then nothing has happened in between.
    const isMissing = rows.length > 0 && !isOther;
    const missing = isMissing ? await this.#fill([{ from: since + 1, to: revision }]) : [];
    const reason = since === 0 ? 'before-archive' : 'compacted';
    const gaps = missing.map((range) => {
      return { ...range, count: null, reason, namespace: '', type: '' } as const;
    });
    for (const { from, to } of missing) log('warn', 'no archive has this', { from, to });
    await archive.record({ rows: rows.toSorted(byRevision), gaps, revision });
    this.#passOn(null, revision);
  }

  async #fill(missing: readonly Range[]): Promise<readonly Range[]> {
    const { archive, peers, log } = this.#options;
    return (await fillFrom(archive, peers, { nodes: peers.others(), missing, log })).missing;
  }

  /** Archives that were out of reach when something was missing are asked again, until each has answered. */
  #startRepairs(): void {
    this.#repair?.cancel();
    this.#repairIn(ASK_AGAIN_MS, null);
  }

  #repairIn(ms: number, unasked: readonly string[] | null): void {
    if (this.#isClosed) return;
    this.#repair = this.#options.clock.after(ms, () => {
      this.#repairing = this.#tryRepair(unasked).then(
        (left) => {
          const pauseMs = Math.min(ms * 2, LONGEST_ASK_AGAIN_MS);
          if (left.length > 0) this.#repairIn(pauseMs, left);
        },
        (error: unknown) =>
          this.#options.log('warn', 'what is missing was not asked for', {
            reason: reasonOf(error),
          }),
      );
    });
  }

  /** Resolves to whom it could not ask. */
  async #tryRepair(unasked: readonly string[] | null): Promise<readonly string[]> {
    const { archive, peers, log } = this.#options;
    const status = (await archive.answer({ kind: 'status' })) as { missing?: readonly Range[] };
    const missing = status.missing ?? [];
    if (missing.length === 0) return [];
    const nodes = unasked ?? peers.others();
    const filled = await fillFrom(archive, peers, { nodes, missing, log });
    await archive.narrowGaps(without(missing, filled.missing));
    return filled.missing.length === 0 ? [] : filled.unasked;
  }

  #pause(): Promise<void> {
    return new Promise((resolve) => {
      const timer = this.#options.clock.after(this.#backoff.nextMs(), resolve);
      this.#endWait = () => {
        timer.cancel();
        resolve();
      };
      if (this.#isClosed) this.#endWait();
    });
  }
}

const byRevision = (a: Row, b: Row) => a.revision - b.revision;

/** Takes batches in, one after another. */
class Intake {
  readonly #take: (changes: readonly Change[], revision: number) => Promise<void>;
  readonly #end = Promise.withResolvers<void>();
  #queue: { readonly changes: readonly Change[]; readonly revision: number }[] = [];
  #queued = 0;
  #isOver = false;
  #working: Promise<void> | null = null;

  constructor(take: (changes: readonly Change[], revision: number) => Promise<void>) {
    this.#take = take;
    this.#end.promise.catch(() => undefined);
  }

  get end(): Promise<void> {
    return this.#end.promise;
  }

  /** The batch being taken in, if any, has been. */
  async settled(): Promise<void> {
    this.#isOver = true;
    await this.#working;
  }

  fail(error: Error): void {
    this.#isOver = true;
    // What came before it is taken in first.
    void (this.#working ?? Promise.resolve()).then(() => this.#end.reject(error));
  }

  add(changes: readonly Change[], revision: number): void {
    if (this.#isOver) return;
    if (this.#queued >= MAX_QUEUED) {
      this.#isOver = true;
      void this.#working?.then(() => this.#end.resolve());
      return;
    }
    this.#queue.push({ changes, revision });
    this.#queued += changes.length;
    this.#working ??= this.#work();
  }

  async #work(): Promise<void> {
    try {
      while (this.#queue.length > 0) {
        const { changes, revision } = this.#next();
        await this.#take(changes, revision);
        this.#queued -= changes.length;
      }
    } catch (error) {
      this.#isOver = true;
      this.#queue = [];
      this.#end.reject(error instanceof Error ? error : new Error(reasonOf(error)));
    }
    this.#working = null;
  }

  /** As many whole revisions as one batch takes. */
  #next(): { changes: readonly Change[]; revision: number } {
    const changes: Change[] = [];
    let revision = 0;
    while (this.#queue.length > 0 && changes.length < MAX_BATCH) {
      const one = this.#queue.shift();
      if (one === undefined) break;
      changes.push(...one.changes);
      ({ revision } = one);
    }
    return { changes, revision };
  }
}
