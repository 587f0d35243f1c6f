// A blob on four simulated machines: its actor with the real effects and executors, on a virtual clock. Machines go out of
// reach, come back, fill up, lose their disks; the actor's daemon dies.
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { artifact } from '../../actors/artifact/artifact.ts';
import { artifactPerformers } from '../../actors/artifact/effects.ts';
import { artifactRef } from '../../actors/artifact/state.ts';
import { blob } from '../../actors/blob/blob.ts';
import { blobPerformers } from '../../actors/blob/effects.ts';
import { blobRef, type BlobMessage, type BlobState } from '../../actors/blob/state.ts';
import { TroupeError } from '../../actors/kernel/errors.ts';
import type { Message } from '../../actors/kernel/kind.ts';
import { localRouter } from '../../actors/kernel/router.ts';
import { Runtime } from '../../actors/kernel/runtime.ts';
import { nodeOfExecutor } from '../../actors/node/executor-message.ts';
import { Executors, type Converger } from '../../actors/node/executors.ts';
import { replicaConverger } from '../../actors/node/replica.ts';
import { keptLog, ManualClock, MemoryJournal, seededRandom, settle } from '../support/kernel.ts';
import { SimImageDriver } from '../support/sim-images.ts';
import { SimMachine } from '../support/sim-machine.ts';

const test = suite('copies of a blob on several machines');

/** How long a node that is away is waited for. */
const AWAY_MS = 300_000;
const NAMES = ['n1', 'n2', 'n3', 'n4'];
const ARTIFACT = artifactRef('a');
const BLOB = blobRef('b');
const URL = 'http://images.test/guest';
const IMAGE = { sizeBytes: 2 ** 26, virtualSizeBytes: 2 ** 30, format: 'qcow2' } as const;
const NOTHING: Converger = {
  ownerKind: 'none',
  ensure: () => Promise.resolve(null),
  remove: () => Promise.resolve(),
};

class World {
  readonly clock = new ManualClock();
  readonly journal = new MemoryJournal();
  readonly random = seededRandom(3);
  readonly machines = new Map<string, SimMachine>();
  readonly executors = new Map<string, Executors>();
  readonly down = new Set<string>();
  readonly copies: number;
  runtime: Runtime;
  #epoch = 0;

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
    const fetching = { maxSizeBytes: 2 ** 30, fetchTimeoutMs: 1_800_000 };
    runtime.register(blob, blobPerformers({ ...fetching, copies, patienceMs: AWAY_MS, nodes }));
    runtime.register(artifact, artifactPerformers());
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

  #view(node: string) {
    return this.machines.has(node) ? [{ node, isUp: !this.down.has(node), takesMore: true }] : [];
  }

  #executors(node: string, machine: SimMachine): Executors {
    const router = localRouter(this.runtime, {});
    const images = new SimImageDriver(machine, () => true);
    const { log } = keptLog();
    const convergers = {
      domain: NOTHING,
      segment: NOTHING,
      replica: replicaConverger(images, router),
    };
    return new Executors({ node, log, fencing: machine.ledger, convergers });
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
    const nodes = NAMES.flatMap((node) => this.#view(node));
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

  /** Time enough for everything that does not wait for a machine. */
  async rest(ms = 30_000): Promise<void> {
    for (let passed = 0; passed < ms; passed += 1_000) await this.clock.advance(1_000);
  }
}

test('one machine keeps its only copy, and nothing waits', async () => {
  const world = new World(['n1']);
  await world.make();
  assert.equal(world.holders, ['n1']);
  assert.equal(world.runtime.stuck(world.clock.nowMs()), []);
  assert.is(world.state.setback, null);
});

test('of several machines two hold it, with the same content', async () => {
  const world = new World(NAMES);
  await world.make();
  assert.is(world.holders.length, 2);
  assert.equal(world.holders, world.verified);
  const [first, second] = world.holders.map((node) =>
    world.machines.get(node)?.images.replicas.get('b'),
  );
  assert.equal(first, second);
});

