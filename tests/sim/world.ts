// One node, whole but simulated: the runtime with all kinds and the executors, over a machine, a store and
// claims that outlive the daemon. A daemon can be killed at any boundary and started again.
//
// W1  The same seed gives the same run.
// W2  Killing is as hard as a power cut for the daemon: no turn, no write, no new act after it. What the
//     machine was told before goes on, as libvirt and the kernel do.
import { agentOperation } from '../../actors/agent-operation/agent-operation.ts';
import { agentOperationPerformers } from '../../actors/agent-operation/effects.ts';
import { artifact } from '../../actors/artifact/artifact.ts';
import { artifactPerformers } from '../../actors/artifact/effects.ts';
import { blob } from '../../actors/blob/blob.ts';
import { blobPerformers } from '../../actors/blob/effects.ts';
import { diskSnapshot } from '../../actors/disk-snapshot/disk-snapshot.ts';
import { diskSnapshotPerformers } from '../../actors/disk-snapshot/effects.ts';
import { instancePerformers } from '../../actors/instance/effects.ts';
import { instance } from '../../actors/instance/instance.ts';
import { instanceRef } from '../../actors/instance/state.ts';
import { interfacePerformers } from '../../actors/interface/effects.ts';
import { interfaceKind } from '../../actors/interface/interface.ts';
import type { Boundary } from '../../actors/kernel/environment.ts';
import type { Stuck } from '../../actors/kernel/inspection.ts';
import { formatAddress, type Address, type Message, type Ref } from '../../actors/kernel/kind.ts';
import type { AskReply, Claims, Random, Router } from '../../actors/kernel/ports.ts';
import { localRouter } from '../../actors/kernel/router.ts';
import { Runtime } from '../../actors/kernel/runtime.ts';
import { networkPerformers } from '../../actors/network/effects.ts';
import { network } from '../../actors/network/network.ts';
import { domainConverger } from '../../actors/node/domain.ts';
import { Executors } from '../../actors/node/executors.ts';
import { TroupeError } from '../../actors/kernel/errors.ts';
import { GuestOperations } from '../../actors/node/guest-operations.ts';
import { nodePerformers } from '../../actors/node/effects.ts';
import { node } from '../../actors/node/node.ts';
import { replicaConverger } from '../../actors/node/replica.ts';
import { segmentConverger } from '../../actors/node/segment.ts';
import { nodeRef } from '../../actors/node/state.ts';
import { candidates, type PlacementRecords } from '../../src/daemon/candidates.ts';
import { Measuring } from '../../src/daemon/gauges.ts';
import { ReservationAudit } from '../../src/daemon/reservation-audit.ts';
import { keptLog, ManualClock, MemoryJournal, seededRandom, settle } from '../support/kernel.ts';
import { GAUGES, MACHINE } from '../support/machine-facts.ts';
import { recordsOf } from '../support/records.ts';
import { SimDataplane } from '../support/sim-dataplane.ts';
import { answerAsMachine } from '../support/sim-machine-service.ts';
import { simDiskCopying } from '../support/sim-disk-copier.ts';
import { SimHypervisor } from '../support/sim-hypervisor.ts';
import { SimImageDriver } from '../support/sim-images.ts';
import { SimMachine } from '../support/sim-machine.ts';

export const NODE = 'n1';
const ZONE = 'cloud.test';
const STEP_MS = 250;
/** Rarer than in life: each look costs real time, and hours pass here. */
const WATCH_MS = 60_000;
/** A daemon finds the agents of guests that run already only after a while. */
const FOUND_MS = 3_000;
const GIB = 2 ** 30;

/** `kind/effect/stage`, or `kind/turn/stage`. */
export function boundaryName({ address, effect, stage }: Boundary): string {
  return `${address.kind}/${effect ?? 'turn'}/${stage}`;
}

/** Values held by one owner each, as the store keeps them. */
export class MemoryClaims implements Claims {
  readonly held = new Map<string, string>();
  /** Refuses everything, as if all values were another's. */
  isExhausted = false;

  async claim(space: string, value: string, owner: Address): Promise<boolean> {
    const key = `${space}/${value}`;
    const holder = this.held.get(key);
    if (this.isExhausted) return holder === formatAddress(owner);
    if (holder === undefined) this.held.set(key, formatAddress(owner));
    return this.held.get(key) === formatAddress(owner);
  }

  async holder(space: string, value: string): Promise<string | null> {
    return this.held.get(`${space}/${value}`) ?? null;
  }

  async release(space: string, value: string, owner: Address): Promise<void> {
    const key = `${space}/${value}`;
    if (this.held.get(key) === formatAddress(owner)) this.held.delete(key);
  }
}

interface Daemon {
  readonly runtime: Runtime;
  readonly executors: Executors;
  readonly router: Router;
  readonly watchers: readonly { stop(): Promise<void> }[];
  isDead: boolean;
}

