// A blob among nodes that come, go and lose their disks: its transitions, and a model of what is really on them.
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { blob } from '../../../../actors/blob/blob.ts';
import type { BlobMessage, BlobState } from '../../../../actors/blob/state.ts';
import type { KernelMessage } from '../../../../actors/kernel/kind.ts';
import { seededRandom } from '../../../support/kernel.ts';
import { stepper } from '../random-walk.ts';
import { CONTENT, FACTS } from '../../../support/blob-content.ts';

const test = suite('keeping copies');
const AWAY_MS = 300_000;

const source = { kind: 'url', url: 'http://images.test/a' } as const;
const content = {
  ...CONTENT,
  facts: FACTS,
} as const;

/** Made on n1; nodes whose names begin with `-` are down, those that end with `!` low on disk. */
const made = () =>
  stepper(blob)
    .send({ kind: 'create', source, node: 'n1', user: 'artifact/a' })
    .send({ kind: 'fetched', content });
type Stepper = ReturnType<typeof made>;

const nodes = (names: string, copies = 2): BlobMessage => ({
  kind: 'nodes-changed',
  copies,
  patienceMs: AWAY_MS,
  nodes: names.split(' ').map((name) => ({
    node: name.replace(/\W/, ''),
    isUp: !name.startsWith('-'),
    takesMore: true,
    sheds: name.endsWith('!'),
  })),
});
const copied = (one: Stepper, node: string): BlobMessage => ({
  kind: 'copied',
  node,
  generation: one.state.replicas[node]?.generation ?? -1,
});
const removed = (one: Stepper, node: string, isInUse = false): BlobMessage => ({
  kind: 'copy-removed',
  node,
  generation: one.state.replicas[node]?.generation ?? -1,
  isInUse,
});
const phases = ({ state }: Stepper) =>
  Object.fromEntries(Object.entries(state.replicas).map(([node, { phase }]) => [node, phase]));

test('one machine alone keeps one copy and wants no other', () => {
  const one = made().send(nodes('n1'));
  assert.equal(phases(one), { n1: 'verified' });
  assert.equal(one.effects, ['tell-users', 'place-copies']);
});

test('a node that joins gets the second copy', () => {
  const one = made().send(nodes('n1 n2'));
  assert.equal(phases(one), { n1: 'verified', n2: 'copying' });
  assert.ok(one.effects.includes('copy'));
  one.send(copied(one, 'n2'));
  assert.equal(phases(one), { n1: 'verified', n2: 'verified' });
});

test('a node that restarts is asked again, and nothing is copied elsewhere', () => {
  const one = made().send(nodes('n1 n2 n3'));
  const [target = ''] = Object.keys(one.state.replicas).filter((node) => node !== 'n1');
  one.send(copied(one, target));
  const others = `n1 n2 n3`.replace(target, `-${target}`);
  one
    .send(nodes(others))
    .pass(AWAY_MS - 1)
    .time();
  assert.is(Object.keys(one.state.replicas).length, 2);
  one.send(nodes('n1 n2 n3'));
  assert.equal(phases(one), { n1: 'verified', [target]: 'copying' });
  one.send(copied(one, target));
  assert.equal(phases(one), { n1: 'verified', [target]: 'verified' });
});

test('a node that stays away is replaced, and its copy is a spare one when it is back', () => {
  const one = made().send(nodes('n1 n2'));
  one.send(copied(one, 'n2'));
  one.send(nodes('n1 -n2 n3')).pass(AWAY_MS).time();
  assert.equal(phases(one), { n1: 'verified', n2: 'lost' });
  one.send(nodes('n1 -n2 n3'));
  assert.equal(phases(one), { n1: 'verified', n2: 'lost', n3: 'copying' });
  one.send(copied(one, 'n3')).send(nodes('n1 n2 n3'));
  assert.equal(phases(one), { n1: 'verified', n2: 'copying', n3: 'verified' });
  one.send(copied(one, 'n2')).send(nodes('n1 n2 n3'));
  assert.equal(phases(one), { n1: 'verified', n2: 'verified', n3: 'verified' });
  one.send(nodes('n1 n2! n3'));
  assert.equal(phases(one), { n1: 'verified', n2: 'removing', n3: 'verified' });
  one.send(removed(one, 'n2'));
  assert.equal(phases(one), { n1: 'verified', n3: 'verified' });
});

