// The scheduler: a table per filter (contract: instances 5), then affinity, load and chance; then what must hold
// whatever nodes and wishes there are.
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { candidateOf } from '../../../../actors/instance/candidate.ts';
import {
  schedule,
  type Candidate,
  type Choice,
  type PlacedInstance,
  type Wish,
} from '../../../../actors/instance/scheduler.ts';
import { LIMITS, shortageOf } from '../../../../actors/node/capacity.ts';
import { initial } from '../../../../actors/node/node.ts';
import type { NodeState, Reservation } from '../../../../actors/node/state.ts';
import { seededRandom } from '../../../support/kernel.ts';
import { MACHINE } from '../../../support/machine-facts.ts';

const test = suite('scheduler');

const NODE: NodeState = {
  ...initial,
  phase: 'created',
  machine: { ...MACHINE, cpus: 2, memoryMiB: 8_192, limits: LIMITS },
  gauges: { availableMemoryMiB: 6_000, freeDiskGiB: 100, load: 0.5 },
};
const WISH: Wish = {
  namespace: 'ns',
  cpus: 1,
  memoryMiB: 1_024,
  diskGiB: 8,
  requestedNode: null,
  affinity: new Map(),
};

interface Given {
  readonly state?: Partial<NodeState>;
  readonly gauges?: Partial<NonNullable<NodeState['gauges']>>;
  /** Of others, running and built unless said otherwise. */
  readonly reserved?: Partial<Reservation>;
  readonly instances?: readonly PlacedInstance[];
  readonly isMember?: boolean;
  readonly hasImages?: boolean;
}

function candidate(node: string, given: Given = {}): Candidate {
  const { state, gauges, reserved, instances = [], isMember = true, hasImages = false } = given;
  const none = {
    cpus: 0,
    memoryMiB: 0,
    diskGiB: 0,
    grantedAtMs: 0,
    isRunning: true,
    isBuilt: true,
  };
  const reservations = reserved === undefined ? {} : { other: { ...none, ...reserved } };
  const measured = NODE.gauges === null ? null : { ...NODE.gauges, ...gauges };
  const full = { ...NODE, gauges: measured, reservations, ...state };
  return candidateOf(node, full, { instanceId: 'self', instances, isMember, hasImages });
}

function placed(members: Partial<PlacedInstance>): PlacedInstance {
  return { namespace: 'ns', tags: [], ...members };
}

const pick = (wish: Partial<Wish>, candidates: readonly Candidate[], random = 0) =>
  schedule({ ...WISH, ...wish }, candidates, random);
const nodeOf = (choice: Choice) => (choice.ok ? choice.node : choice.reason);

const NOT = 'No nodes with metrics';
const CPU = 'No nodes with enough idle CPU';
const RAM = 'No nodes with enough idle RAM';
const DISK = 'No nodes with enough disk space';

test('a node that has the image is taken before one that has not, if both are as idle', () => {
  const two = [candidate('n1'), candidate('n2', { hasImages: true })];
  for (const random of [0, 0.99]) assert.is(nodeOf(pick({}, two, random)), 'n2');
  const choice = pick({}, two);
  const stage = choice.stages.find((one) => one.stage === 'image');
  assert.equal(stage?.dropped, { n1: 'has to fetch the image first, others have it' });
  const busy = candidate('n2', { hasImages: true, gauges: { load: 5 } });
  assert.is(nodeOf(pick({}, [candidate('n1'), busy])), 'n1', 'a busy one is not');
});

test('a node that has the image and no whole CPU left is no better than others', () => {
  const full = candidate('n2', { hasImages: true, reserved: { cpus: 2 } });
  const two = [candidate('n1'), full];
  assert.equal(
    [0, 0.99].map((random) => nodeOf(pick({}, two, random))),
    ['n1', 'n2'],
  );
});

