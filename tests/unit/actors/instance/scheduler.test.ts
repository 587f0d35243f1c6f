// The scheduler: a table per filter (contract: instances 5), then affinity, load and chance.
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import {
  OVERCOMMIT,
  schedule,
  type Candidate,
  type PlacedInstance,
  type Wish,
} from '../../../../actors/instance/scheduler.ts';

const test = suite('scheduler');

const NODE: Candidate = {
  node: 'n1',
  isReady: true,
  isHypervisor: true,
  cpus: 2,
  memoryMiB: 8_192,
  availableMemoryMiB: 6_000,
  freeDiskGiB: 100,
  load: 0.5,
  instances: [],
};
const WISH: Wish = {
  namespace: 'ns',
  cpus: 1,
  memoryMiB: 1_024,
  diskGiB: 8,
  requestedNode: null,
  affinity: new Map(),
};

function placed(members: Partial<PlacedInstance>): PlacedInstance {
  return { namespace: 'ns', cpus: 1, memoryMiB: 512, tags: [], ...members };
}

const pick = (wish: Partial<Wish>, candidates: readonly Candidate[], random = 0) =>
  schedule({ ...WISH, ...wish }, candidates, OVERCOMMIT, random);

const NOT = 'No nodes with metrics';
const CPU = 'No nodes with enough idle CPU';
const RAM = 'No nodes with enough idle RAM';
const DISK = 'No nodes with enough disk space';

test('each filter keeps what fits exactly and refuses one more, with its text', () => {
  const rows: readonly (readonly [string, Partial<Candidate>, Partial<Wish>, string | null])[] = [
    ['not ready', { isReady: false }, {}, NOT],
    ['no hypervisor', { isHypervisor: false }, {}, NOT],
    ['another node', {}, { requestedNode: 'n2' }, NOT],
    ['the node asked for', {}, { requestedNode: 'n1' }, null],
    ['vCPUs at the limit', { cpus: 64 }, { cpus: 255 }, null],
    ['vCPUs over the limit', { cpus: 64 }, { cpus: 256 }, 'Requested vCPUs exceeds vCPU limit'],
    ['CPUs 16 fold', { instances: [placed({ cpus: 31 })] }, {}, null],
    ['CPUs more than 16 fold', { instances: [placed({ cpus: 32 })] }, {}, CPU],
    ['RAM with the reserve', { availableMemoryMiB: 3_072 }, {}, null],
    ['RAM without the reserve', { availableMemoryMiB: 3_071 }, {}, RAM],
    ['RAM 3 fold', { instances: [placed({ memoryMiB: 23_552 })] }, {}, null],
    ['RAM more than 3 fold', { instances: [placed({ memoryMiB: 23_553 })] }, {}, RAM],
    ['disk with the reserve', { freeDiskGiB: 28 }, {}, null],
    ['disk without the reserve', { freeDiskGiB: 27 }, {}, DISK],
  ];
  for (const [name, candidate, wish, reason] of rows) {
    const choice = pick(wish, [{ ...NODE, ...candidate }]);
    assert.is(choice.ok ? null : choice.reason, reason, name);
  }
});

test('no node at all is a refusal with a reason', () => {
  assert.equal(pick({}, []), {
    ok: false,
    reason: NOT,
    stages: [{ stage: 'hypervisors', candidates: [] }],
  });
});

test('every stage says who is left', () => {
  const busy = { ...NODE, node: 'n2', load: 3 };
  const choice = pick({}, [NODE, busy]);
  const stages = choice.stages.map(({ stage, candidates }) => `${stage}: ${candidates.join()}`);
  assert.equal(stages, [
    'hypervisors: n1,n2',
    'vCPU limit: n1,n2',
    'idle CPU: n1,n2',
    'idle RAM: n1,n2',
    'disk space: n1,n2',
    'affinity: n1,n2',
    'load: n1',
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
    [
      'two friends against one',
      [placed({ tags: ['db'] }), placed({ tags: ['db', 'noisy'] })],
      'n2',
    ],
    ['words nobody asked about', [placed({ tags: ['constructor', '__proto__'] })], 'n1'],
  ];
  for (const [name, instances, expected] of rows) {
    const choice = pick({ affinity }, [NODE, { ...NODE, node: 'n2', load: 9, instances }]);
    assert.is(choice.ok && choice.node, expected, name);
  }
});

test('load counts in whole numbers, and chance decides between equals', () => {
  const others = [NODE, { ...NODE, node: 'n2', load: 0.9 }, { ...NODE, node: 'n3', load: 1 }];
  const chosen = [0, 0.49, 0.5, 0.99].map((random) => {
    const choice = pick({}, others, random);
    return choice.ok && choice.node;
  });
  assert.equal(chosen, ['n1', 'n1', 'n2', 'n2']);
});

test.run();
