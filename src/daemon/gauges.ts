// Measures the machine and lets its node record what it found, when it differs enough to matter to the scheduler.
//
// Every other daemon reads it from its copy of the node's state, so placing costs no questions. Three things keep
// the store quiet:
// G1  A look costs the machine two small files and one system call; a look that finds the same is not told.
// G2  "The same" is a step (STEPS): a machine that idles wavers less than that, and writes nothing.
// G3  However it wavers, gauges alone are told at most once in QUIET_MS. A guest that has started or ended is told at
//     the next look, because its reservation changes with it.
import type { Clock } from '../../actors/kernel/clock.ts';
import type { Log, Random, Router } from '../../actors/kernel/ports.ts';
import type { InstanceState } from '../../actors/instance/state.ts';
import { nodeRef, type Gauges, type NodeState } from '../../actors/node/state.ts';
import type { PlacementRecords } from './candidates.ts';
import { Repeating } from './repeating.ts';

/** Between two looks (contract: instances 5). */
const LOOK_MS = 5_000;
const QUIET_MS = 15_000;
const STEPS = { memoryMiB: 256, memoryShare: 1 / 64, diskGiB: 1, load: 0.5 };

/** Its disks are there, whether it runs or not. */
const BUILT: readonly InstanceState['phase'][] = ['created', 'created-error'];

export interface MeasuringOptions {
  readonly node: string;
  readonly read: PlacementRecords;
  readonly router: Router;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  /** Between the end of one and the start of the next; default 5 s. */
  readonly everyMs?: number;
  readonly gauges: () => Gauges;
}

type Seen = Readonly<Record<'running' | 'built', string[]>>;

/** Runs until stopped; stop() waits for what is being told. */
export class Measuring {
  readonly #options: MeasuringOptions;
  readonly #repeating: Repeating;
  #toldAtMono = -Infinity;

  constructor(options: MeasuringOptions) {
    this.#options = options;
    const { clock, log, random, everyMs = LOOK_MS } = options;
    this.#repeating = new Repeating({
      clock,
      log,
      everyMs,
      trace: () => random.uuid(),
      failed: 'the machine is not measured',
      run: (trace) => this.#look(trace),
    });
  }

  stop(): Promise<void> {
    return this.#repeating.stop();
  }

  async #look(trace: string): Promise<void> {
    const { node, read, router, clock } = this.#options;
    const state = read.nodes.get(node)?.state;
    if (state === undefined) return;
    // Who runs is looked up first: what the gauges show is then without them.
    const seen = seenOf(node, state, read);
    const gauges = this.#options.gauges();
    const isDue = clock.monoMs() - this.#toldAtMono >= QUIET_MS;
    if (isAsRecorded(state, seen) && !(isDue && differs(state, gauges))) return;
    await router.ask(nodeRef(node), { kind: 'measured', gauges, ...seen }, { trace });
    this.#toldAtMono = clock.monoMs();
  }
}

/** Of those that have a reservation, as their actors last recorded what was observed of them. */
function seenOf(node: string, state: NodeState, read: MeasuringOptions['read']): Seen {
  const here = Object.keys(state.reservations).flatMap((id) => {
    const found = read.instances.get(id);
    return found?.state.node === node ? [found] : [];
  });
  const isOn = ({ observed }: InstanceState) =>
    observed?.power === 'on' || observed?.power === 'paused';
  return {
    running: here.filter((one) => isOn(one.state)).map(({ id }) => id),
    built: here.filter((one) => BUILT.includes(one.state.phase)).map(({ id }) => id),
  };
}

function isAsRecorded({ reservations }: NodeState, { running, built }: Seen): boolean {
  const [isRunning, isBuilt] = [new Set(running), new Set(built)];
  return Object.entries(reservations).every(
    ([id, one]) => one.isRunning === isRunning.has(id) && one.isBuilt === isBuilt.has(id),
  );
}

/** G2. */
function differs({ gauges: before, machine }: NodeState, now: Gauges): boolean {
  if (before === null || machine === null) return true;
  const memoryStep = Math.min(STEPS.memoryMiB, machine.memoryMiB * STEPS.memoryShare);
  return (
    Math.abs(now.availableMemoryMiB - before.availableMemoryMiB) >= memoryStep ||
    Math.abs(now.freeDiskGiB - before.freeDiskGiB) > STEPS.diskGiB ||
    Math.abs(now.load - before.load) >= STEPS.load
  );
}
