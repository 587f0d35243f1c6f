// What befalls a simulated cluster: one fault after another, each for a while, several at a time.
//
// F1  Every fault has an end; heal() brings all of them about at once.
// F2  A fault that is nobody's promise to withstand (a guest that is killed) is told to the watch.
import type { Boundary } from '../../../actors/kernel/environment.ts';
import { TroupeError, type ErrorCode } from '../../../actors/kernel/errors.ts';
import type { Choices } from './choices.ts';
import type { SimNode } from './node.ts';
import type { Site } from './site.ts';

/** Of a boundary, while there is trouble: a run has some thousand of them. */
const CRASH_CHANCE = 0.0005;
/** A machine that stands still between its decision and its write is the one that fencing is for. */
const PAUSE_CHANCE = 0.004;
/** An act on a healthy machine. */
const USUAL_STEP_MS = 5;
const DRIVER_CODES: readonly ErrorCode[] = [
  'host/tool-failed',
  'host/disk-full',
  'hypervisor/refused',
];

interface Running {
  readonly name: string;
  readonly endAtMono: number;
  readonly undo: () => void;
}

export class Faults {
  /** How often each was tried. */
  readonly counts = new Map<string, number>();
  readonly #site: Site;
  readonly #nodes: readonly SimNode[];
  readonly #choices: Choices;
  #running: Running[] = [];
  #isOver = false;

  constructor(site: Site, nodes: readonly SimNode[], choices: Choices) {
    this.#site = site;
    this.#nodes = nodes;
    this.#choices = choices;
    site.atBoundary = (node, point) => this.#atBoundary(node, point);
  }

  /** One more fault. */
  strike(): void {
    const act = this.#choices.weighted<() => void>([
      [3, () => this.#kill()],
      [2, () => this.#stop()],
      [3, () => this.#pause(this.#choices.pick(this.#nodes))],
      [3, () => this.#storeLink()],
      [1, () => this.#storeOutage()],
      [2, () => this.#storeFate()],
      [2, () => this.#storeDelay()],
      [1, () => this.#compact()],
      [3, () => this.#partition()],
      [2, () => this.#oneWay()],
      [3, () => this.#weather()],
      [2, () => this.#drivers()],
      [1, () => this.#slowDrivers()],
      [1, () => this.#diskFull()],
      [1, () => this.#hypervisorAway()],
      [1, () => this.#killGuest()],
    ]);
    act();
  }

  /** Ends what has had its time, and starts what lies dead. */
  tick(): void {
    const now = this.#site.clock.monoMs();
    const due = this.#running.filter(({ endAtMono }) => endAtMono <= now);
    this.#running = this.#running.filter(({ endAtMono }) => endAtMono > now);
    for (const { name, undo } of due) this.#end(name, undo);
    if (!this.#isOver && !this.#choices.chance(0.3)) return;
    for (const node of this.#nodes) node.boot();
  }

  /** The end of all trouble. */
  heal(): void {
    this.#isOver = true;
    for (const { name, undo } of this.#running.splice(0)) this.#end(name, undo);
    this.#site.mesh.heal();
    for (const node of this.#nodes) {
      // Half as many timers, for the hours that are to come.
      if (node.daemon !== null) node.daemon.store.faults.delayMs = 0;
      node.boot();
    }
  }

  #begin(name: string, lastsMs: number, undo: () => void): void {
    this.#count(name.split(' ')[0] ?? name);
    this.#site.trace.note(`fault: ${name} for ${Math.round(lastsMs)} ms`);
    this.#running.push({ name, endAtMono: this.#site.clock.monoMs() + lastsMs, undo });
  }

  #end(name: string, undo: () => void): void {
    this.#site.trace.note(`fault ends: ${name}`);
    undo();
  }

  #count(name: string): void {
    this.counts.set(name, (this.counts.get(name) ?? 0) + 1);
  }

  #kill(): void {
    this.#count('kill');
    this.#choices.pick(this.#nodes).kill('killed');
  }

  #stop(): void {
    this.#count('stop');
    this.#choices.pick(this.#nodes).stop();
  }

  #atBoundary(name: string, { stage }: Boundary): 'crash' | 'pause' | null {
    if (this.#isOver) return null;
    if (this.#choices.chance(CRASH_CHANCE)) return 'crash';
    const node = this.#nodes.find((one) => one.name === name);
    if (node === undefined || stage !== 'before-write') return null;
    if (!this.#choices.chance(PAUSE_CHANCE)) return null;
    this.#pause(node);
    return 'pause';
  }

  /** From a hiccup to well beyond the lease. */
  #pause(node: SimNode): void {
    if (node.clock.isPaused) return;
    node.clock.pause();
    this.#begin(`pause ${node.name}`, this.#choices.between(100, 25_000), () => {
      node.clock.resume();
    });
  }

  #storeLink(): void {
    const node = this.#choices.pick(this.#nodes);
    this.#breakStore(node, this.#choices.between(500, 30_000));
  }

  #storeOutage(): void {
    this.#count('store-outage');
    const lastsMs = this.#choices.between(500, 40_000);
    for (const node of this.#nodes) this.#breakStore(node, lastsMs);
  }

  #breakStore({ name, daemon }: SimNode, lastsMs: number): void {
    if (daemon === null) return;
    const { faults } = daemon.store;
    faults.link = this.#choices.pick(['refused', 'stalled'] as const);
    this.#begin(`store-${faults.link} for ${name}`, lastsMs, () => {
      if (!daemon.isDead) faults.link = 'up';
    });
  }

  /** Single requests and answers are lost. */
  #storeFate(): void {
    const { name, daemon } = this.#choices.pick(this.#nodes);
    if (daemon === null) return;
    const { faults } = daemon.store;
    const fates = ['lose-request', 'lose-answer', 'refuse'] as const;
    faults.fate = () => (this.#choices.chance(0.2) ? this.#choices.pick(fates) : 'pass');
    this.#begin(`store-fate for ${name}`, this.#choices.between(1_000, 20_000), () => {
      faults.fate = () => 'pass';
    });
  }

  #storeDelay(): void {
    const { name, daemon } = this.#choices.pick(this.#nodes);
    if (daemon === null) return;
    const { faults } = daemon.store;
    const usual = faults.delayMs;
    faults.delayMs = this.#choices.between(50, 3_000);
    this.#begin(`store-delay for ${name}`, this.#choices.between(1_000, 20_000), () => {
      faults.delayMs = Math.min(usual, faults.delayMs);
    });
  }

  /** Whoever follows from further back has to list again. */
  #compact(): void {
    this.#count('compact');
    const { server } = this.#site;
    try {
      server.compact(server.revision - Math.floor(this.#choices.between(0, 20)));
    } catch (error) {
      if (!(error instanceof TroupeError)) throw error;
    }
  }

  #partition(): void {
    const cut = this.#choices.pick(this.#nodes);
    this.#begin(`partition of ${cut.name}`, this.#choices.between(500, 40_000), () => {
      this.#site.mesh.heal();
    });
    for (const { name } of this.#nodes) {
      this.#site.mesh.cut(name, cut.name);
      this.#site.mesh.cut(cut.name, name);
    }
  }

