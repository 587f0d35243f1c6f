// A blob on some simulated machines: its actor with the real effects and executors, on a virtual clock. Machines go out of
// reach, come back, fill up, lose their disks; the actor's daemon dies.
import { artifact } from '../../actors/artifact/artifact.ts';
import { artifactPerformers } from '../../actors/artifact/effects.ts';
import { artifactRef } from '../../actors/artifact/state.ts';
import { blob } from '../../actors/blob/blob.ts';
import { blobPerformers } from '../../actors/blob/effects.ts';
import { blobRef, type BlobMessage, type BlobState } from '../../actors/blob/state.ts';
import type { NodeView } from '../../actors/blob/copies.ts';
import { TroupeError } from '../../actors/kernel/errors.ts';
import { formatAddress, type Message } from '../../actors/kernel/kind.ts';
import { localRouter } from '../../actors/kernel/router.ts';
import { Runtime } from '../../actors/kernel/runtime.ts';
import { nodeOfExecutor } from '../../actors/node/executor-message.ts';
import { Executors, type Converger } from '../../actors/node/executors.ts';
import { replicaConverger } from '../../actors/node/replica.ts';
import { keptLog, ManualClock, MemoryJournal, seededRandom, settle } from '../support/kernel.ts';
import { Scrub } from '../../src/daemon/scrub.ts';
import type { ReadModel } from '../../src/read/read-model.ts';
import { SimImageDriver, type SimImages } from '../support/sim-images.ts';
import { SimMachine } from '../support/sim-machine.ts';
import { MemoryClaims } from './world.ts';

/** How long a node that is away is waited for. */
export const AWAY_MS = 300_000;
export const NAMES = ['n1', 'n2', 'n3', 'n4'];
export const ARTIFACT = artifactRef('a');
export const BLOB = blobRef('b');
const URL = 'http://images.test/guest';
const IMAGE = { sizeBytes: 2 ** 26, virtualSizeBytes: 2 ** 30, format: 'qcow2' } as const;
const NOTHING: Converger = {
  ownerKind: 'none',
  ensure: () => Promise.resolve(null),
  remove: () => Promise.resolve(),
};

export class CopiesWorld {
  readonly clock = new ManualClock();
  readonly journal = new MemoryJournal();
  readonly random = seededRandom(3);
  readonly machines = new Map<string, SimMachine>();
  readonly executors = new Map<string, Executors>();
  readonly down = new Set<string>();
  copies: number;
  /** Failure domains, room in bytes, draining: by node. */
  readonly traits = new Map<string, Partial<NodeView>>();
  runtime: Runtime;
  #epoch = 0;
  readonly #lives = new Map<string, { isOver: boolean }>();

