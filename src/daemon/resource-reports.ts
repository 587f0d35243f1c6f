// Has the node record what its machine has and uses, as an event (contract: nodes 1.6): one write in five minutes.
import type { Clock } from '../../actors/kernel/clock.ts';
import type { Log, Random, Router } from '../../actors/kernel/ports.ts';
import { nodeRef } from '../../actors/node/state.ts';
import { Repeating } from './repeating.ts';
import type { Resources } from './resources.ts';

const EVERY_MS = 300_000;
/** The gauges and reservations of the start have been recorded by then. */
const FIRST_MS = 60_000;
/** Of one processor, over the life of a process. */
const MUCH = 0.25;

export interface ResourceReportOptions {
  readonly node: string;
  readonly router: Router;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly resources: () => Resources;
  /** As processMetrics() gives it. */
  readonly processes: () => Readonly<Record<string, number>>;
}

/** Runs until it is stopped. */
export function reportResources(options: ResourceReportOptions): Repeating {
  const { node, router, clock, random, log } = options;
  return new Repeating({
    clock,
    log,
    everyMs: EVERY_MS,
    firstMs: FIRST_MS,
    trace: () => random.uuid(),
    failed: 'the resources of the machine are not recorded',
    run: async (trace) => {
      const hogs = hogsOf(options.processes());
      const message = { kind: 'resources', resources: options.resources(), hogs } as const;
      await router.ask(nodeRef(node), message, { trace });
    },
  });
}

/** Programs that use much, with what they use. */
export function hogsOf(metrics: Readonly<Record<string, number>>): Record<string, number> {
  const prefix = 'process_cpu_fraction_';
  return Object.fromEntries(
    Object.entries(metrics)
      .filter(([name, value]) => name.startsWith(prefix) && value > MUCH)
      .map(([name, value]) => [name.slice(prefix.length), value]),
  );
}
