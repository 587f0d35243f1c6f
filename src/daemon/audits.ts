// Compares the machine with the ledger and with what is wanted, now and then; differences become events on the node.
// Clears the ledger of fences that nobody needs any more.
import type { Clock } from '../../actors/kernel/clock.ts';
import type { Log, Random, Router } from '../../actors/kernel/ports.ts';
import type { Drift } from '../../actors/network/ports.ts';
import { nodeRef } from '../../actors/node/state.ts';
import type { FenceSweep } from './fence-sweep.ts';
import type { Inventory } from './inventory.ts';
import type { Host } from './host.ts';
import { Repeating } from './repeating.ts';

/** Between the end of one audit and the start of the next. */
const AUDIT_MS = 300_000;
/** Time for the actors to say what they want before the first. */
const FIRST_AUDIT_MS = 30_000;

export interface AuditOptions {
  readonly node: string;
  readonly host: Pick<Host, 'audit'>;
  readonly inventory: Pick<Inventory, 'run'>;
  readonly fences: Pick<FenceSweep, 'run'>;
  readonly router: Router;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly isWanted: (owner: string) => boolean | undefined;
  /** Told of what each audit has found, nothing too. */
  readonly onFound?: (drifts: readonly Drift[]) => void;
}

/** Runs until stopped; stop() waits for the one under way. */
export class Audits {
  readonly #options: AuditOptions;
  readonly #repeating: Repeating;
  /** The node's record may be of an audit of an earlier daemon. */
  #isToldOfNone = false;

  constructor(options: AuditOptions) {
    this.#options = options;
    const { clock, log, random, fences } = options;
    this.#repeating = new Repeating({
      clock,
      log,
      firstMs: FIRST_AUDIT_MS,
      everyMs: AUDIT_MS,
      trace: () => random.uuid(),
      failed: 'audit not finished',
      run: async (trace) => {
        await this.#compare(trace);
        // Last: it needs the store, which the machine's own repairs do not.
        await fences.run();
      },
    });
  }

  stop(): Promise<void> {
    return this.#repeating.stop();
  }

  async #compare(trace: string): Promise<void> {
    const { node, host, inventory, router, log, isWanted } = this.#options;
    // First: what it removes needs no repair.
    const orphans = await inventory.run(trace);
    const found = await host.audit(isWanted, trace);
    const drifts = [...orphans, ...found].map((drift) => ({ ...drift }));
    this.#options.onFound?.(drifts);
    const isNone = drifts.length === 0;
    if (!isNone) log('warn', 'the machine differs from what is wanted', { trace, drifts });
    // That there is none is told too, once: what vanished and comes back is news again.
    if (isNone && this.#isToldOfNone) return;
    await router.ask(nodeRef(node), { kind: 'drift-found', drifts }, { trace });
    this.#isToldOfNone = isNone;
  }
}
