// Finds out what clients are told of replicas that were made by an older version (facts.ts): one after the other, and kept
// in their reports, so that each is read once.
import { setTimeout as later } from 'node:timers/promises';
import type { ReplicaFacts, ReplicaReport } from '../../../actors/blob/ports.ts';
import { codeOf, TroupeError } from '../../../actors/kernel/errors.ts';
import type { Log } from '../../../actors/kernel/ports.ts';
import { Slots } from '../turns.ts';
import { ALGORITHMS, factsOf } from './facts.ts';
import type { Layout } from './layout.ts';
import type { QemuImg } from './qemu-img.ts';
import { rewriteReport } from './replica-report.ts';
import { hashApart } from './worker-job.ts';

export interface DescriberOptions {
  readonly layout: Layout;
  readonly qemuImg: QemuImg;
  readonly log: Log;
}

export class Describer {
  readonly #options: DescriberOptions;
  readonly #slot = new Slots(1);
  readonly #closing = new AbortController();
  /** By blob; it fails when that came to nothing, and stays so of one that has rotted. */
  readonly #running = new Map<string, Promise<void>>();

  constructor(options: DescriberOptions) {
    this.#options = options;
  }

  /** Errors: `image/unreachable` while it is being found out (come again); `image/damaged`. */
  async facts(blobId: string, report: ReplicaReport, trace: string): Promise<ReplicaFacts> {
    if (report.facts !== undefined) return report.facts;
    const running = this.#running.get(blobId) ?? this.#begin(blobId, report, trace);
    const isOver = await Promise.race([
      running.then(() => true),
      later(WAIT_MS, false, { ref: false }),
    ]);
    const reason = isOver ? 'it is known now' : 'its replica is being read';
    throw new TroupeError('image/unreachable', `${reason}; come again`);
  }

  async close(): Promise<void> {
    this.#closing.abort();
    await Promise.allSettled(this.#running.values());
  }

  #begin(blobId: string, report: ReplicaReport, trace: string): Promise<void> {
    const work = this.#slot.run(() => this.#describe(blobId, report, trace));
    const running = work.then(() => void this.#running.delete(blobId));
    this.#running.set(blobId, running);
    running.catch((error: unknown) => {
      // One that has rotted is not read again for everybody who asks.
      if (codeOf(error) !== 'image/damaged') this.#running.delete(blobId);
      this.#options.log('warn', 'a replica could not be described', {
        kind: 'blob',
        id: blobId,
        trace,
        error,
      });
    });
    return running;
  }

  async #describe(blobId: string, report: ReplicaReport, trace: string): Promise<void> {
    const { layout, qemuImg } = this.#options;
    const { signal } = this.#closing;
    const { format, sha512 } = report;
    const path = layout.replicaImage(blobId, format);
    const request = { path, algorithms: ALGORITHMS };
    const { digests } = await hashApart(request, { signal, onProgress: () => undefined });
    if (digests.sha512 !== sha512) {
      const text = `${path} hashes to ${digests.sha512.slice(0, 16)}…, not ${sha512.slice(0, 16)}…`;
      throw new TroupeError('image/damaged', text);
    }
    const facts = await factsOf({ path, format }, digests, { qemuImg, trace, signal });
    await rewriteReport(layout.replica(blobId), { ...report, facts });
  }
}

/** Small images are read within it. */
const WAIT_MS = 5_000;