test('an outcome of an older wish proves nothing', () => {
  const one = made().send(nodes('n1 n2'));
  const old = copied(one, 'n2');
  one.send(nodes('n1 -n2')).send(nodes('n1 n2')).send(old);
  assert.equal(phases(one), { n1: 'verified', n2: 'copying' });
});

test('a machine that is gone for good is forgotten, but for the last trace of the bytes', () => {
  const one = made().send(nodes('n1 n2'));
  one.send(copied(one, 'n2')).send({ kind: 'node-gone', node: 'n2' });
  assert.equal(phases(one), { n1: 'verified' });
  one.send({ kind: 'node-gone', node: 'n1' }).send({ kind: 'node-gone', node: 'n1' });
  assert.equal(phases(one), { n1: 'lost' });
  assert.is(one.events.filter((text) => text === 'the last copy is gone').length, 1);
});

test('a user is told once the replica it needs is on its node', () => {
  const one = made().send({ kind: 'need', user: 'instance/vm', node: 'n3' });
  assert.equal(phases(one), { n1: 'verified', n3: 'copying' });
  assert.is(tellKey(one), '0 artifact/a');
  one.send(copied(one, 'n3'));
  assert.is(tellKey(one), '0 artifact/a,instance/vm');
  one.send({ kind: 'need', user: 'instance/two', node: 'n1' });
  assert.is(tellKey(one), '0 artifact/a,instance/vm,instance/two');
});

const tellKey = ({ state }: Stepper) =>
  blob.effects(state).find(({ name }) => name === 'tell-users')?.key;

test('a user that went and comes back is told again, also when all is as it was', () => {
  const one = made().send({ kind: 'need', user: 'instance/vm', node: 'n1' });
  // What has been done under a key is not done again under it.
  const keys = new Set([tellKey(one)]);
  const isNew = () => keys.size < keys.add(tellKey(one)).size;
  one.send({ kind: 'unuse', user: 'instance/vm' });
  assert.ok(isNew());
  one.send({ kind: 'need', user: 'instance/vm', node: 'n1' });
  assert.ok(isNew(), 'it had left by itself');
  one.send({ kind: 'users-gone', users: ['instance/vm'] });
  assert.ok(isNew());
  one.send({ kind: 'use', user: 'instance/vm' });
  assert.ok(isNew(), 'it did not know the blob when it was told');
  one.send({ kind: 'need', user: 'instance/vm', node: 'n1' });
  assert.not(isNew(), 'asked for again: it was told');
  one.send({ kind: 'need', user: 'instance/vm', node: 'n2' }).send(copied(one, 'n2'));
  assert.ok(isNew(), 'on another node');
});

test('one that was needed before the bytes were known is made as soon as they are', () => {
  const one = stepper(blob)
    .send({ kind: 'create', source, node: 'n1', user: 'artifact/a' })
    .send({ kind: 'need', user: 'instance/vm', node: 'n2' })
    .send({ kind: 'fetched', content });
  assert.equal(phases(one), { n1: 'verified', n2: 'copying' });
});

test('a copy that cannot be made fails its user, and is tried elsewhere', () => {
  const one = made().send({ kind: 'need', user: 'instance/vm', node: 'n2' });
  const wanted = blob.effects(one.state).find(({ name }) => name === 'copy');
  const failing = { code: 'image/not-fetched', reason: 'no room' } as const;
  one.send({ kind: 'effect-failed', effect: 'copy', key: wanted?.key ?? '', ...failing });
  assert.equal(phases(one), { n1: 'verified', n2: 'failed' });
  assert.is(tellKey(one), '0 artifact/a,instance/vm failed');
  one.send({ kind: 'unuse', user: 'instance/vm' }).send(nodes('n1 n2 n3'));
  assert.equal(phases(one), { n1: 'verified', n2: 'failed', n3: 'copying' });
});

