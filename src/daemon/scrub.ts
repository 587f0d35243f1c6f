// Reads this machine's replicas again, each once in a while, and tells their blobs which are damaged or gone.
//
// S1  One at a time, the one that was read longest ago first, at a limited rate, on a thread of its own: guests feel little of it.
// S2  When each was read is kept with the replica, so that a restart reads nothing twice. They come due spread over the
//     last quarter of the interval.
// S3  That the files are there is looked at each time: it costs a listing.
// S4  What is found holds for the copy that the blob knew when the reading began (its generation); of one that it does not
//     count on nothing is said. What nobody knows here is the inventory's business.
import { createHash } from 'node:crypto';
import type { Clock } from '../../actors/kernel/clock.ts';
import { codeOf, reasonOf } from '../../actors/kernel/errors.ts';
import type { Log, Random, Router } from '../../actors/kernel/ports.ts';
import {
  blobRef,
  type BlobMessage,
  type BlobState,
  type Content,
} from '../../actors/blob/state.ts';
import type { BlobStore, Verdict } from '../../actors/blob/ports.ts';
import type { ReadModel } from '../read/read-model.ts';
import { Repeating } from './repeating.ts';

const FIRST_MS = 60_000;
/** Between two looks whether all are there (contract: artifacts 11.6). */
const EVERY_MS = 300_000;
/** Of the interval: over this part of it they come due. */
const SPREAD = 0.25;

export interface ScrubOptions {
  readonly node: string;
  readonly files: Pick<BlobStore, 'checkedAt' | 'verify'>;
  readonly read: Pick<ReadModel, 'blobs'>;
  readonly router: Router;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  /** Between two readings of one replica. */
  readonly intervalMs: number;
  readonly bytesPerSecond: number;
}

interface Held {
  readonly id: string;
  readonly content: Content;
  readonly generation: number;
  readonly isDamaged: boolean;
}

type Problem = Extract<BlobMessage, { kind: 'copy-damaged' }>['problem'];

/** Runs until stopped; stop() calls off the reading under way. */
export class Scrub {
  readonly #options: ScrubOptions;
  readonly #repeating: Repeating;
  readonly #stopping = new AbortController();

  constructor(options: ScrubOptions) {
    this.#options = options;
    const { clock, log, random } = options;
    this.#repeating = new Repeating({
      clock,
      log,
      firstMs: FIRST_MS,
      everyMs: EVERY_MS,
      trace: () => random.uuid(),
      failed: 'replicas were not all read again',
      run: (trace) => this.run(trace),
    });
  }

  stop(): Promise<void> {
    this.#stopping.abort();
    return this.#repeating.stop();
  }

  /** One round: what is missing, then what is due. */
  async run(trace: string): Promise<void> {
    const { files, clock } = this.#options;
    // Before the listing: what was to be there then.
    const wanted = this.#held();
    const there = await files.checkedAt();
    for (const held of wanted) {
      if (there.has(held.id) || held.isDamaged) continue;
      const reason = 'there is no such file on its disk any more';
      await this.#tellDamaged(held, 'missing', reason, trace);
    }
    const due = wanted
      .flatMap((held) => {
        const checkedAtMs = there.get(held.id);
        const isDue =
          checkedAtMs !== undefined && checkedAtMs + this.#pauseMs(held.id) <= clock.nowMs();
        return isDue ? [{ held, checkedAtMs }] : [];
      })
      .toSorted((a, b) => a.checkedAtMs - b.checkedAtMs);
    for (const { held } of due) {
      if (this.#stopping.signal.aborted) return;
      await this.#read(held.id, trace);
    }
  }

  /** S2. */
  #pauseMs(blobId: string): number {
    const [byte = 0] = createHash('sha256').update(blobId).digest();
    return this.#options.intervalMs * (1 - (SPREAD * byte) / 256);
  }

  #held(): Held[] {
    return [...this.#options.read.blobs.all()].flatMap(({ id, state }) => this.#heldOf(id, state));
  }

  #heldOf(id: string, { phase, content, replicas }: BlobState): Held[] {
    const replica = replicas[this.#options.node];
    const isCounted = replica?.phase === 'verified' || replica?.phase === 'damaged';
    if (phase !== 'created' || content === null || !isCounted) return [];
    const { generation } = replica;
    return [{ id, content, generation, isDamaged: replica.phase === 'damaged' }];
  }

  async #read(blobId: string, trace: string): Promise<void> {
    const { files, read, bytesPerSecond, log } = this.#options;
    const state = read.blobs.get(blobId)?.state;
    const [held] = state === undefined ? [] : this.#heldOf(blobId, state);
    // It has gone while others were read.
    if (held === undefined) return;
    const { signal } = this.#stopping;
    const { sha512 } = held.content;
    try {
      const verdict = await files.verify(blobId, signal, { sha512, bytesPerSecond });
      await this.#settle(held, verdict, trace);
    } catch (error) {
      if (signal.aborted) return;
      const isGone = codeOf(error) === 'image/missing';
      if (isGone) return await this.#tellDamaged(held, 'missing', reasonOf(error), trace);
      log('warn', 'a replica could not be read again', { trace, kind: 'blob', id: blobId, error });
    }
  }

  async #settle(held: Held, verdict: Verdict, trace: string): Promise<void> {
    if (!verdict.isGood)
      return await this.#tellDamaged(held, verdict.problem, verdict.reason, trace);
    if (held.isDamaged) await this.#tell(held, { kind: 'copy-good' }, trace);
  }

  async #tellDamaged(held: Held, problem: Problem, reason: string, trace: string): Promise<void> {
    const { log } = this.#options;
    log('error', 'a replica is damaged', { trace, kind: 'blob', id: held.id, problem, reason });
    if (!held.isDamaged) await this.#tell(held, { kind: 'copy-damaged', problem, reason }, trace);
  }

  async #tell(
    { id, generation }: Held,
    what:
      | { readonly kind: 'copy-damaged'; readonly problem: Problem; readonly reason: string }
      | { readonly kind: 'copy-good' },
    trace: string,
  ): Promise<void> {
    const { node, router } = this.#options;
    await router.ask(blobRef(id), { ...what, node, generation }, { trace });
  }
}