test('each filter keeps what fits exactly and refuses one more, with its text', () => {
  const many = { machine: { ...MACHINE, cpus: 64 } };
  const storage = { machine: { ...MACHINE, roles: ['storage', 'api'] as ('storage' | 'api')[] } };
  const rows: readonly (readonly [string, Given, Partial<Wish>, string])[] = [
    ['not ready', { state: { phase: 'error' } }, {}, NOT],
    ['not measured', { state: { gauges: null } }, {}, NOT],
    ['a daemon that is away', { isMember: false }, {}, NOT],
    ['storage only', { state: storage }, {}, NOT],
    ['another node', {}, { requestedNode: 'n2' }, 'node not found: n2'],
    ['the node asked for', {}, { requestedNode: 'n1' }, 'n1'],
    ['the node asked for, too small', {}, { requestedNode: 'n1', memoryMiB: 9_000 }, RAM],
    ['vCPUs at the limit', { state: many }, { cpus: 255 }, 'n1'],
    ['vCPUs over it', { state: many }, { cpus: 256 }, 'Requested vCPUs exceeds vCPU limit'],
    ['CPUs 16 fold', { reserved: { cpus: 31 } }, {}, 'n1'],
    ['CPUs more than 16 fold', { reserved: { cpus: 32 } }, {}, CPU],
    ['RAM with what the machine keeps', { gauges: { availableMemoryMiB: 3_072 } }, {}, 'n1'],
    ['RAM without it', { gauges: { availableMemoryMiB: 3_071 } }, {}, RAM],
    ['RAM 3 fold', { reserved: { memoryMiB: 23_552 } }, {}, 'n1'],
    ['RAM more than 3 fold', { reserved: { memoryMiB: 23_553 } }, {}, RAM],
    ['reserved RAM', { reserved: { memoryMiB: 2_928, isRunning: false } }, {}, 'n1'],
    ['too much reserved RAM', { reserved: { memoryMiB: 2_929, isRunning: false } }, {}, RAM],
    ['disk with the reserve', { gauges: { freeDiskGiB: 28 } }, {}, 'n1'],
    ['disk without the reserve', { gauges: { freeDiskGiB: 27 } }, {}, DISK],
    ['built disks', { reserved: { diskGiB: 900 } }, {}, 'n1'],
    ['reserved disks', { reserved: { diskGiB: 73, isBuilt: false } }, {}, DISK],
  ];
  for (const [name, given, wish, outcome] of rows) {
    assert.is(nodeOf(pick(wish, [candidate('n1', given)])), outcome, name);
  }
});

test('no node at all is a refusal with a reason', () => {
  const stages = [{ stage: 'hypervisors', candidates: [], dropped: {} }];
  assert.equal(pick({}, []), { ok: false, code: 'scheduler/no-node', reason: NOT, stages });
});

test('a node that was asked for and takes nobody is not found, as the contract has it', () => {
  const choice = pick({ requestedNode: 'n9' }, [candidate('n1')]);
  assert.is(!choice.ok && choice.code, 'object/not-found');
});

test('every stage says who is left, and of each that is dropped why, in numbers', () => {
  const choice = pick({ memoryMiB: 2_048, affinity: new Map([['db', 1]]) }, [
    candidate('n1', { instances: [placed({ tags: ['db'] })] }),
    candidate('n2', { reserved: { memoryMiB: 2_048, isRunning: false } }),
    candidate('n3', { instances: [placed({ tags: ['db'] })], gauges: { load: 3 } }),
    candidate('n4'),
    candidate('n5', { state: { phase: 'error' } }),
  ]);
  const said = choice.stages.map(({ stage, candidates, dropped }) => {
    const reasons = Object.entries(dropped).map(([node, why]) => `; ${node}: ${why}`);
    return `${stage}: ${candidates.join()}${reasons.join('')}`;
  });
  assert.equal(said, [
    'hypervisors: n1,n2,n3,n4; n5: is in state error',
    'vCPU limit: n1,n2,n3,n4',
    'idle CPU: n1,n2,n3,n4',
    'idle RAM: n1,n3,n4; n2: needs 2048 MiB, 1904 MiB available of 8192 (6000 free, 2048 kept for the machine), reserved 2048 by guests that do not run',
    'disk space: n1,n3,n4',
    'affinity: n1,n3; n4: affinity 0, the best has 1',
    'load: n1; n3: load 3, the least loaded has 0',
    'image: n1',
    'chance: n1',
  ]);
});

test('affinity outweighs load, per word and instance, within the namespace', () => {
  const affinity = new Map([
    ['db', 2],
    ['noisy', -3],
  ]);
  const rows: readonly (readonly [string, readonly PlacedInstance[], string])[] = [
    ['a friend', [placed({ tags: ['db'] })], 'n2'],
    ['a friend of another namespace', [placed({ tags: ['db'], namespace: 'other' })], 'n1'],
    ['a neighbour to avoid', [placed({ tags: ['noisy'] })], 'n1'],
    ['both', [placed({ tags: ['noisy', 'db'] })], 'n1'],
    ['a word twice is one word', [placed({ tags: ['noisy', 'db', 'db'] })], 'n1'],
    [
      'two friends against one',
      [placed({ tags: ['db'] }), placed({ tags: ['db', 'noisy'] })],
      'n2',
    ],
    ['words nobody asked about', [placed({ tags: ['constructor', '__proto__'] })], 'n1'],
  ];
  for (const [name, instances, expected] of rows) {
    const busy = candidate('n2', { gauges: { load: 9 }, instances });
    assert.is(nodeOf(pick({ affinity }, [candidate('n1'), busy])), expected, name);
  }
});