test('a node that stays full is tried ever more rarely, and tells of it ever more rarely', () => {
  const one = made().send(nodes('n1 n2'));
  const pauses: number[] = [];
  for (let failures = 1; failures <= 10; failures++) {
    const wanted = blob.effects(one.state).find(({ name }) => name === 'copy');
    const failing = { code: 'image/not-fetched', reason: 'no room' } as const;
    one.send({ kind: 'effect-failed', effect: 'copy', key: wanted?.key ?? '', ...failing });
    const timer = blob.timer(one.state) ?? 0;
    const before = one.time().state.replicas['n2']?.retryAtMs;
    assert.is(before, timer, 'not before its time');
    one.pass(86_400_000).time().send(nodes('n1 n2'));
    pauses.push(one.state.replicas['n2']?.failures ?? 0);
  }
  assert.equal(pauses, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
  const told = (text: string) => one.events.filter((event) => event === text).length;
  assert.equal([told('a copy could not be made'), told('copying')], [4, 1]);
  one.send(copied(one, 'n2'));
  assert.is(one.state.replicas['n2']?.failures, 0);
});

test('a copy that a disk is based on stays, and is asked for again', () => {
  const one = made().send({ kind: 'need', user: 'instance/vm', node: 'n2' });
  one
    .send(copied(one, 'n2'))
    .send({ kind: 'unuse', user: 'instance/vm' })
    .send(nodes('n1! n2!', 1));
  const [leaving = ''] =
    Object.entries(phases(one)).find(([, phase]) => phase === 'removing') ?? [];
  one.send(removed(one, leaving, true));
  assert.is(phases(one)[leaving], 'copying');
  one.send(copied(one, leaving)).send(nodes('n1! n2!', 1));
  assert.equal(Object.values(phases(one)).toSorted(), ['removing', 'verified']);
  assert.is(phases(one)[leaving], 'verified');
});

/** What is really on a node. */
interface Machine {
  isUp: boolean;
  isGone: boolean;
  hasReplica: boolean;
  fence: number;
}

/** The blob's actor, its effects carried out late, twice or never, and the machines. */
class Model {
  readonly machines = new Map<string, Machine>();
  readonly random: () => number;
  readonly late: BlobMessage[] = [];
  readonly copies: number;
  state: BlobState = blob.initial;
  now = 1_000_000;

  constructor(seed: number) {
    const random = seededRandom(seed);
    this.random = () => random.number();
    this.copies = 1 + Math.floor(this.random() * 3);
    for (const name of ['n1', 'n2', 'n3', 'n4', 'n5']) {
      this.machines.set(name, { isUp: true, isGone: false, hasReplica: name === 'n1', fence: 0 });
    }
    this.send({ kind: 'create', source, node: 'n1', user: 'artifact/a' });
    this.send({ kind: 'fetched', content });
  }

  send(message: BlobMessage | KernelMessage): void {
    const turn = { id: 'self', now: this.now, random: this.random };
    const step = blob.transition(this.state, message, turn);
    if (step.refusal === null && step.state !== null) this.state = step.state;
  }

  get kept(): number {
    return [...this.machines.values()].filter((one) => one.hasReplica && !one.isGone).length;
  }

  tellNodes(): void {
    const there = [...this.machines].filter(([, { isGone }]) => !isGone);
    const views = there.map(([node, { isUp }]) => ({ node, isUp, takesMore: true }));
    this.send({ kind: 'nodes-changed', nodes: views, copies: this.copies, patienceMs: AWAY_MS });
  }

  /** One effect that is wanted, or an outcome that comes late. */
  act(): void {
    const late = this.late.splice(0, this.random() < 0.5 ? 1 : 0);
    for (const message of late) this.send(message);
    const wanted = blob.effects(this.state);
    const effect = wanted[Math.floor(this.random() * wanted.length)];
    if (effect === undefined) return;
    const { name, key } = effect;
    if (name === 'place-copies') return this.tellNodes();
    const [node = '', text = ''] = key.split(' ');
    const machine = this.machines.get(node);
    if (machine === undefined || !machine.isUp || machine.isGone) return;
    const generation = Number(text);
    if (generation < machine.fence) return;
    machine.fence = generation;
    if (name === 'copy') this.#copy(node, machine, generation);
    if (name === 'remove-copy') this.#remove(node, machine, generation);
  }

  #copy(node: string, machine: Machine, generation: number): void {
    const sources = [...this.machines.values()];
    const isThere = sources.some((one) => one.hasReplica && one.isUp && !one.isGone);
    if (!isThere) return;
    machine.hasReplica = true;
    this.#outcome({ kind: 'copied', node, generation });
  }

  #remove(node: string, machine: Machine, generation: number): void {
    const isInUse = this.random() < 0.1;
    if (!isInUse) machine.hasReplica = false;
    this.#outcome({ kind: 'copy-removed', node, generation, isInUse });
  }

  #outcome(message: BlobMessage): void {
    if (this.random() < 0.2) this.late.push(message);
    else this.send(message);
  }

  /** A machine goes, comes, loses its disk with it, or somebody needs a replica. */
  befall(): void {
    const [name, machine] = [...this.machines][Math.floor(this.random() * 5)] ?? [];
    if (name === undefined || machine === undefined || machine.isGone) return;
    const dice = this.random();
    const user = `instance/${Math.floor(this.random() * 3)}`;
    if (dice < 0.4) machine.isUp = !machine.isUp;
    else if (dice < 0.5) this.now += AWAY_MS;
    else if (dice < 0.52 && this.kept > 1 + this.copies) this.#destroy(name, machine);
    else if (dice < 0.7 && machine.isUp) this.send({ kind: 'need', user, node: name });
    else if (dice < 0.85) this.send({ kind: 'unuse', user });
    else this.now += 1_000;
    this.send({ kind: 'time-reached', atMs: this.now });
    if (this.random() < 0.7) this.tellNodes();
  }

  #destroy(name: string, machine: Machine): void {
    machine.isGone = true;
    this.send({ kind: 'node-gone', node: name });
  }

  /** Everybody is back, and all is done that is wanted. */
  rest(): void {
    for (const machine of this.machines.values()) machine.isUp = true;
    for (let round = 0; round < 400; round++) {
      if (round % 20 === 0) {
        this.now += AWAY_MS;
        this.send({ kind: 'time-reached', atMs: this.now });
        this.tellNodes();
      }
      this.act();
    }
  }
}

