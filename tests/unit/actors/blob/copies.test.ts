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
  return { ...base, isWhole: false, usedAtMs: 0, failures: 0, retryAtMs: null, ...row };
}

/**
 * Nodes whose names begin with `-` are down; `@a` is a failure domain, `=5` the room in MiB, `<5` how many of them are left until
 * it is low on disk, `!` sheds what is not needed, `~` is being drained.
 */
function nodeOf(text: string) {
  const [, down, node = '', failureDomain, room, untilLow, mark] =
    /^(-?)(\w+)(?:@(\w+))?(?:=(\d+))?(?:<(\d+))?([!~]?)$/.exec(text) ?? [];
  return {
    node,
    isUp: down === '',
    takesMore: mark !== '~',
    sheds: mark !== '',
    ...(failureDomain === undefined ? {} : { failureDomain }),
    ...(room === undefined ? {} : { roomBytes: Number(room) * 2 ** 20 }),
    ...(untilLow === undefined ? {} : { untilLowBytes: Number(untilLow) * 2 ** 20 }),
  };
}

function view(
  nodes: string,
  replicas: Record<string, Row>,
  changes: Partial<CopiesView> = {},
): CopiesView {
  return {
    blobId: 'b',
    sizeBytes: 2 ** 20,
    copies: 2,
    nodes: nodes.split(' ').map(nodeOf),
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
    'more than are wanted stay, as a cache',
    view('n1 n2 n3', { n1: good, n2: good, n3: good }),
    [],
    [],
  ],
  [
    'one that is only confirmed is of the cache too',
    view('n1 n2 n3', { n1: good, n2: good, n3: { ...coming, isWhole: true } }),
    [],
    [],
  ],
  [
    'on nodes that shed them a good one that is needed stays, others go',
    view('n1! n2! n3!', { n1: good, n2: good, n3: good }, { needed: new Set(['n1', 'n3']) }),
    [],
    ['n2'],
  ],
  [
    'a node that sheds gives up none of the wanted',
    view('n1! n2!', { n1: good, n2: good }),
    [],
    [],
  ],
  [
    'a node that is drained is emptied once enough are elsewhere',
    view('n1 n2 n3~', { n1: good, n2: good, n3: good }),
    [],
    ['n3'],
  ],
  ['and not before', view('n1 n2 n3~', { n1: good, n3: good }), ['n2'], []],
  ['a node without room gets none', view('n1 n2=0 n3=5', { n1: good }), ['n3'], []],
  ['if no other has room, none', view('n1 n2=0', { n1: good }), [], []],
  ['copies go to another failure domain', view('n1@a n2@a n3@b', { n1: good }), ['n3'], []],
  ['if there is none, to the same', view('n1@a n2@a', { n1: good }), ['n2'], []],
  [
    'a domain that comes gets a copy, though there are enough',
    view('n1@a n2@a n3@b', { n1: good, n2: good }),
    ['n3'],
    [],
  ],
  [
    'what is on its way there for that is not given up',
    view('n1@a n2@a n3@b', { n1: good, n2: good, n3: coming }),
    [],
    [],
  ],
  [
    'of many the one goes whose domain has another',
    view('n1@a! n2@a! n3@b!', { n1: good, n2: good, n3: good }, { copies: 2 }),
    [],
    ['n1'],
  ],
  [
    'a damaged one is made again for the number',
    view('n1 n2', { n1: good, n2: { phase: 'damaged' } }),
    ['n2'],
    [],
  ],
  [
    'and given up where enough others are good',
    view('n1 n2 n3', { n1: good, n2: good, n3: { phase: 'damaged' } }),
    [],
    ['n3'],
  ],
  [
    'but made again where a disk is based on it',
    view('n1 n2 n3', { n1: good, n2: good, n3: { phase: 'damaged', isInUse: true } }),
    ['n3'],
    [],
  ],
  ['the last one, damaged, stays as it is', view('n1 n2', { n1: { phase: 'damaged' } }), [], []],
  [
    'none goes where a disk is based on it',
    view('n1! n2! n3!', {
      n1: { ...good, isInUse: true },
      n2: { ...good, isInUse: true },
      n3: { ...good, isInUse: true },
    }),
    [],
    [],
  ],
  [
    'one that is away is not counted on when others are given up',
    view('n1! n2! -n3', { n1: good, n2: good, n3: { ...good, ...AWAY } }),
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
  ['the last is never given up', view('n1!', { n1: good }, { copies: 1 }), [], []],
  [
    'of just as many as are wanted one is made elsewhere for a node that is low on disk',
    view('n1! n2 n3', { n1: good, n2: good }),
    ['n3'],
    [],
  ],
  [
    'which is not given up while it is on its way',
    view('n1<0 n2 n3', { n1: good, n2: good, n3: coming }),
    [],
    [],
  ],
  ['and it is one only', view('n1! n2! n3 n4', { n1: good, n2: good, n3: coming }), [], []],
  [
    'one of two that are on their way goes on',
    view('n1<0 n2 n3 n4', { n1: good, n2: good, n3: coming, n4: coming }),
    [],
    ['n4'],
  ],
  [
    'once it is there the node is relieved',
    view('n1! n2 n3', { n1: good, n2: good, n3: good }),
    [],
    ['n1'],
  ],
  [
    'not where a user needs it or a disk is based on it',
    view('n1! n2! n3', { n1: good, n2: { ...good, isInUse: true } }, { needed: new Set(['n1']) }),
    [],
    [],
  ],
  [
    'nor on a node that would be low by that itself',
    view('n1! n2 n3<0 n4!', { n1: good, n2: good }, { sizeBytes: 2 ** 21 }),
    [],
    [],
  ],
  [
    'nor while one that is wanted is still missing or on its way',
    view('n1! n2 n3', { n1: good, n2: coming }),
    [],
    [],
  ],
  [
    'nor where the failure domain would not fit: the old one could not go',
    view('n1@a! n2@b n3@b', { n1: good, n2: good }),
    [],
    [],
  ],
  [
    'but in the same failure domain, or another one',
    view('n1@a! n2@b n3@a', { n1: good, n2: good }),
    ['n3'],
    [],
  ],
  [
    'a node that is not low as all know it is not relieved',
    view('n1<5! n2 n3', { n1: good, n2: good }),
    [],
    [],
  ],
  [
    'where it failed it is not begun anew before its time, but elsewhere',
    view('n1<0! n2 n3 n4', { n1: good, n2: good, n3: failed }),
    ['n4'],
    [],
  ],
  ['the only copy goes elsewhere too', view('n1! n2', { n1: good }, { copies: 1 }), ['n2'], []],
] as [string, CopiesView, string[], string[]][]) {
  test(what, () => {
    const { relief: _, ...plan } = planCopies(given);
    assert.equal(plan, { make, giveUp });
  });
}

