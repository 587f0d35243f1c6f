// An instance's transitions: by table, and under random messages.
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { instance } from '../../../../actors/instance/instance.ts';
import { PHASES } from '../../../../actors/instance/phases.ts';
import type {
  InstanceMessage,
  InstanceState,
  Observed,
} from '../../../../actors/instance/state.ts';
import { movesOf, stepper, walk, type Pick } from '../random-walk.ts';
import { building, CREATE, interfaceIs, made, ON, seen, up } from './machine.ts';

const test = suite('instance');

const remove = { kind: 'delete' } as const;
const placed: InstanceMessage = { kind: 'placed', node: 'n1', stages: [] };
const started = { kind: 'preflight-started' } as const;
const artifactIs = {
  kind: 'artifact-changed',
  artifactId: 'a',
  blobId: 'b',
  failure: null,
} as const;
const blobIs = {
  kind: 'blob-changed',
  blobId: 'b',
  phase: 'created',
  failure: null,
  virtualSizeBytes: 1,
} as const;

const preflight = () => made().send(interfaceIs('initial')).send(placed).send(started);

test('its phases follow interfaces, placement, images and the domain', () => {
  const vm = made();
  assert.equal(vm.effects, ['create-interfaces']);
  assert.equal(vm.send(interfaceIs('initial')).effects, ['place']);
  assert.equal(vm.send(placed).effects, ['start-preflight']);
  assert.equal(vm.send(started).effects, ['request-images', 'place-interfaces']);
  assert.is(instance.passing(vm.state)?.reason, 'waiting for 1 image and 1 interface');
  vm.send(interfaceIs('created')).send(artifactIs).send(blobIs);
  assert.is(vm.state.phase, 'creating');
  assert.equal(vm.effects, ['sync-domain']);
  vm.send(seen(vm.state, ON));
  assert.is(vm.state.phase, 'created');
  assert.equal(vm.effects, ['sync-domain']);
});

test('every stage of the scheduler is an event, also when no node is left', () => {
  const stages = [
    { stage: 'hypervisors', candidates: ['n1', 'n2'], dropped: { n3: 'is no hypervisor' } },
    { stage: 'idle RAM', candidates: [], dropped: { n1: 'too small', n2: 'too small' } },
  ];
  const vm = made().send(interfaceIs('initial'));
  const code = 'scheduler/no-node';
  vm.send({ kind: 'unplaceable', code, reason: 'No nodes with enough idle RAM', stages });
  assert.is(vm.state.phase, 'initial-error');
  assert.is(vm.state.failure?.reason, 'No nodes with enough idle RAM');
  assert.equal(vm.events.slice(1), [
    'schedule by hypervisors',
    'schedule by idle RAM',
    'instance failed',
  ]);
});

test('events about very many nodes stay small, and say how many they do not name', () => {
  const names = Array.from({ length: 1_000 }, (_, index) => `node-${index}`);
  const dropped = Object.fromEntries(names.map((node) => [node, 'x'.repeat(5_000)]));
  const stages = [{ stage: 'idle RAM', candidates: names, dropped }];
  const vm = made().send(interfaceIs('initial'));
  const [event] = vm.try({ kind: 'placed', node: 'n1', stages }).events;
  assert.is(event?.extra?.['unnamed'], 1_200);
  assert.ok(JSON.stringify(event).length < 100_000);
});

test('a node that asks is told whether its reservation is to stay', () => {
  const claims = (vm: ReturnType<typeof made>) =>
    ['n1', 'n2'].map((node) => vm.try({ kind: 'claims-place', node }).reply);
  assert.equal(claims(made()), [true, true], 'may be about to be placed');
  assert.equal(claims(made().send(interfaceIs('initial')).send(placed)), [true, false]);
  assert.equal(claims(up()), [true, false]);
  assert.equal(claims(up().park()), [true, false], 'a parked one has given nothing back');
  assert.equal(claims(made().send(remove)), [false, false]);
  const gone = up().send(remove).send({ kind: 'domain-removed' }).send({ kind: 'interfaces-gone' });
  assert.equal(claims(gone), [true, false], 'still giving back');
  assert.equal(claims(gone.send({ kind: 'images-released' })), [false, false]);
});

test('a delete gives everything back from every phase, in the order of dependence', () => {
  const before = ['delete-interfaces', 'release-images'];
  const after = ['remove-domain', ...before];
  const rows: readonly (readonly [string, ReturnType<typeof made>, readonly string[]])[] = [
    ['initial', made(), before],
    ['placed', made().send(interfaceIs('initial')).send(placed), before],
    ['preflight', preflight(), before],
    ['creating', building(), after],
    ['created', up(), after],
    ['created, parked', up().park(), after],
    ['creating, failed', building().fail('image/refused', 'no'), after],
    ['initial, failed', made().fail('host/tool-failed', 'no'), before],
    ['crashed', crashed(), after],
  ];
  for (const [name, vm, effects] of rows) {
    vm.send(remove);
    assert.equal(cleanUp(vm), effects, name);
    assert.is(vm.state.phase, 'deleted', name);
  }
});

