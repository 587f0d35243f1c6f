// Values as they were stored are read by today's code: fixtures/schema-N.json holds one of each kind, written
// by the code of its time and never edited. A change of a state's shape fails here until it has raised
// the schema and brought a migration.
import { readFileSync } from 'node:fs';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { artifact } from '../../../actors/artifact/artifact.ts';
import { blob } from '../../../actors/blob/blob.ts';
import { instance } from '../../../actors/instance/instance.ts';
import { interfaceKind } from '../../../actors/interface/interface.ts';
import type { SnapshotFormat } from '../../../actors/kernel/kind.ts';
import type { StoredSnapshot } from '../../../actors/kernel/ports.ts';
import { readSnapshot } from '../../../actors/kernel/snapshot.ts';
import { namespace } from '../../../actors/namespace/namespace.ts';
import { network } from '../../../actors/network/network.ts';
import { node } from '../../../actors/node/node.ts';
import { decodeEnvelope, encodeEnvelope } from '../../../transport/store/codec.ts';
import { MACHINE } from '../../support/machine-facts.ts';

const test = suite('snapshots');
const NO_TRANSCODE = { diskUsers: [], lazyFrom: {}, transcode: null, shortage: null };

/** What schema 5 adds: a blob came when it was created. */
function timesOf(stored: { readonly state: unknown }): object {
  const { phase, sinceMs } = stored.state as { phase: string; sinceMs: number };
  return { fetchedAtMs: phase === 'created' ? sinceMs : null, usedAtMs: null, isParentHeld: false };
}

function without<T extends object, K extends keyof T>(value: T, name: K): Omit<T, K> {
  const { [name]: _, ...rest } = value;
  return rest;
}

/** Replicas of a blob of before schema 5 are taken to be as old as the blob. */
function replicasOf5(state: unknown): object {
  const { replicas, ...rest } = state as { sinceMs: number; replicas: Record<string, object> };
  const known = { isWhole: false, usedAtMs: rest.sinceMs };
  const all = Object.entries(replicas).map(([name, one]) => [name, { ...one, ...known }]);
  return { ...rest, replicas: Object.fromEntries(all) };
}

interface Storable {
  readonly kind: string;
  readonly snapshot: SnapshotFormat<unknown>;
  readonly initial: unknown;
}

const KINDS: readonly Storable[] = [
  artifact,
  blob,
  instance,
  interfaceKind,
  namespace,
  network,
  node,
];

function fixtures(schema: number): ReadonlyMap<string, StoredSnapshot> {
  const path = new URL(`fixtures/schema-${schema}.json`, import.meta.url);
  return new Map(Object.entries(JSON.parse(readFileSync(path, 'utf8'))));
}

test('a stored value of schema 1 of every kind is read', () => {
  const stored = fixtures(1);
  assert.equal([...stored.keys()].length, KINDS.length);
  for (const { kind, snapshot } of KINDS) {
    const value = stored.get(kind);
    if (value === undefined) throw new Error(`no fixture of ${kind}`);
    assert.is(value.schema, 1, kind);
    const state = readSnapshot(snapshot, value);
    snapshot.decode(state);
  }
});

test('of a blob of schema 5 the list of digests has no hash', () => {
  const stored = fixtures(5).get('blob') ?? { schema: 0, state: null };
  const state = readSnapshot(blob.snapshot, stored);
  assert.equal(state, { ...(stored.state as object), shortage: null });
  assert.is(state.content?.chunksSha256, undefined);
});

test('an instance of schema 3 has no snapshots of its disks under way', () => {
  const stored = fixtures(3).get('instance') ?? { schema: 0, state: null };
  const state = readSnapshot(instance.snapshot, stored);
  assert.equal(state.snapshots, []);
});

test('a transcode of schema 4 that no disk uses has been idle since the blob was created', () => {
  const { fetchedAtMs, usedAtMs, isParentHeld, shortage, ...old } = blob.initial;
  const transcode = { blobId: 'b2', node: 'n1', phase: 'created', failure: null } as const;
  const created = { ...old, phase: 'created', sinceMs: 7, transcode } as const;
  const read = readSnapshot(blob.snapshot, { schema: 4, state: created });
  const times = { fetchedAtMs: 7, usedAtMs: null, isParentHeld: false };
  const idle = { ...transcode, idleSinceMs: 7, dropAtMs: null };
  assert.equal(read, { ...created, ...times, transcode: idle, shortage: null });
  const used = readSnapshot(blob.snapshot, { schema: 4, state: { ...created, diskUsers: ['x'] } });
  assert.is(used.transcode?.idleSinceMs, null);
  assert.equal([fetchedAtMs, usedAtMs, isParentHeld, shortage], [null, null, false, null]);
});

test('a blob of schema 5 has said of no shortage of copies', () => {
  const { shortage, ...old } = blob.initial;
  const read = readSnapshot(blob.snapshot, { schema: 5, state: { ...old, phase: 'created' } });
  assert.equal(read, { ...blob.initial, phase: 'created' });
  assert.is(shortage, null);
});

test('a blob of schema 3 has no transcode', () => {
  const stored = fixtures(3).get('blob') ?? { schema: 0, state: null };
  const state = readSnapshot(blob.snapshot, stored);
  assert.equal(state, { ...replicasOf5(stored.state), ...NO_TRANSCODE, ...timesOf(stored) });
});

