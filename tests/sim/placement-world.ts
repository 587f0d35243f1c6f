// Several nodes that place instances among them: each a runtime of its own with the node's and the instances' actors,
// measured and audited as a daemon does it, over one store and one clock. A guest takes its memory when it runs.
//
// P1  An instance's actor runs on a node that has nothing to do with where it is placed.
// P2  The copy of the store is as old as the test wants it: refreshed once in COPY_MS.
// P3  A daemon that is killed does nothing any more, and is unreachable; guests run on.
import { instancePerformers } from '../../actors/instance/effects.ts';
import { instance } from '../../actors/instance/instance.ts';
import {
  instanceRef,
  type InstanceMessage,
  type InstanceState,
} from '../../actors/instance/state.ts';
import type { Boundary } from '../../actors/kernel/environment.ts';
import { TroupeError } from '../../actors/kernel/errors.ts';
import type { Json } from '../../actors/kernel/json.ts';
import { parseAddress, type Address, type Message } from '../../actors/kernel/kind.ts';
import type { Router } from '../../actors/kernel/ports.ts';
import { localRouter } from '../../actors/kernel/router.ts';
import { Runtime } from '../../actors/kernel/runtime.ts';
import { nodeOfExecutor } from '../../actors/node/executor-message.ts';
import { nodePerformers } from '../../actors/node/effects.ts';
import { node } from '../../actors/node/node.ts';
import { nodeRef, type Gauges, type NodeState } from '../../actors/node/state.ts';
import { candidates } from '../../src/daemon/candidates.ts';
import { Measuring } from '../../src/daemon/gauges.ts';
import { ReservationAudit } from '../../src/daemon/reservation-audit.ts';
import { keptLog, ManualClock, MemoryJournal, seededRandom, settle } from '../support/kernel.ts';
import { MACHINE } from '../support/machine-facts.ts';
import { recordsOf } from '../support/records.ts';
import { instanceMessage } from './main-path.ts';
import { boundaryName } from './world.ts';

export const MEMORY_MIB = 1_024;
const COPY_MS = 1_000;
const KEPT_MIB = MACHINE.limits.reservedMemoryMiB;

interface Daemon {
  readonly runtime: Runtime;
  readonly router: Router;
  readonly watchers: readonly { stop(): Promise<void> }[];
  isDead: boolean;
}

export class PlacementWorld {
  readonly clock = new ManualClock();
  readonly journal = new MemoryJournal();
  readonly kept = keptLog();
  /** Free for instances on each machine, in instances of MEMORY_MIB. */
  readonly #rooms: ReadonlyMap<string, number>;
  readonly #daemons = new Map<string, Daemon>();
  /** Guests that run, by machine. */
  readonly #running = new Map<string, Set<string>>();
  /** Asked at each boundary of a living daemon: true kills it there. */
  killsAt: (point: string, on: string) => boolean = () => false;
  /** Asked for each ask that has been answered: true loses the answer. */
  losesAnswer: (to: Address, message: Message) => boolean = () => false;
  /** Whether the members' list has noticed who is dead. */
  knowsOfDeath = false;
  readonly #copyJournal = new MemoryJournal();
  readonly #copy = recordsOf(this.#copyJournal);

  constructor(rooms: Readonly<Record<string, number>>) {
    this.#rooms = new Map(Object.entries(rooms));
  }