function crashed() {
  const vm = up();
  return vm.send(seen(vm.state, { ...ON, power: 'crashed' }));
}

/** Delivers the outcome of each effect wanted, until none is; the effects, in order. */
function cleanUp(vm: ReturnType<typeof made>): string[] {
  const done: string[] = [];
  const outcomes: Record<string, InstanceMessage> = {
    'remove-domain': { kind: 'domain-removed' },
    'delete-interfaces': { kind: 'interfaces-gone' },
    'release-images': { kind: 'images-released' },
  };
  for (let [effect] = vm.effects; effect !== undefined; [effect] = vm.effects) {
    const outcome = outcomes[effect];
    if (outcome === undefined) throw new Error(`no outcome for ${effect}`);
    done.push(effect);
    vm.send(outcome);
  }
  return done;
}

test('a failed instance is cleaned up, rests in error, and is deleted at once', () => {
  const vm = building().fail('image/refused', 'the disk is too small');
  assert.is(vm.state.phase, 'creating-error');
  cleanUp(vm);
  assert.is(vm.state.phase, 'error');
  assert.is(vm.state.failure?.reason, 'the disk is too small');
  assert.is(vm.send(remove).state.phase, 'deleted');
  assert.is(vm.try(remove).refusal?.code, 'object/not-found');
});

test("images that fail say so in the image's own words", () => {
  const why = { code: 'image/refused', reason: 'it names a backing file' };
  const rows: readonly InstanceMessage[] = [
    { ...artifactIs, blobId: null, failure: why },
    { ...blobIs, phase: 'error', failure: why },
  ];
  for (const row of rows) {
    const vm = preflight();
    if (row.kind === 'blob-changed') vm.send(artifactIs);
    vm.send(row);
    assert.is(vm.state.failure?.reason, 'Image fetch failed: it names a backing file');
  }
  const refused = preflight().fail('image/refused', 'artifact not found');
  assert.is(refused.state.failure?.reason, 'Image fetch failed: artifact not found');
});

test('others are told whether they are still wanted', () => {
  const vm = up();
  assert.is(vm.try(interfaceIs('created')).reply, true);
  assert.is(vm.try({ ...interfaceIs('created'), interfaceId: 'other' }).reply, false);
  assert.is(vm.try(blobIs).reply, true);
  assert.is(vm.try({ ...blobIs, blobId: 'other' }).reply, false);
  vm.send(remove);
  assert.is(vm.try(interfaceIs('created')).reply, true, 'it deletes the interface itself');
  assert.is(vm.try(blobIs).reply, true, 'it releases the blob itself');
  cleanUp(vm);
  assert.is(vm.try(interfaceIs('created')).reply, false);
  assert.is(vm.try(blobIs).reply, false);
});

// An interface whose create was overtaken by its delete was told that it was wanted, and stayed in error for ever.
test('an interface that comes to be while the instance gives up is not wanted', () => {
  const vm = preflight().send(remove);
  assert.is(vm.try(interfaceIs('error')).reply, false);
  assert.is(vm.try(interfaceIs('initial')).reply, false);
});

test('what an interface told late does not bring it back', () => {
  const vm = preflight().send(interfaceIs('created'));
  vm.send(interfaceIs('initial'));
  assert.is(vm.state.nics[0]?.phase, 'created');
  vm.send(remove).send({ kind: 'interfaces-gone' }).send(interfaceIs('created'));
  assert.is(vm.state.nics[0]?.phase, 'deleted');
});

test('an interface out of order fails an instance that is built, and leaves a running one alone', () => {
  assert.is(preflight().send(interfaceIs('error')).state.phase, 'preflight-error');
  const vm = up().send(interfaceIs('error'));
  assert.is(vm.state.phase, 'created');
  assert.is(vm.events.at(-1), 'an interface is out of order');
});

test('a sync that is refused pauses, and its events thin out', () => {
  const vm = up();
  const { length } = vm.events;
  for (let failures = 1; failures <= 100; failures++) {
    vm.fail('image/refused', 'the disk is gone');
    assert.equal(vm.effects, [], 'it pauses');
    vm.pass(600_000).time();
    assert.equal(vm.effects, ['sync-domain'], 'it tries again');
  }
  assert.is(vm.events.length - length, 7);
  vm.fail('image/refused', 'the disk is gone').send({ kind: 'set-power', action: 'poweroff' });
  assert.equal(vm.effects, ['sync-domain'], 'a new wish is tried at once');
});