test('whatever befalls the nodes, a good copy is left, and in the end there are as many as wanted', () => {
  for (let seed = 1; seed <= 300; seed++) {
    const model = new Model(seed);
    for (let step = 0; step < 300; step++) {
      const where = `seed ${seed} step ${step}`;
      if (model.random() < 0.2) model.befall();
      else model.act();
      assert.ok(model.kept > 0, `${where}: ${JSON.stringify(model.state.replicas)}`);
    }
    model.rest();
    const where = `seed ${seed}: ${JSON.stringify(model.state.replicas)}`;
    const there = [...model.machines.values()].filter(({ isGone }) => !isGone).length;
    const verified = Object.entries(model.state.replicas).filter(([node, { phase }]) => {
      if (phase === 'verified') assert.ok(model.machines.get(node)?.hasReplica, where);
      return phase === 'verified';
    });
    assert.ok(verified.length >= Math.min(model.copies, there), where);
    for (const [node, { hasReplica, isGone }] of model.machines) {
      if (hasReplica && !isGone)
        assert.ok(node in model.state.replicas, `${node} forgotten, ${where}`);
    }
    for (const node of Object.values(model.state.needs)) {
      if (model.machines.get(node)?.isGone !== true)
        assert.ok(model.machines.get(node)?.hasReplica, where);
    }
  }
});

test.run();
