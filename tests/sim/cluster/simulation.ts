// One run: a cluster, a random workload, faults, healing, and the promises. The same seed gives the same run.
//
// S1  Nothing in a run knows the real time, real randomness or the outside: all it has is the seed.
// S2  A run ends at its first broken promise, or when everything was deleted and forgotten.
// S3  Healing takes bounded virtual time: what has not ended by then is a broken promise itself.
import { RETENTION_MS } from '../../../actors/kernel/object.ts';
import type { Bug } from './bugs.ts';
import { Choices } from './choices.ts';
import { explain } from './explain.ts';
import { Faults } from './faults.ts';
import { SimNode } from './node.ts';
import {
  checkAtRest,
  checkForgotten,
  checkGivenUp,
  checkGone,
  checkRemoved,
  isGone,
  underWay,
  type Checked,
} from './promises.ts';
import { Site } from './site.ts';
import { Watch, type Violation } from './watch.ts';
import { Workload, type Counts } from './workload.ts';

export interface RunOptions {
  readonly seed: number;
  readonly nodes: number;
  readonly steps: number;
  readonly bug?: Bug | null;
  /** The last node is lost at the end of all faults, and removed. */
  readonly removes?: boolean;
  readonly print?: (line: string) => void;
}

export interface RunReport {
  readonly seed: number;
  readonly violations: readonly Violation[];
  /** Of everything that happened. */
  readonly digest: string;
  readonly virtualMs: number;
  readonly timers: number;
  readonly revisions: number;
  readonly asks: number;
  readonly requests: Counts;
  readonly faults: ReadonlyMap<string, number>;
  /** How instances ended, by phase. */
  readonly ends: ReadonlyMap<string, number>;
  /** Log lines of level error. */
  readonly errors: readonly string[];
  /** Of the objects whose promises were broken. */
  readonly explanation: readonly string[];
}

/** The longest that an object may need to end: a download's own 30 minutes and what comes after it. */
const LONGEST_END_MS = 7_200_000;
/** For the leases of the dead to end, and some attempts. */
const LONGEST_START_MS = 90_000;
/** Setbacks pause up to 10 minutes: everything that was set back has been tried once more. */
const QUIET_MS = 900_000;
const LOOK_MS = 5_000;
const STRIKE_CHANCE = 0.25;
const OPERATE_CHANCE = 0.7;

/** Runs one seed to its end. */
export async function simulate(options: RunOptions): Promise<RunReport> {
  const simulation = new Simulation(options);
  await simulation.run();
  return simulation.report();
}

class Simulation {
  readonly #options: RunOptions;
  readonly #site: Site;
  readonly #nodes: readonly SimNode[];
  readonly #choices: Choices;
  readonly #watch: Watch;
  readonly #workload: Workload;
  readonly #faults: Faults;
  readonly #ends = new Map<string, number>();
  readonly #errors = new Set<string>();