test('a deadline that comes again and again in clean-up changes nothing', () => {
  const vm = up().send(remove);
  const { state, events } = vm;
  for (let minute = 0; minute < 100; minute++) vm.pass(60_000).time();
  assert.is(vm.state, state);
  assert.is(vm.events.length, events.length);
});

test('hostile names and metadata stay data', () => {
  const metadata = JSON.parse('{"__proto__": {"polluted": 1}, "constructor": 2, "affinity": 3}');
  const vm = stepper(instance).send({ ...CREATE, name: '__proto__', metadata });
  instance.snapshot.decode(vm.state);
  assert.equal(Object.keys(vm.state.metadata), ['__proto__', 'constructor', 'affinity']);
  assert.is(Object.getPrototypeOf(vm.state.metadata), Object.prototype);
  assert.is(({} as { polluted?: number }).polluted, undefined);
});

/** Mostly what leads on from where it is; else anything. */
function message(pick: Pick, state: InstanceState): InstanceMessage {
  return pick(true, true, true, false) ? forward(pick, state) : anything(pick, state);
}

function forward(pick: Pick, state: InstanceState): InstanceMessage {
  if (state.phase === 'none') return CREATE;
  if (state.phase === 'initial') return pick(interfaceIs('initial'), placed, started);
  if (state.phase === 'preflight') {
    return pick<InstanceMessage>(interfaceIs('created'), artifactIs, blobIs);
  }
  return pick<InstanceMessage>(
    seen(state, ON),
    { kind: 'domain-removed' },
    { kind: 'interfaces-gone' },
    { kind: 'images-released' },
    pick<InstanceMessage>(remove, seen(state, { ...ON, power: 'crashed' })),
  );
}

const READY = { state: 'ready', startedAtMs: 1, bootedAtMs: null };

type Power = Observed['power'];

function anything(pick: Pick, state: InstanceState): InstanceMessage {
  const generation = pick(state.generation, state.generation - 1);
  const power = pick<Power>('on', 'off', 'paused', 'crashed');
  const offReason = power === 'off' ? pick('guest', 'lost', 'requested') : null;
  const observed: Observed = { ...ON, power, offReason, agent: pick(null, READY) };
  const nicPhase = pick('initial', 'created', 'created', 'delete-wait', 'deleted', 'error');
  const stages = [{ stage: 'load', candidates: ['n1'], dropped: { n2: 'load 3' } }];
  const action = pick('poweron', 'poweroff', 'pause', 'unpause', 'reboothard', 'rebootsoft');
  return pick<InstanceMessage>(
    CREATE,
    { ...interfaceIs(nicPhase), interfaceId: pick('nic', 'nic', 'other') },
    pick<InstanceMessage>(placed, {
      kind: 'unplaceable',
      code: 'scheduler/no-node',
      reason: 'no node',
      stages,
    }),
    pick<InstanceMessage>(started, {
      kind: pick('claims-place', 'account-for'),
      node: pick('n1', 'n2'),
    }),
    { ...artifactIs, blobId: pick('b', 'b', null) },
    { ...blobIs, phase: pick('created', 'created', 'error') },
    { kind: 'domain-observed', generation, observed, builtDisks: pick(null, []) },
    { kind: 'set-power', action },
    pick<InstanceMessage>({ kind: 'domain-removed' }, { kind: 'interfaces-gone' }),
    pick<InstanceMessage>({ kind: 'images-released' }, remove, { kind: 'forgotten' }),
    guestMessage(pick, state),
  );
}

function guestMessage(pick: Pick, { operations, screenshots }: InstanceState): InstanceMessage {
  const operationId = pick('o1', 'o2', 'o3');
  const operationIds = pick(
    operations.map(({ id }) => id),
    [operationId],
  );
  return pick<InstanceMessage>(
    { kind: 'enlist', operationId },
    { kind: pick('operation-ready', 'operation-started'), operationId },
    { kind: 'operation-over', operationId, isGone: pick(true, false) },
    { kind: 'operations-dropped', operationIds },
    { kind: 'keep-screenshot', blobId: pick('s1', 's2') },
    { kind: 'screenshots-dropped', blobIds: pick(screenshots, ['s1']) },
  );
}