test('a machine that stays away is replaced; when it is back its copy is removed', async () => {
  const world = new World(NAMES);
  await world.make();
  const [, lost = ''] = world.holders;
  await world.see(lost);
  await world.rest(AWAY_MS - 60_000);
  assert.is(world.holders.length, 2, 'it may be back soon');
  await world.rest(120_000);
  assert.is(world.holders.length, 3);
  assert.is(world.verified.length, 2);
  await world.see();
  await world.rest();
  assert.is(world.holders.length, 2);
  assert.equal(world.holders, world.verified);
  assert.not.ok(world.holders.includes(lost));
});

test('one that was only restarted is asked, and keeps its copy', async () => {
  const world = new World(NAMES);
  await world.make();
  const before = world.holders;
  await world.see(before[1] ?? '');
  await world.rest(60_000);
  await world.see();
  await world.rest();
  assert.equal(world.verified, before);
});

test('one that comes back without its disk gets a new copy', async () => {
  const world = new World(['n1', 'n2']);
  await world.make();
  await world.see('n2');
  world.machines.get('n2')?.images.replicas.clear();
  await world.see();
  await world.rest();
  assert.equal(world.holders, ['n1', 'n2']);
  assert.equal(world.verified, ['n1', 'n2']);
});

test('a machine that is gone for good is replaced at once', async () => {
  const world = new World(NAMES);
  await world.make();
  const [, lost = ''] = world.holders;
  world.machines.delete(lost);
  await world.tell({ kind: 'node-gone', node: lost });
  await world.rest();
  assert.is(world.holders.length, 2);
  assert.equal(world.holders, world.verified);
});

test('a machine that somebody needs it on gets it, and it is told after that', async () => {
  const world = new World(NAMES);
  await world.make();
  const target = NAMES.find((node) => !world.holders.includes(node)) ?? '';
  await world.tell({ kind: 'need', user: 'artifact/a', node: target });
  await world.until('there', () => world.verified.includes(target));
  await world.rest();
  assert.ok(world.holders.includes(target));
  assert.is(world.holders.length, 2, 'one of the others is surplus');
});

test('a machine without room fails nobody else: another gets the copy', async () => {
  const world = new World(['n1', 'n2', 'n3']);
  for (const node of ['n2', 'n3']) {
    const images = world.machines.get(node)?.images;
    if (images !== undefined) images.isDiskFull = true;
  }
  await world.make();
  const [target = ''] = Object.keys(world.state.replicas).filter((node) => node !== 'n1');
  await world.until('given up', () => world.state.replicas[target]?.phase === 'failed');
  const other = target === 'n2' ? 'n3' : 'n2';
  const images = world.machines.get(other)?.images;
  if (images !== undefined) images.isDiskFull = false;
  await world.until('elsewhere', () => world.verified.includes(other), 1_200_000);
  await world.rest();
  assert.equal(world.holders, ['n1', other]);
});

test('a member that cannot be reached for a minute is left out, another gets the copy', async () => {
  const world = new World(['n1', 'n2', 'n3']);
  const cut = new Set(['n2', 'n3']);
  for (const node of cut) world.executors.delete(node);
  await world.make();
  const [target = ''] = Object.keys(world.state.replicas).filter((node) => node !== 'n1');
  await world.until('given up', () => world.state.replicas[target]?.phase === 'failed', 300_000);
  const phases = Object.keys(world.state.replicas).toSorted();
  assert.equal(phases, ['n1', 'n2', 'n3'], 'the other one is tried at once');
});

test('a daemon that dies while copies are made changes nothing', async () => {
  const world = new World(NAMES);
  await world.make();
  for (let round = 0; round < 10; round++) {
    await world.see(NAMES[1 + (round % 3)] ?? '');
    await world.rest(2_000);
    const runtime = world.boot();
    await runtime.resume(() => world.journal.read());
    await world.see();
  }
  await world.rest(AWAY_MS);
  assert.is(world.holders.length, 2);
  assert.equal(world.holders, world.verified);
});

test('when nothing uses it any more it is removed everywhere, also where it is only half made', async () => {
  const world = new World(NAMES);
  await world.make();
  await world.see('n2');
  await world.rest(AWAY_MS + 60_000);
  void world.runtime.ask(ARTIFACT, { kind: 'delete' }, { trace: 't' });
  await world.rest();
  await world.see();
  await world.until('deleted', () => world.state.phase === 'deleted');
  assert.equal(world.holders, []);
  for (const [name, machine] of world.machines) assert.equal(machine.leftovers(), [], name);
});

test.run();