  #oneWay(): void {
    const [from, to] = [this.#choices.pick(this.#nodes), this.#choices.pick(this.#nodes)];
    this.#site.mesh.cut(from.name, to.name);
    const what = `one-way ${from.name} to ${to.name}`;
    this.#begin(what, this.#choices.between(500, 40_000), () => this.#site.mesh.heal());
  }

  /** Loss, repetition and delay on all of the mesh. */
  #weather(): void {
    const { mesh } = this.#site;
    mesh.loss = this.#choices.between(0, 0.2);
    mesh.repetition = this.#choices.between(0, 0.3);
    mesh.maxDelayMs = this.#choices.between(1, 2_000);
    this.#begin('weather', this.#choices.between(1_000, 30_000), () => mesh.heal());
  }

  #drivers(): void {
    const { name, machine } = this.#choices.pick(this.#nodes);
    machine.fault = (call) => {
      if (!this.#choices.chance(0.2)) return null;
      return new TroupeError(this.#choices.pick(DRIVER_CODES), `${call} met bad luck`);
    };
    this.#begin(`drivers of ${name}`, this.#choices.between(1_000, 30_000), () => {
      machine.fault = () => null;
    });
  }

  #slowDrivers(): void {
    const { name, machine } = this.#choices.pick(this.#nodes);
    machine.stepMs = this.#choices.between(500, 20_000);
    this.#begin(`slow-drivers of ${name}`, this.#choices.between(1_000, 60_000), () => {
      machine.stepMs = USUAL_STEP_MS;
    });
  }

  #diskFull(): void {
    const { name, machine } = this.#choices.pick(this.#nodes);
    machine.images.isDiskFull = true;
    this.#begin(`disk-full on ${name}`, this.#choices.between(1_000, 60_000), () => {
      machine.images.isDiskFull = false;
    });
  }

  #hypervisorAway(): void {
    const { name, machine } = this.#choices.pick(this.#nodes);
    machine.hypervisor.loseControl();
    this.#begin(`hypervisor-away on ${name}`, this.#choices.between(1_000, 30_000), () => {
      machine.hypervisor.returnControl();
    });
  }

  /** QEMU dies, or the guest shuts down by itself. */
  #killGuest(): void {
    const { name, machine, lossExpected } = this.#choices.pick(this.#nodes);
    const { hypervisor } = machine;
    const up = [...hypervisor.domains].filter(([, { observed }]) => observed.power !== 'off');
    if (up.length === 0) return;
    const [id] = this.#choices.pick(up);
    this.#count('kill-guest');
    this.#site.trace.note(`fault: guest ${id} on ${name} ends`);
    lossExpected.add(id);
    if (this.#choices.chance(0.5)) hypervisor.killQEMU(id);
    else hypervisor.guestPowersOff(id);
  }
}