test('random messages keep to the table, are harmless repeated, and leave it alive', () => {
  const rest = ['none', 'created', 'created-error', 'error', 'deleted'] as const;
  const check = (state: InstanceState) => {
    if (state.phase !== 'deleted') return;
    assert.ok(state.areImagesReleased && (state.isDomainGone || state.powerOns === 0));
    assert.ok(state.nics.every((nic) => nic.phase === 'deleted'));
    assert.equal([...state.operations, ...state.screenshots], [], 'nothing is left to anybody');
  };
  const counting = ['set-power', 'account-for'];
  const subject = { kind: instance, phases: PHASES, rest, message, check, counting };
  const moves = walk(subject, { seeds: 500, steps: 250 });
  const never = ['delete-wait-error error'];
  assert.equal(
    [...movesOf(PHASES)].filter((move) => !moves.has(move)),
    never,
  );
});

/** Its disk's image is known, and nothing else is missing. */
const waiting = (change: Partial<typeof CREATE> = {}) =>
  stepper(instance)
    .send({ ...CREATE, ...change })
    .send(interfaceIs('initial'))
    .send({ kind: 'placed', node: 'n1', stages: [] })
    .send({ kind: 'preflight-started' })
    .send(interfaceIs('created'))
    .send({ kind: 'artifact-changed', artifactId: 'a', blobId: 'b', failure: null });
const there = (blobId: string, diskBlobId?: string) =>
  ({
    kind: 'blob-changed',
    blobId,
    phase: 'created',
    failure: null,
    virtualSizeBytes: 1,
    ...(diskBlobId === undefined ? {} : { diskBlobId }),
  }) as const;

test('a disk whose blob is no disk as it is waits for what it starts from instead', () => {
  const vm = waiting().send(there('b', 'b2'));
  assert.equal([vm.state.phase, vm.state.disks[0]?.transcodeId], ['preflight', 'b2']);
  assert.is(vm.try(there('b2')).reply, true);
  assert.is(vm.state.phase, 'creating');
  assert.is(vm.try(there('b', 'b2')).reply, true);
  assert.is(vm.try(there('b3')).reply, false);
});

const through = (blobId: string, dependsOn: string) => ({ ...there(blobId), dependsOn }) as const;
const imagesOf = (vm: ReturnType<typeof waiting>) =>
  instance.effects(vm.state).find(({ name }) => name === 'request-images')?.key;

test('a disk that is read through others waits for all of them, each asked for once it is known', () => {
  const vm = waiting().send(through('b', 'parent'));
  assert.equal([vm.state.phase, imagesOf(vm)], ['preflight', 'b,,parent']);
  assert.match(instance.passing(vm.state)?.reason ?? '', 'waiting for 1 image and 0 interfaces');
  assert.is(vm.try(through('parent', 'grandparent')).reply, true);
  assert.equal([vm.state.phase, imagesOf(vm)], ['preflight', 'b,,parent,grandparent']);
  vm.send(through('b', 'parent'));
  assert.is(vm.state.below.length, 2, 'told once more');
  vm.send(there('grandparent'));
  assert.is(vm.state.phase, 'creating');
  assert.is(vm.try(there('parent')).reply, true, 'it is used');
  assert.is(vm.try(there('stranger')).reply, false);
});

test('what one disk starts from and another is read through is asked for once', () => {
  const [disk] = CREATE.disks;
  if (disk === undefined) throw new Error('no disk');
  const second = { ...disk, artifactId: null, blobId: 'parent' };
  const vm = waiting({ disks: [disk, second] }).send(there('parent'));
  vm.send(through('b', 'parent'));
  assert.equal(vm.state.below, [{ blobId: 'parent', isReady: true }]);
  assert.is(vm.state.phase, 'creating');
});

test('what a disk is read through and cannot be had fails the instance', () => {
  const why = { code: 'image/missing', reason: 'gone' };
  const vm = waiting().send(through('b', 'parent'));
  vm.send({ ...there('parent'), phase: 'error', failure: why });
  assert.is(vm.state.failure?.reason, 'Image fetch failed: gone');
});

test('with UEFI it waits for the template of its NVRAM too', () => {
  const vm = waiting({ uefi: true, nvramTemplate: 'vars' }).send(there('b'));
  assert.is(vm.state.phase, 'preflight');
  assert.match(instance.passing(vm.state)?.reason ?? '', 'waiting for 1 image and 0 interfaces');
  assert.is(vm.try(there('vars')).reply, true);
  assert.is(vm.state.phase, 'creating');
  const bios = waiting({ nvramTemplate: 'vars' }).send(there('b'));
  assert.is(bios.state.phase, 'creating', 'without UEFI there is no NVRAM');
});

test('a template that fails, fails the instance', () => {
  const why = { code: 'image/missing', reason: 'gone' };
  const vm = waiting({ uefi: true, nvramTemplate: 'vars' });
  vm.send({ ...there('vars'), phase: 'error', failure: why });
  assert.is(vm.state.failure?.reason, 'Image fetch failed: gone');
});

test.run();