  constructor(options: RunOptions) {
    const { seed, nodes, bug = null, print = null } = options;
    this.#options = options;
    this.#site = new Site({ seed, bug, print });
    this.#site.onError = (node, message, error) => {
      this.#errors.add(`${message}: ${String(error)}`);
      this.#site.trace.note(`${node} logs an error: ${message}: ${String(error)}`);
    };
    this.#nodes = Array.from({ length: nodes }, (_, index) => new SimNode(this.#site, index + 1));
    for (const node of this.#nodes) {
      const others = this.#nodes.filter((other) => other !== node);
      node.machine.images.peers = new Map(
        others.map(({ name, machine }) => [name, machine.images]),
      );
    }
    this.#choices = new Choices(this.#site.numbers('choices'));
    this.#watch = new Watch(this.#site, this.#nodes);
    this.#workload = new Workload(this.#site, this.#nodes, this.#choices, this.#watch);
    this.#faults = new Faults(this.#site, this.#nodes, this.#choices);
  }

  get #isBroken(): boolean {
    return this.#watch.violations.length > 0;
  }

  /** Of the nodes that are in the cluster. */
  get #checked(): Checked {
    const nodes = this.#nodes.filter((node) => !node.isOut);
    const [site, workload, watch] = [this.#site, this.#workload, this.#watch];
    return { site, nodes, workload, watch };
  }

  async run(): Promise<void> {
    for (const node of this.#nodes) node.boot();
    await this.#untilServing();
    for (let step = 0; step < this.#options.steps && !this.#isBroken; step++) await this.#step();
    this.#faults.heal();
    await this.#untilServing();
    await this.#until(() => this.#isOver(), LONGEST_END_MS);
    await this.#pass(QUIET_MS);
    if (this.#isBroken) return;
    checkAtRest(this.#checked);
    this.#countEnds();
    if (this.#options.removes) await this.#removeLast();
    if (this.#isBroken) return;
    await this.#deleteAll();
  }

  report(): RunReport {
    const { clock, server, mesh, trace } = this.#site;
    return {
      seed: this.#options.seed,
      violations: this.#watch.violations,
      digest: trace.digest(),
      virtualMs: clock.monoMs(),
      timers: clock.fired,
      revisions: server.revision,
      asks: mesh.sent,
      requests: this.#workload.counts,
      faults: this.#faults.counts,
      ends: this.#ends,
      errors: [...this.#errors],
      explanation: this.#explanation(),
    };
  }

  /** Its machine is lost with all that runs on it, and is removed; then it comes back after all. */
  async #removeLast(): Promise<void> {
    const [first, lost] = [this.#nodes[0], this.#nodes.at(-1)];
    if (first?.daemon === null || first === undefined || lost === undefined) return;
    const { daemon } = first;
    lost.isOut = true;
    lost.kill('lost for good');
    for (const { machine } of this.#nodes) machine.images.peers.delete(lost.name);
    for (const id of lost.machine.hypervisor.domains.keys()) lost.lossExpected.add(id);
    let isRemoved = false;
    await this.#until(() => {
      daemon.removal.remove(lost.name, 'removal').then(
        () => (isRemoved = true),
        (error: unknown) => this.#site.trace.note(`not removed yet: ${String(error)}`),
      );
      return isRemoved;
    }, LONGEST_START_MS);
    await this.#until(() => this.#isOver(), LONGEST_END_MS);
    await this.#pass(QUIET_MS);
    if (this.#isBroken) return;
    checkAtRest(this.#checked);
    checkRemoved(this.#checked, lost.name);
    lost.isOut = false;
    lost.boot();
    lost.isOut = true;
    await this.#pass(QUIET_MS);
    checkGivenUp(this.#checked, lost);
  }

  #explanation(): string[] {
    const names = this.#watch.violations.map(({ object }) => object.split(' ')[0] ?? '');
    return [...new Set(names)].flatMap((name) => explain(name, this.#site, this.#nodes));
  }

  async #step(): Promise<void> {
    if (this.#choices.chance(STRIKE_CHANCE)) this.#faults.strike();
    if (this.#choices.chance(OPERATE_CHANCE)) this.#workload.operate();
    this.#faults.tick();
    await this.#pass(this.#choices.pick([0, 1, 50, 500, 2_000, 5_000, 15_000]));
  }

  async #deleteAll(): Promise<void> {
    this.#site.trace.note('everything is deleted');
    const giveUpAt = this.#site.clock.monoMs() + LONGEST_END_MS;
    for (;;) {
      this.#workload.deleteAll();
      await this.#pass(60_000);
      if (this.#isBroken || isGone(this.#checked)) break;
      if (this.#site.clock.monoMs() >= giveUpAt) break;
    }
    if (this.#isBroken) return;
    checkGone(this.#checked);
    if (this.#isBroken) return;
    await this.#pass(RETENTION_MS + QUIET_MS);
    checkForgotten(this.#checked);
  }

  /** 5: a daemon of a healthy cluster joins it. */
  async #untilServing(): Promise<void> {
    await this.#until(() => this.#nodes.every((node) => node.isServing), LONGEST_START_MS);
    for (const node of this.#nodes)
      if (!node.isServing)
        this.#watch.broken(
          5,
          node.name,
          `does not serve after ${LONGEST_START_MS / 1000} s of health`,
        );
  }

  #isOver(): boolean {
    const isServed = this.#nodes.every((node) => node.isServing || node.isOut);
    return isServed && underWay(this.#site).length === 0;
  }

  #countEnds(): void {
    for (const [, { phase }] of this.#site.view.all<{ phase: string }>('instance'))
      this.#ends.set(phase, (this.#ends.get(phase) ?? 0) + 1);
  }

  async #until(holds: () => boolean, limitMs: number): Promise<void> {
    const giveUpAt = this.#site.clock.monoMs() + limitMs;
    while (!holds() && !this.#isBroken && this.#site.clock.monoMs() < giveUpAt)
      await this.#pass(LOOK_MS);
  }

  /** Lets time pass; a daemon that died of itself is started again, as systemd would. */
  async #pass(byMs: number): Promise<void> {
    const { clock } = this.#site;
    const end = clock.monoMs() + byMs;
    while (!this.#isBroken) {
      await clock.advance(Math.min(LOOK_MS, end - clock.monoMs()));
      this.#watch.checkHolders(this.#workload.floating);
      this.#faults.tick();
      if (clock.monoMs() >= end) return;
    }
  }
}