test('a blob of schema 2 has counted no departures of users', () => {
  const stored = fixtures(2).get('blob') ?? { schema: 0, state: null };
  const state = readSnapshot(blob.snapshot, stored);
  assert.equal(state, {
    ...replicasOf5(stored.state),
    departures: 0,
    ...NO_TRANSCODE,
    ...timesOf(stored),
  });
});

test('an artifact of schema 2 was never asked for at its source', () => {
  const { checking, checks, minCopies: _, ...old } = artifact.initial;
  const read = readSnapshot(artifact.snapshot, { schema: 2, state: { ...old, phase: 'created' } });
  assert.equal(read, { ...artifact.initial, phase: 'created' });
  assert.equal([checking, checks], [null, 0]);
});

test("an instance of schema 3 has disks that start from their blobs, and the firmware's NVRAM", () => {
  const first = fixtures(1).get('instance') ?? { schema: 0, state: null };
  const { isTemplateReady, disks, ...rest } = readSnapshot(instance.snapshot, first);
  const before = disks.map((disk) => without(disk, 'transcodeId'));
  const read = readSnapshot(instance.snapshot, { schema: 3, state: { ...rest, disks: before } });
  assert.equal(read, { ...rest, isTemplateReady, disks });
  assert.ok(isTemplateReady && disks.every(({ transcodeId }) => transcodeId === null));
});

test('a blob of schema 1 keeps its replicas: what was fetched counts, what was not does not', () => {
  const { state: old } = fixtures(1).get('blob') ?? { state: null };
  const { nodes, ...before } = old as { nodes: string[]; generation: number };
  const read = (content: object) => {
    const state = { ...before, nodes, ...content };
    return readSnapshot(blob.snapshot, { schema: 1, state });
  };
  const phases = (state: ReturnType<typeof read>) =>
    Object.entries(state.replicas).map(([node, { phase, generation }]) => [
      node,
      phase,
      generation,
    ]);
  const { generation } = before;
  assert.equal(
    phases(read({})),
    nodes.map((node) => [node, 'verified', generation]),
  );
  const half = read({ content: null, phase: 'initial' });
  assert.equal(
    phases(half),
    nodes.map((node) => [node, 'copying', generation]),
  );
  assert.equal(half.needs, {});
});

test('what is written is read back the same, and so is the state before a create', () => {
  for (const { kind, snapshot, initial } of KINDS) {
    const value = readSnapshot(snapshot, fixtures(1).get(kind) ?? { schema: 0, state: null });
    for (const state of [value, initial]) {
      const decoded = decodeEnvelope(encodeEnvelope({ schema: snapshot.schema, state }));
      if (!decoded.ok) throw new Error(`${kind}: ${decoded.reason}`);
      assert.equal(readSnapshot(snapshot, decoded.envelope), state, kind);
    }
  }
});

test('a value with a member too few, too many or of another type is refused, not repaired', () => {
  for (const { kind, snapshot } of KINDS) {
    const state = readSnapshot(snapshot, fixtures(1).get(kind) ?? { schema: 0, state: null });
    const { phase, ...without } = state as { readonly phase: unknown };
    const broken = [
      without,
      { ...without, phase: 'odd' },
      { ...without, phase, more: 1 },
      null,
      [],
    ];
    for (const value of broken)
      assert.throws(
        () => snapshot.decode(value),
        (error: { code: string }) => {
          return error.code === 'actor/bad-snapshot';
        },
      );
  }
});

test('a node of schema 1 gets every role, and takes nobody in until it has measured itself', () => {
  const old = fixtures(1).get('node') ?? { schema: 0, state: null };
  const { machine, gauges, reservations } = readSnapshot(node.snapshot, old);
  assert.equal(machine?.roles, ['hypervisor', 'storage', 'api']);
  assert.equal([gauges, reservations], [null, {}]);
  const unknown = { ...(old.state as object), machine: null };
  assert.is(readSnapshot(node.snapshot, { schema: 1, state: unknown }).machine, null);
});

test('a node of schema 4 named no failure domain, an artifact of schema 3 no number of copies', () => {
  const { failureDomain: _, ...machine } = MACHINE;
  const old = { ...node.initial, phase: 'created', machine };
  const read = readSnapshot(node.snapshot, { schema: 4, state: old });
  assert.is(read.machine?.failureDomain, null);
  const { minCopies: __, ...before } = artifact.initial;
  assert.is(readSnapshot(artifact.snapshot, { schema: 3, state: before }).minCopies, null);
});

test('a value of a newer schema is refused', () => {
  for (const { kind, snapshot } of KINDS) {
    const { state } = fixtures(1).get(kind) ?? { state: null };
    const newer = { schema: snapshot.schema + 1, state };
    assert.throws(() => readSnapshot(snapshot, newer), undefined, kind);
  }
});

test('what an artifact of schema 4 had on its way, it fetches by itself', () => {
  const fetching = { blobId: 'b1', node: 'n1' };
  const addition = { blobId: 'b2', source: { kind: 'spool', id: 'b2' }, node: 'n1' };
  const old = { ...artifact.initial, phase: 'initial', fetching, adding: [addition] };
  const read = readSnapshot(artifact.snapshot, { schema: 4, state: old });
  assert.equal(read.fetching, { ...fetching, isSought: false });
  assert.equal(read.adding, [{ ...addition, isSought: false }]);
});

test.run();
