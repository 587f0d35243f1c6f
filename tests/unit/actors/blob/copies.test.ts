// Where copies are to be: by table, and that it comes to rest.
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import {
  copyingBeside,
  planCopies,
  sourcesFor,
  type CopiesView,
} from '../../../../actors/blob/copies.ts';
import type { Replica } from '../../../../actors/blob/state.ts';
import { seededRandom } from '../../../support/kernel.ts';

const test = suite('copies of a blob');

type Row = Partial<Replica> & Pick<Replica, 'phase'>;
const AWAY = { awayUntilMs: 5 };

function replica(row: Row): Replica {
  const base = { generation: 1, awayUntilMs: null, isInUse: false, failure: null };
  return { ...base, failures: 0, retryAtMs: null, ...row };
}

/** Nodes whose names begin with `-` are down. */
function view(
  nodes: string,
  replicas: Record<string, Row>,
  changes: Partial<CopiesView> = {},
): CopiesView {
  return {
    blobId: 'b',
    copies: 2,
    nodes: nodes.split(' ').map((name) => ({
      node: name.replace('-', ''),
      isUp: !name.startsWith('-'),
      takesMore: true,
    })),
    replicas: Object.fromEntries(Object.entries(replicas).map(([n, row]) => [n, replica(row)])),
    needed: new Set(),
    ...changes,
  };
}

const good = { phase: 'verified' } as const;
const coming = { phase: 'copying' } as const;
const failed = { phase: 'failed', retryAtMs: 9 } as const;

for (const [what, given, make, giveUp] of [
  ['one node has the only copy', view('n1', { n1: good }), [], []],
  ['a second node gets the second', view('n1 n2', { n1: good }), ['n2'], []],
  ['one that is being made counts', view('n1 n2 n3', { n1: good, n2: coming }), [], []],
  ['a node that is down gets none', view('n1 -n2', { n1: good }), [], []],
  [
    'one away for a short time counts',
    view('n1 -n2 n3', { n1: good, n2: { ...good, ...AWAY } }),
    [],
    [],
  ],
  [
    'one that is lost does not',
    view('n1 -n2 n3', { n1: good, n2: { phase: 'lost', ...AWAY } }),
    ['n3'],
    [],
  ],
  ['one where it failed does not', view('n1 n2 n3', { n1: good, n2: failed }), ['n3'], []],
  ['and is not tried before its time', view('n1 n2', { n1: good, n2: failed }), [], []],
  [
    'but after it',
    view('n1 n2', { n1: good, n2: { phase: 'failed', retryAtMs: null } }),
    ['n2'],
    [],
  ],
  [
    'what is being removed is taken back before another is made',
    view('n1 n2 n3', { n1: good, n2: { phase: 'removing' } }),
    ['n2'],
    [],
  ],
  [
    'a good one that is needed stays, others go',
    view('n1 n2 n3', { n1: good, n2: good, n3: good }, { needed: new Set(['n1', 'n3']) }),
    [],
    ['n2'],
  ],
  [
    'none goes where a disk is based on it',
    view('n1 n2 n3', {
      n1: { ...good, isInUse: true },
      n2: { ...good, isInUse: true },
      n3: { ...good, isInUse: true },
    }),
    [],
    [],
  ],
  [
    'one that is away is not counted on when others are given up',
    view('n1 n2 -n3', { n1: good, n2: good, n3: { ...good, ...AWAY } }),
    [],
    [],
  ],
  [
    'half made and not wanted any more',
    view('n1 n2 n3 n4', { n1: good, n2: good, n3: coming, n4: failed }),
    [],
    ['n3', 'n4'],
  ],
  [
    'half made for a user goes on',
    view('n1 n2 n3', { n1: good, n2: good, n3: coming }, { needed: new Set(['n3']) }),
    [],
    [],
  ],
  ['the last is never given up', view('n1', { n1: good }, { copies: 1 }), [], []],
] as [string, CopiesView, string[], string[]][]) {
  test(what, () => assert.equal(planCopies(given), { make, giveUp }));
}

test('new copies spread over the nodes', () => {
  const names = Array.from({ length: 8 }, (_, index) => `n${index + 1}`);
  const counts = new Map<string, number>();
  for (let blob = 0; blob < 800; blob++) {
    const given = view(names.join(' '), { n1: good }, { blobId: `blob-${blob}` });
    for (const node of planCopies(given).make) counts.set(node, (counts.get(node) ?? 0) + 1);
  }
  assert.is(counts.size, 7);
  for (const [node, count] of counts) assert.ok(count > 70 && count < 170, `${node}: ${count}`);
});

test('targets begin with different holders, and with those in reach', () => {
  const holders = { a: replica(good), b: replica(good), c: replica({ ...good, ...AWAY }) };
  const firsts = new Set<string>();
  for (let target = 0; target < 40; target++) {
    const order = sourcesFor(`t${target}`, 'blob', holders);
    assert.is(order.length, 3);
    assert.is(order[2], 'c');
    firsts.add(order[0] ?? '');
  }
  assert.equal([...firsts].toSorted(), ['a', 'b']);
  assert.equal(sourcesFor('a', 'blob', { a: replica(good) }), []);
});

test('those that copy beside a target are its peers, if they are in reach', () => {
  const replicas = {
    a: replica(good),
    b: replica(coming),
    c: replica({ ...coming, ...AWAY }),
    d: replica(coming),
    e: replica({ phase: 'failed' }),
  };
  assert.equal(copyingBeside('b', 'blob', replicas), ['d']);
  assert.equal(copyingBeside('x', 'blob', replicas).toSorted(), ['b', 'd']);
});

test('what was decided is not decided again', () => {
  const random = seededRandom(7);
  const pick = <T>(...values: readonly T[]) =>
    values[Math.floor(random.number() * values.length)] as T;
  for (let round = 0; round < 3_000; round++) {
    const names = ['n1', 'n2', 'n3', 'n4', 'n5'];
    const rows = names.flatMap((name): [string, Row][] => {
      const phase = pick<Replica['phase'] | null>(
        null,
        'copying',
        'verified',
        'lost',
        'failed',
        'removing',
      );
      if (phase === null) return [];
      const isInUse = random.number() < 0.2;
      return [[name, { phase, isInUse, retryAtMs: phase === 'failed' ? pick(null, 9) : null }]];
    });
    const needed = new Set(
      names.filter((name) => random.number() < 0.2 && rows.some(([n]) => n === name)),
    );
    const given = view(names.join(' '), Object.fromEntries(rows), {
      copies: pick(1, 2, 3),
      needed,
    });
    const plan = planCopies(given);
    const replicas = { ...given.replicas };
    for (const node of plan.make) replicas[node] = replica(coming);
    for (const node of plan.giveUp) replicas[node] = replica({ phase: 'removing' });
    const left = Object.values(replicas).filter(({ phase }) => phase === 'verified').length;
    const before = Object.values(given.replicas).filter(({ phase }) => phase === 'verified').length;
    assert.ok(left >= Math.min(before, given.copies), JSON.stringify(given));
    const again = planCopies({ ...given, replicas });
    assert.equal(again, { make: [], giveUp: [] }, JSON.stringify({ given, plan }));
  }
});

test.run();