  constructor(names: readonly string[], copies = 2) {
    this.copies = copies;
    for (const name of names) {
      const machine = new SimMachine({ clock: this.clock, random: () => this.random.number() });
      machine.images.web.set(URL, IMAGE);
      this.machines.set(name, machine);
    }
    this.runtime = this.boot();
    for (const [name, machine] of this.machines)
      this.executors.set(name, this.#executors(name, machine));
  }

  /** A daemon that runs the actors, wherever; the one before is dead. */
  boot(): Runtime {
    const epoch = ++this.#epoch;
    this.journal.epoch = epoch;
    const { clock, journal, random } = this;
    const runtime: Runtime = new Runtime({
      node: 'n1',
      clock,
      random,
      journal,
      log: keptLog().log,
      ownership: { epochOf: () => (this.#epoch === epoch ? epoch : null) },
      limits: { idleMs: 3_600_000 },
    });
    const nodes = () => NAMES.flatMap((node) => this.#view(node));
    const copies = () => this.copies;
    const claims = new MemoryClaims();
    const times = { fetchTimeoutMs: 1_800_000, transcodeIdleMs: 86_400_000, patienceMs: AWAY_MS };
    const performers = blobPerformers({ ...times, maxSizeBytes: 2 ** 30, claims, copies, nodes });
    runtime.register(blob, performers);
    runtime.register(artifact, artifactPerformers(claims));
    const reach = (to: { kind: string; id: string }, message: Message, trace: string) => {
      const node = nodeOfExecutor(to.id);
      const executors = this.executors.get(node);
      if (executors !== undefined && !this.down.has(node))
        return executors.handle(to, message, trace);
      return Promise.reject(new TroupeError('mesh/unreachable', `${node} is out of reach`));
    };
    runtime.connect(localRouter(runtime, { executor: reach }));
    this.runtime = runtime;
    return runtime;
  }

  #view(node: string): NodeView[] {
    if (!this.machines.has(node)) return [];
    return [{ node, isUp: !this.down.has(node), takesMore: true, ...this.traits.get(node) }];
  }

  #executors(node: string, machine: SimMachine): Executors {
    const router = localRouter(this.runtime, {});
    const life = { isOver: false };
    this.#lives.set(node, life);
    const images = new SimImageDriver(machine, () => !life.isOver);
    const { log } = keptLog();
    const convergers = {
      domain: NOTHING,
      segment: NOTHING,
      replica: replicaConverger(images, router, { node, clock: this.clock }),
    };
    return new Executors({ node, log, fencing: machine.ledger, convergers });
  }

  /** Its daemon is dead, and what it was about to do does not happen. */
  async kill(node: string): Promise<void> {
    const life = this.#lives.get(node);
    if (life !== undefined) life.isOver = true;
    this.executors.delete(node);
    await this.see(node);
  }

  /** Another daemon on it. */
  async start(node: string): Promise<void> {
    this.executors.set(node, this.#executors(node, this.machine(node)));
    await this.see();
  }

  machine(name: string): SimMachine {
    const machine = this.machines.get(name);
    if (machine === undefined) throw new Error(`there is no machine ${name}`);
    return machine;
  }

  /** Who can be copied from: everybody that is up. */
  connect(): void {
    for (const [name, { images }] of this.machines) {
      const others = [...this.machines].filter(
        ([other]) => other !== name && !this.down.has(other),
      );
      images.peers = new Map(others.map(([other, machine]) => [other, machine.images]));
    }
  }

  async make(): Promise<void> {
    this.connect();
    const source = { kind: 'url', url: URL } as const;
    const named = {
      type: 'image',
      name: 'guest',
      namespace: 'ns',
      sourceUrl: URL,
      source,
    } as const;
    const rest = { shared: false, maxVersions: 3, blobId: BLOB.id, node: 'n1' } as const;
    void this.runtime.ask(ARTIFACT, { kind: 'create', ...named, ...rest }, { trace: 't' });
    await this.until('fetched', () => this.state.phase === 'created');
    await this.rest();
  }

  async tell(message: BlobMessage): Promise<void> {
    void this.runtime.ask(BLOB, message, { trace: 't' }).catch(() => undefined);
    await settle();
  }

  /** Members have come or gone: as the daemon tells it. */
  async see(...down: string[]): Promise<void> {
    this.down.clear();
    for (const node of down) this.down.add(node);
    this.connect();
    await this.#show(NAMES.flatMap((node) => this.#view(node)));
  }

  /** A machine is low on disk, and says so (src/daemon/copy-eviction.ts). */
  async shed(low: string): Promise<void> {
    const nodes = NAMES.flatMap((node) => this.#view(node));
    await this.#show(nodes.map((one) => (one.node === low ? { ...one, sheds: true } : one)));
  }

  async #show(nodes: NodeView[]): Promise<void> {
    await this.tell({ kind: 'nodes-changed', nodes, copies: this.copies, patienceMs: AWAY_MS });
  }

  get state(): BlobState {
    return (this.journal.stateOf(BLOB) ?? blob.initial) as BlobState;
  }

  /** Machines that really hold it. */
  get holders(): string[] {
    return [...this.machines].flatMap(([name, { images }]) =>
      images.replicas.has(BLOB.id) ? [name] : [],
    );
  }

  get verified(): string[] {
    const all = Object.entries(this.state.replicas);
    return all.flatMap(([node, { phase }]) => (phase === 'verified' ? [node] : [])).toSorted();
  }

  async until(what: string, holds: () => boolean, limitMs = 3_600_000): Promise<void> {
    const giveUpAt = this.clock.monoMs() + limitMs;
    while (!holds()) {
      if (this.clock.monoMs() >= giveUpAt) {
        throw new Error(`not within ${limitMs} ms: ${what}: ${JSON.stringify(this.state)}`);
      }
      await this.clock.advance(1_000);
    }
  }

  /** Each machine that is up reads all it has again, as its daemon does now and then. */
  async scrub(): Promise<void> {
    const blobs = { all: () => [{ id: BLOB.id, state: this.state, revision: 1 }] };
    const read = { blobs: { ...blobs, get: () => blobs.all()[0] } } as unknown as Pick<
      ReadModel,
      'blobs'
    >;
    const router = localRouter(this.runtime, {});
    const common = { read, router, clock: this.clock, random: this.random, log: keptLog().log };
    for (const [node, machine] of this.machines) {
      if (this.down.has(node)) continue;
      const files = new SimImageDriver(machine, () => true);
      const scrub = new Scrub({ ...common, node, files, intervalMs: 0, bytesPerSecond: 1 });
      await scrub.run('t');
      await scrub.stop();
    }
  }

  imagesOf(node: string): SimImages {
    return this.machine(node).images;
  }

  /** Events of the blob that were recorded, by their words. */
  get events(): string[] {
    const recorded = this.journal.events.get(formatAddress(BLOB)) ?? [];
    return recorded.map(({ message }) => message);
  }

  /** Time enough for everything that does not wait for a machine. */
  async rest(ms = 30_000): Promise<void> {
    for (let passed = 0; passed < ms; passed += 1_000) await this.clock.advance(1_000);
  }
}