test('new copies spread over the nodes', () => {
  const counts = chosen(Array.from({ length: 8 }, (_, index) => `n${index + 1}`));
  assert.is(counts.size, 7);
  for (const [node, count] of counts) assert.ok(count > 70 && count < 170, `${node}: ${count}`);
});

test('a node with twice the room gets twice the copies', () => {
  const [half, whole] = [64 * 1024, 128 * 1024];
  const counts = chosen(['n1', `n2=${half}`, `n3=${half}`, `n4=${whole}`]);
  const share = (counts.get('n4') ?? 0) / 800;
  assert.ok(share > 0.42 && share < 0.58, `${share}`);
});

/** How many of 800 blobs, which n1 has, are copied to each. */
function chosen(names: readonly string[]): Map<string, number> {
  const counts = new Map<string, number>();
  for (let blob = 0; blob < 800; blob++) {
    const given = view(names.join(' '), { n1: good }, { blobId: `blob-${blob}` });
    for (const node of planCopies(given).make) counts.set(node, (counts.get(node) ?? 0) + 1);
  }
  return counts;
}

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
        'damaged',
      );
      if (phase === null) return [];
      const isInUse = random.number() < 0.2;
      return [[name, { phase, isInUse, retryAtMs: phase === 'failed' ? pick(null, 9) : null }]];
    });
    const needed = new Set(
      names.filter((name) => random.number() < 0.2 && rows.some(([n]) => n === name)),
    );
    const marked = names.map(
      (name) =>
        `${name}${pick('', '@a', '@b')}${pick('', '=0', '=9')}${pick('', '<0', '<9')}${pick('', '!', '~')}`,
    );
    const given = view(marked.join(' '), Object.fromEntries(rows), {
      copies: pick(1, 2, 3),
      needed,
    });
    const plan = planCopies(given);
    const replicas = { ...given.replicas };
    for (const node of plan.make) {
      const { phase, isInUse = false } = given.replicas[node] ?? {};
      replicas[node] = replica({ ...coming, isInUse: isInUse && phase === 'damaged' });
    }
    for (const node of plan.giveUp) replicas[node] = replica({ phase: 'removing' });
    const left = Object.values(replicas).filter(({ phase }) => phase === 'verified').length;
    const before = Object.values(given.replicas).filter(({ phase }) => phase === 'verified').length;
    assert.ok(left >= Math.min(before, given.copies), JSON.stringify(given));
    const again = planCopies({ ...given, replicas });
    assert.equal(again, { make: [], giveUp: [], relief: null }, JSON.stringify({ given, plan }));
  }
});

test.run();
