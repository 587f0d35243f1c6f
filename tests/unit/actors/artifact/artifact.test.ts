// An artifact's transitions: by table, and under random messages.
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { artifact } from '../../../../actors/artifact/artifact.ts';
import { PHASES } from '../../../../actors/artifact/phases.ts';
import type { ArtifactMessage, ArtifactState } from '../../../../actors/artifact/state.ts';
import { movesOf, stepper, walk, type Pick } from '../random-walk.ts';

const test = suite('artifact');

const url = 'http://images.test/a';
const CREATE = {
  kind: 'create',
  type: 'image',
  name: 'a',
  namespace: 'ns',
  sourceUrl: url,
  source: { kind: 'url', url },
  shared: false,
  maxVersions: 3,
  blobId: 'b1',
  node: 'n1',
} as const;
const blobChanged = {
  kind: 'blob-changed',
  blobId: 'b1',
  failure: null,
  virtualSizeBytes: 1,
} as const;
const fetched = { ...blobChanged, phase: 'created' } as const;
const failed = {
  ...blobChanged,
  phase: 'error',
  failure: { code: 'image/refused', reason: 'it names a backing file' },
} as const;
const wait = { kind: 'await', waiter: 'instance/vm' } as const;

const made = () => stepper(artifact).send(CREATE);

test('it makes its blob, takes it as a version, and tells who waits', () => {
  const one = made().send(wait);
  assert.equal(one.effects, ['fetch-version']);
  assert.is(one.try(fetched).reply, true);
  assert.equal(one.state.versions, [{ index: 1, blobId: 'b1' }]);
  assert.equal(one.effects, ['tell-waiters']);
  assert.equal(one.send({ kind: 'waiters-told', waiters: ['instance/vm'] }).effects, []);
});

test("its blob's failure is its own, and its waiters'", () => {
  const one = made().send(wait).send(failed);
  assert.is(one.state.phase, 'error');
  assert.is(one.state.failure?.reason, 'it names a backing file');
  assert.equal(one.effects, ['tell-waiters']);
});

test('deleted while it fetches, it gives the blob back and tells its waiters', () => {
  const one = made().send(wait).send({ kind: 'delete' });
  assert.equal(one.effects, ['tell-waiters', 'release-blobs']);
  assert.is(one.events.at(-1), 'deletion requested, fetch called off');
  one.send({ kind: 'released' });
  assert.is(one.state.phase, 'deleted');
  assert.equal(one.effects, ['tell-waiters'], 'who waits is told, also afterwards');
});

test('nobody can wait for one that is on its way out', () => {
  const { refusal } = made().send({ kind: 'delete' }).try(wait);
  assert.is(refusal?.reason, 'artifact not ready (state=deleted)');
});

test('a blob is told whether the artifact will still give it back', () => {
  assert.is(made().send(fetched).try(fetched).reply, true);
  assert.is(made().try({ ...fetched, blobId: 'other' }).reply, false);
  const gone = made().send({ kind: 'delete' });
  assert.is(gone.try(fetched).reply, true);
  assert.is(gone.send({ kind: 'released' }).try(fetched).reply, false);
});

test('a blob that comes after the artifact has failed makes no version', () => {
  const one = made().pass(1_860_000).time();
  assert.is(one.state.failure?.reason, 'the image was not there within 31 minutes');
  assert.is(one.send(fetched).state.phase, 'error');
});

test('a parked one can be deleted', () => {
  const one = made().send(fetched).park();
  assert.is(one.state.phase, 'error');
  one.send({ kind: 'delete' });
  assert.equal(one.effects, ['release-blobs']);
  assert.is(one.send({ kind: 'released' }).state.phase, 'deleted');
});

const FOUND = {
  kind: 'found',
  type: 'snapshot',
  name: 'vm/vda',
  namespace: 'ns',
  sourceUrl: 'sf://instance/vm/vda',
  shared: false,
  maxVersions: 3,
} as const;
const add = (blobId: string) => {
  const source = { kind: 'spool', id: blobId } as const;
  return { kind: 'add-version', addition: { blobId, source, node: 'n1' } } as const;
};
const notMade = {
  kind: 'version-failed',
  blobId: 'b8',
  code: 'host/disk-full',
  reason: 'no space is left',
} as const;

test('a snapshot that came to nothing is the error of one without a version; the next one is its first', () => {
  const one = stepper(artifact).send(FOUND).send(notMade);
  assert.is(one.state.phase, 'error');
  assert.is(one.events.at(-1), 'version not added');
  assert.is(one.state.failure?.reason, 'no space is left');
  assert.equal(one.send(add('b9')).effects, ['add-version']);
  assert.is(one.state.phase, 'initial');
  assert.is(one.send({ ...fetched, blobId: 'b9' }).state.phase, 'created');
  assert.is(one.send({ ...notMade, blobId: 'b10' }).state.phase, 'created');
  assert.is(one.state.addFailure?.blobId, 'b10');
});

test('what is on its way, or a version, is not said to have failed; a snapshot may take hours', () => {
  const one = stepper(artifact).send(FOUND).pass(1_900_000).time();
  assert.is(one.state.phase, 'initial');
  one.send(add('b9')).send({ ...notMade, blobId: 'b9' });
  assert.is(one.state.addFailure, null);
  one.send({ ...fetched, blobId: 'b9' }).send({ ...notMade, blobId: 'b9' });
  assert.is(one.state.addFailure, null);
});

function message(pick: Pick): ArtifactMessage {
  const waiter = pick('instance/a', 'instance/b');
  return pick<ArtifactMessage>(
    pick<ArtifactMessage>(CREATE, CREATE, FOUND),
    pick<ArtifactMessage>(add('b9'), notMade),
    { kind: 'await', waiter },
    { kind: 'await-done', waiter },
    { kind: 'waiters-told', waiters: [waiter] },
    pick<ArtifactMessage>(fetched, failed, { ...fetched, blobId: pick('other', 'b9') }),
    { kind: 'delete' },
    { kind: 'released' },
    { kind: 'forgotten' },
  );
}

test('random messages keep to the table, are harmless repeated, and leave it alive', () => {
  // One without a version waits, with a deadline, for who promised it.
  const rest = ['none', 'initial', 'created', 'error', 'deleted'] as const;
  const check = (state: ArtifactState) =>
    assert.ok(state.phase !== 'created' || state.versions.length > 0, 'created without a version');
  const subject = { kind: artifact, phases: PHASES, rest, message, check };
  assert.equal(movesOf(PHASES), walk(subject, { seeds: 200, steps: 300 }));
});

test.run();