  get names(): string[] {
    return [...this.#rooms.keys()];
  }

  async bootAll(): Promise<void> {
    for (const name of this.names) await this.boot(name);
    this.#refresh();
  }

  /** Starts the machine's daemon; it registers, and goes on with the actors that it owns. */
  async boot(name: string): Promise<void> {
    const daemon = this.#makeDaemon(name);
    this.#daemons.set(name, daemon);
    const gauges = this.#gauges(name);
    const bootId = `${name}-${this.clock.nowMs()}`;
    const message = { kind: 'register', bootId, machine: MACHINE, gauges } as const;
    await this.#soon(this.#router().ask(nodeRef(name), message, { trace: 'boot' }));
    const isOwn = (id: string) => this.ownerOf(id) === name;
    await daemon.runtime.resume(() =>
      [...this.journal.read()].filter(
        ({ address }) => address.kind === 'instance' && isOwn(address.id),
      ),
    );
    await settle();
  }

  kill(name: string): void {
    const daemon = this.#daemons.get(name);
    if (daemon === undefined || daemon.isDead) return;
    daemon.isDead = true;
    for (const watcher of daemon.watchers) void watcher.stop();
    daemon.runtime.timers.close();
  }

  isUp(name: string): boolean {
    return this.#daemons.get(name)?.isDead === false;
  }

  /** The machine whose daemon runs the instance's actor. */
  ownerOf(id: string): string {
    const number = Number(id.replace(/\D/g, ''));
    return this.names[number % this.names.length] ?? '';
  }

  /** A client that has been answered, or not. */
  async create(id: string, members: Partial<InstanceMessage> = {}): Promise<void> {
    const blank = { spec: {}, sizeGiB: 1, bus: 'virtio', media: 'disk', artifactId: null } as const;
    const disks = [{ ...blank, blobId: null, transcodeId: null, isReady: true }];
    const small = { ...instanceMessage(), name: id, memoryMiB: MEMORY_MIB, nics: [], disks };
    const message = { ...small, ...members } as InstanceMessage;
    await this.#soon(this.#router().ask(instanceRef(id), message, { trace: id }));
  }

  async remove(id: string): Promise<void> {
    await this.#soon(this.#router().ask(instanceRef(id), { kind: 'delete' }, { trace: id }));
  }

  /** Lets time pass, the copy with it. */
  async pass(ms: number): Promise<void> {
    for (let left = ms; left > 0; left -= COPY_MS) {
      await this.clock.advance(Math.min(left, COPY_MS));
      this.#refresh();
    }
  }

  instance(id: string): InstanceState {
    return this.journal.stateOf(instanceRef(id)) as InstanceState;
  }

  instances(): InstanceState[] {
    const ids = [...this.journal.objects.keys()].flatMap((key) => {
      const address = parseAddress(key);
      return address?.kind === 'instance' ? [address.id] : [];
    });
    return ids.map((id) => this.instance(id));
  }

  /** Ids, by machine. */
  reservations(): Record<string, string[]> {
    const rows = this.names.map((name) => {
      const state = this.journal.stateOf(nodeRef(name)) as NodeState;
      return [name, Object.keys(state.reservations).toSorted()] as const;
    });
    return Object.fromEntries(rows);
  }

  #makeDaemon(name: string): Daemon {
    const { clock, journal } = this;
    const random = seededRandom(1 + this.names.indexOf(name) + clock.nowMs());
    const { log } = this.kept;
    const isAlive = () => !daemon.isDead;
    const onBoundary = (point: Boundary) => this.#onBoundary(name, daemon, point);
    const ownership = { epochOf: () => (isAlive() ? 1 : null) };
    const runtime = new Runtime({ node: name, clock, random, journal, log, ownership, onBoundary });
    const executor = (to: Address, message: Message) => this.#execute(to, message);
    const router = this.#router();
    const read = this.#copy;
    const parts = { node: name, read, router, clock, random, log };
    const measuring = new Measuring({ ...parts, gauges: () => this.#gauges(name) });
    const watchers = [measuring, new ReservationAudit(parts)];
    const local = localRouter(runtime, { executor });
    const daemon: Daemon = { runtime, router: local, watchers, isDead: false };
    runtime.register(node, nodePerformers({ carry: () => Promise.resolve() }));
    const isMember = (one: string) => !this.knowsOfDeath || this.isUp(one);
    const known = (id: string) => candidates(read, id, isMember);
    runtime.register(instance, instancePerformers({ candidates: known }));
    runtime.connect(router);
    return daemon;
  }

  /** To whoever owns the address. */
  #router(): Router {
    const daemonOf = ({ kind, id }: Address) => {
      const owner =
        kind === 'node' ? id : kind === 'executor' ? nodeOfExecutor(id) : this.ownerOf(id);
      const daemon = this.#daemons.get(owner);
      return daemon?.isDead === false ? daemon : undefined;
    };
    return {
      ask: async (to, message, options) => {
        const daemon = daemonOf(to);
        if (daemon === undefined) throw new TroupeError('mesh/unreachable', 'no link to its node');
        const reply = await Promise.race([
          daemon.router.ask(to, message, options),
          this.#timeout(options.timeoutMs ?? 10_000),
        ]);
        if (!this.losesAnswer(to, message)) return reply;
        throw noReply();
      },
      tell: (to, message, options) => daemonOf(to)?.router.tell(to, message, options),
    };
  }

  /** On the asker's side: whoever was asked may be dead. */
  #timeout(ms: number): Promise<never> {
    return new Promise((_, reject) => this.clock.after(ms, () => reject(noReply())));
  }

  /** What is wanted is there at once. */
  async #execute({ id }: Address, message: Message): Promise<Json> {
    const [name = '', , instanceId = ''] = id.split('/');
    const running = this.#running.get(name) ?? new Set();
    this.#running.set(name, running);
    if ((message as Message & { readonly spec: unknown }).spec === null) {
      running.delete(instanceId);
      return null;
    }
    running.add(instanceId);
    const ports = { consolePort: null, vdiPort: null, vdiTlsPort: null };
    const observed = { power: 'on', offReason: null, accelerator: 'tcg', ...ports };
    return { observed, builtDisks: [] };
  }

  #gauges(name: string): Gauges {
    const free = (this.#rooms.get(name) ?? 0) - (this.#running.get(name)?.size ?? 0);
    return { availableMemoryMiB: KEPT_MIB + free * MEMORY_MIB, freeDiskGiB: 1_000, load: 0 };
  }

  #refresh(): void {
    this.#copyJournal.objects.clear();
    for (const [key, loaded] of this.journal.objects) this.#copyJournal.objects.set(key, loaded);
  }

  #onBoundary(name: string, daemon: Daemon, point: Boundary): Promise<void> | void {
    if (!daemon.isDead && this.killsAt(boundaryName(point), name)) this.kill(name);
    return daemon.isDead ? new Promise<void>(() => {}) : undefined;
  }

  /** Waits in virtual time; a daemon that dies answers nobody. */
  async #soon(asked: Promise<unknown>): Promise<void> {
    const ended = asked.then(
      () => true,
      () => true,
    );
    await Promise.race([ended, settle(200)]);
  }
}

function noReply(): TroupeError {
  return new TroupeError('actor/timeout', 'no reply in time');
}