export class World {
  readonly clock = new ManualClock();
  readonly journal = new MemoryJournal();
  readonly claims = new MemoryClaims();
  /** The copy of the store, never behind. */
  readonly records: PlacementRecords = recordsOf(this.journal);
  readonly random: Random;
  readonly machine: SimMachine;
  readonly kept = keptLog();
  /** Boundaries reached by living daemons, in order. */
  readonly boundaries: string[] = [];
  /** Asked at every boundary of a living daemon: true kills it there. */
  killsAt: (point: string, index: number) => boolean = () => false;
  epoch = 0;
  /** A daemon that dies is not started again by those who wait for something. */
  isAbandoned = false;
  #daemon: Daemon | null = null;

  constructor(seed: number) {
    this.random = seededRandom(seed);
    const random = () => this.random.number();
    this.machine = new SimMachine({ clock: this.clock, random });
    const image = { sizeBytes: 64 * 2 ** 20, virtualSizeBytes: GIB, format: 'qcow2' } as const;
    this.machine.images.web.set('http://images.test/guest', image);
  }

  /** The running daemon's actors. Throws when there is none. */
  get runtime(): Runtime {
    if (this.#daemon === null) throw new Error('no daemon runs');
    return this.#daemon.runtime;
  }

  get executors(): Executors {
    if (this.#daemon === null) throw new Error('no daemon runs');
    return this.#daemon.executors;
  }

  get isUp(): boolean {
    return this.#daemon !== null;
  }

  /** Starts a daemon under a new epoch; it resumes what the journal holds. */
  async boot(): Promise<void> {
    if (this.#daemon !== null) throw new Error('a daemon runs already');
    const epoch = ++this.epoch;
    this.journal.epoch = epoch;
    const daemon = this.#makeDaemon(epoch);
    this.#daemon = daemon;
    // Killed while it registers: the next one registers.
    const register = {
      kind: 'register',
      bootId: `b${epoch}`,
      machine: MACHINE,
      gauges: GAUGES,
    } as const;
    void daemon.router.ask(nodeRef(NODE), register, { trace: 'boot' }).catch(() => {});
    await settle();
    if (daemon.isDead) return;
    await daemon.runtime.resume(() => this.journal.read());
    await settle();
  }

  /** Ends the daemon at once. */
  kill(): void {
    const daemon = this.#daemon;
    if (daemon === null) return;
    this.#daemon = null;
    daemon.isDead = true;
    void daemon.executors.stop();
    for (const watcher of daemon.watchers) void watcher.stop();
    daemon.runtime.timers.close();
  }

  /** Ends the daemon as an operator does. */
  async stop(): Promise<void> {
    const daemon = this.#daemon;
    if (daemon === null) return;
    for (const watcher of daemon.watchers) void watcher.stop();
    const stopped = daemon.runtime.stop().then(() => daemon.executors.stop());
    await this.until('stopped', () => isSettled(stopped), 60_000);
    this.#daemon = null;
    daemon.isDead = true;
  }

  /** As a client that does not give up: asks again when the daemon died or did not answer. */
  async request<M extends Message>(to: Ref<M>, message: NoInfer<M>): Promise<AskReply> {
    for (let tries = 0; tries < 20; tries++) {
      await this.#ensureUp();
      if (!this.isUp) continue;
      const asked = this.runtime.ask(to, message, { trace: `t${tries}` });
      const outcome = asked.then(
        (reply) => ({ reply }),
        (error: unknown) => ({ error }),
      );
      await this.until('answered', () => !this.isUp || isSettled(outcome), 15_000);
      if (!this.isUp) continue;
      const ended = await outcome;
      if ('reply' in ended) return ended.reply;
      throw ended.error;
    }
    throw new Error(`${formatAddress(to)} was never answered`);
  }

  /** Lets time pass, and daemons be started again, until the condition holds; throws after `limitMs`. */
  async until(what: string, holds: () => boolean | Promise<boolean>, limitMs: number) {
    const giveUpAt = this.clock.monoMs() + limitMs;
    while (!(await holds())) {
      if (this.clock.monoMs() >= giveUpAt) throw new Error(`not within ${limitMs} ms: ${what}`);
      await this.clock.advance(STEP_MS);
    }
  }

  /** As until(), starting a daemon whenever none runs. */
  async untilUp(what: string, holds: () => boolean, limitMs: number): Promise<void> {
    const isSo = async () => {
      await this.#ensureUp();
      return this.isUp && holds();
    };
    await this.until(what, isSo, limitMs);
  }

  async #ensureUp(): Promise<void> {
    if (this.isUp) return;
    if (this.isAbandoned) throw new Error('the daemon is dead, and nobody starts it again');
    await this.boot();
  }

  phaseOf(address: Address): string | undefined {
    const state = this.journal.stateOf(address) as { readonly phase: string } | undefined;
    return state?.phase;
  }

  stuck(): readonly Stuck[] {
    return this.runtime.stuck(this.clock.nowMs());
  }

  #makeDaemon(epoch: number): Daemon {
    const { clock, journal, random, claims } = this;
    const isAlive = () => !daemon.isDead;
    const runtime = new Runtime({
      node: NODE,
      clock,
      random,
      journal,
      log: this.kept.log,
      ownership: { epochOf: () => (isAlive() ? epoch : null) },
      onBoundary: (point) => this.#onBoundary(daemon, point),
      limits: { idleMs: 3_600_000 },
    });
    const { executors, router } = this.#startExecutors(runtime, `b${epoch}`, isAlive);
    const watchers = this.#watch(router);
    const daemon: Daemon = { runtime, executors, watchers, router, isDead: false };
    const net = { zone: ZONE, upstreamDns: '9.9.9.9', floatingBlock: '192.168.20.0/24' };
    runtime.register(network, networkPerformers({ claims, ...net, vtepOf: () => '192.0.2.1' }));
    runtime.register(interfaceKind, interfacePerformers(claims));
    const nodes = () => [{ node: NODE, isUp: true, takesMore: true }];
    const fetching = { maxSizeBytes: GIB, transcodeIdleMs: 86_400_000, fetchTimeoutMs: 1_800_000 };
    runtime.register(
      blob,
      blobPerformers({ ...fetching, claims, copies: () => 2, patienceMs: 300_000, nodes }),
    );
    runtime.register(artifact, artifactPerformers(claims));
    runtime.register(agentOperation, agentOperationPerformers());
    runtime.register(diskSnapshot, diskSnapshotPerformers());
    runtime.register(node, nodePerformers({ carry: () => Promise.resolve() }));
    const known = (instanceId: string) => candidates(this.records, instanceId, () => true);
    runtime.register(instance, instancePerformers({ candidates: known }));
    runtime.connect(router);
    return daemon;
  }

  #startExecutors(runtime: Runtime, boot: string, isAlive: () => boolean) {
    const { machine, random } = this;
    const dataplane = new SimDataplane(machine, isAlive);
    const images = new SimImageDriver(machine, isAlive);
    const hypervisor = new SimHypervisor(machine.hypervisor);
    const { log } = this.kept;
    const service = (to: Address, message: Message, trace: string) =>
      isAlive() ? executors.handle(to, message, trace) : new Promise<never>(() => {});
    const foundAtMono = this.clock.monoMs() + FOUND_MS;
    const operations = new GuestOperations({
      boot,
      agentOf: (instanceId) => {
        if (this.clock.monoMs() >= foundAtMono) return hypervisor.agentOf(instanceId);
        throw new TroupeError('guest/lost', 'this daemon has not found the agent yet');
      },
      spool: { keep: (chunks) => this.#spool(chunks) },
      readBlob: () => noBytes(),
      clock: this.clock,
      log,
    });
    const parts = { machine, clock: this.clock, log };
    const copying = simDiskCopying(parts, hypervisor, isAlive);
    const ofGuests = { operations, copying, images: machine.images };
    const guests = (_to: Address, message: Message) =>
      isAlive() ? answerAsMachine(ofGuests, message) : new Promise<never>(() => {});
    const router = localRouter(runtime, { executor: service, machine: guests });
    const domain = { disks: images, dataplane, hypervisor, zone: ZONE, upstreamDns: '9.9.9.9' };
    const convergers = {
      domain: domainConverger(domain),
      segment: segmentConverger(NODE, dataplane),
      replica: replicaConverger(images, router, { node: NODE, clock: this.clock }),
    };
    const executors: Executors = new Executors({
      node: NODE,
      log,
      fencing: machine.ledger,
      convergers,
    });
    hypervisor.onChange((id, observed) => {
      const generation = executors.generationOf('domain', id);
      if (generation === undefined || !isAlive()) return;
      const message = { kind: 'domain-observed', generation, observed, builtDisks: null } as const;
      router.tell(instanceRef(id), message, { trace: random.uuid() });
    });
    return { executors, router };
  }

  /** What is spooled can be ingested under its id. */
  async #spool(chunks: AsyncIterable<Uint8Array>): Promise<string> {
    let sizeBytes = 0;
    for await (const chunk of chunks) sizeBytes += chunk.length;
    const id = this.random.uuid();
    const image = { sizeBytes, virtualSizeBytes: sizeBytes, format: 'raw' } as const;
    this.machine.images.web.set(`spool:${id}`, image);
    return id;
  }

  /** What a daemon does of itself, besides its actors. */
  #watch(router: Router): readonly { stop(): Promise<void> }[] {
    const { clock, random, records: read } = this;
    const parts = {
      node: NODE,
      read,
      router,
      clock,
      random,
      log: this.kept.log,
      everyMs: WATCH_MS,
    };
    return [new Measuring({ ...parts, gauges: () => GAUGES }), new ReservationAudit(parts)];
  }

  #onBoundary(daemon: Daemon, point: Boundary): Promise<void> | void {
    if (daemon.isDead) return new Promise<void>(() => {});
    const name = boundaryName(point);
    const index = this.boundaries.push(name) - 1;
    if (!this.killsAt(name, index)) return;
    this.kill();
    return new Promise<void>(() => {});
  }
}

async function* noBytes(): AsyncGenerator<Uint8Array> {}

/** Whether a promise has resolved, looked at without waiting for it. */
async function isSettled(promise: Promise<unknown>): Promise<boolean> {
  const pending = Symbol('pending');
  const first = await Promise.race([promise, Promise.resolve(pending)]);
  return first !== pending;
}