test('load counts in whole numbers, and chance decides between equals', () => {
  const loads = { n1: 0.5, n2: 0.9, n3: 1 };
  const all = Object.entries(loads).map(([node, load]) => candidate(node, { gauges: { load } }));
  const chosen = [0, 0.49, 0.5, 0.99].map((random) => nodeOf(pick({}, all, random)));
  assert.equal(chosen, ['n1', 'n1', 'n2', 'n2']);
});

test('what a node refused counts at the stage that it named, also where others know nothing of it', () => {
  const refusal = { check: 'idle RAM', reason: 'says: full' };
  const refusing = { ...candidate('n1'), refusal };
  assert.is(nodeOf(pick({}, [refusing])), RAM);
  const choice = pick({}, [refusing, candidate('n2')]);
  assert.is(nodeOf(choice), 'n2');
  const stage = choice.stages.find((one) => one.stage === 'idle RAM');
  assert.equal(stage?.dropped, { n1: 'says: full' });
});

test('a node that holds a reservation for the instance is taken again, whatever its load', () => {
  const mine = { ...candidate('n2', { gauges: { load: 7 } }), isHolding: true };
  assert.is(nodeOf(pick({}, [candidate('n1'), mine])), 'n2');
  const full = { ...candidate('n2', { gauges: { freeDiskGiB: 0 } }), isHolding: true };
  assert.is(nodeOf(pick({}, [candidate('n1'), full])), 'n1');
});

/** Any nodes and any wish, of sizes at which some filters keep and some drop. */
function anything(seed: number) {
  const random = seededRandom(seed);
  const below = (most: number) => Math.floor(random.number() * most);
  const one = <T>(...values: readonly T[]) => values[below(values.length)] as T;
  const candidates = Array.from({ length: below(12) }, (_, index) => ({
    ...candidate(`n${index}`, {
      state: { phase: one('created', 'created', 'created', 'error', 'none') },
      gauges: { availableMemoryMiB: below(12_000), freeDiskGiB: below(120), load: below(4) },
      reserved: {
        cpus: below(40),
        memoryMiB: below(25_000),
        diskGiB: below(60),
        isRunning: one(true, true, false),
        isBuilt: one(true, false),
      },
      instances: Array.from({ length: below(4) }, () =>
        placed({ namespace: one('ns', 'other'), tags: [one('a', 'b', 'c')] }),
      ),
    }),
    refusal: one(null, null, null, { check: 'idle CPU', reason: 'says: no' }),
    isHolding: one(false, false, false, true),
  }));
  const wish: Wish = {
    ...WISH,
    cpus: 1 + below(one(4, 300)),
    memoryMiB: below(4_000),
    diskGiB: below(40),
    requestedNode: one(null, null, 'n1', 'n99'),
    affinity: new Map([
      ['a', below(5) - 2],
      ['b', below(5) - 2],
    ]),
  };
  return { candidates, wish, random: random.number() };
}

test('whatever there is: nobody is chosen who was dropped, and everybody is accounted for once', () => {
  const outcomes = new Set<string>();
  for (let seed = 1; seed <= 3_000; seed++) {
    const { candidates, wish, random } = anything(seed);
    const choice = schedule(wish, candidates, random);
    outcomes.add(choice.ok ? 'ok' : choice.reason);
    const dropped = choice.stages.flatMap((stage) => Object.keys(stage.dropped));
    const chosen = choice.ok ? [choice.node] : [];
    const accounted = [...dropped, ...chosen].toSorted();
    assert.equal(accounted, candidates.map(({ node }) => node).toSorted(), `seed ${seed}`);
    let left = candidates.map(({ node }) => node);
    for (const { stage, candidates: kept, dropped: gone } of choice.stages) {
      const where = `seed ${seed} ${stage}`;
      assert.equal(
        kept,
        left.filter((node) => !Object.hasOwn(gone, node)),
        where,
      );
      for (const why of Object.values(gone)) assert.ok(why.length > 5, where);
      left = [...kept];
    }
  }
  assert.ok(outcomes.size >= 6, [...outcomes].join());
});

test('whatever there is: who is chosen fits, was asked for, and nobody who fits is left out', () => {
  for (let seed = 1; seed <= 3_000; seed++) {
    const { candidates, wish, random } = anything(seed);
    const choice = schedule(wish, candidates, random);
    const fitting = candidates.filter(
      ({ node, unfit, capacity, refusal }) =>
        (wish.requestedNode ?? node) === node &&
        unfit === null &&
        refusal === null &&
        capacity !== null &&
        shortageOf(wish, capacity) === null,
    );
    assert.is(choice.ok, fitting.length > 0, `seed ${seed}`);
    if (choice.ok)
      assert.ok(
        fitting.some(({ node }) => node === choice.node),
        `seed ${seed}`,
      );
  }
});

test.run();
