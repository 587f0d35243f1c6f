// An artifact's transitions: by table, and under random messages.
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { artifact } from '../../../../actors/artifact/artifact.ts';
import { PHASES } from '../../../../actors/artifact/phases.ts';
import type {
  ArtifactMessage,
  ArtifactState,
  SourceVerdict,
} from '../../../../actors/artifact/state.ts';
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

/** Nobody else fetches from there. */
const own = (blobId: string) => ({ kind: 'origin-found', blobId, otherId: null }) as const;

const made = () => stepper(artifact).send(CREATE).send(own('b1'));

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

test('one that is kept for a while goes by itself, and asks to be woken then', () => {
  const { source: _, blobId: _blob, node: _node, ...named } = CREATE;
  const one = stepper(artifact).send({ ...named, kind: 'found', type: 'other', expiresAtMs: 9e9 });
  one.send({ kind: 'add-version', addition: { blobId: 'b1', source: null, node: null } });
  one.send(fetched);
  assert.is(artifact.timer(one.state), 9e9);
  one.send({ kind: 'time-reached', atMs: 0 });
  assert.is(one.state.phase, 'created', 'not too early');
  one.pass(9e9);
  one.send({ kind: 'time-reached', atMs: 9e9 });
  assert.is(one.state.phase, 'delete-wait');
  assert.is(one.events.at(-1), 'kept for as long as it was to be');
  assert.is(artifact.timer(one.state), null);
});

const SOURCE = { kind: 'url', url } as const;
const refresh = { kind: 'refresh', source: SOURCE, blobId: 'b2', node: 'n2' } as const;
const checked = (outcome: SourceVerdict, check = 1) =>
  ({ kind: 'source-checked', check, outcome }) as const;
const changed = { verdict: 'changed', what: 'ETag', before: 'a', now: 'b' } as const;
const first = { ...fetched, sha512: 'one' } as const;
/** Nobody had these bytes before. */
const alone = (blobId: string) => ({ kind: 'twin-found', blobId, twinId: null }) as const;
const here = () => made().send(first).send(alone('b1'));
const second = { ...first, blobId: 'b2', sha512: 'two' } as const;

test('used again, its source is asked; who waits is told when that is known', () => {
  const one = here().send(refresh).send(wait);
  assert.equal(one.effects, ['check-source']);
  one.send({ ...refresh, blobId: 'b3' });
  assert.is(one.state.checking?.blobId, 'b2', 'whoever comes meanwhile waits for the same answer');
  assert.equal(one.send(checked({ verdict: 'same' })).effects, ['tell-waiters']);
  assert.is(one.state.versions.length, 1);
});

test('what has changed becomes a version, and only then who waits is told', () => {
  const one = here().send(refresh).send(wait).send(checked(changed));
  assert.equal(one.effects, ['find-origin']);
  assert.is(one.events.at(-1), 'image requires fetch, ETag changed');
  assert.equal(one.send(own('b2')).effects, ['add-version']);
  assert.equal(one.send(second).effects, ['add-version', 'find-twin']);
  assert.equal(one.send(alone('b2')).effects, ['tell-waiters']);
  assert.equal(
    one.state.versions.map(({ index, blobId }) => [index, blobId]),
    [
      [1, 'b1'],
      [2, 'b2'],
    ],
  );
});

test('a source that does not answer, or whose newer version fails, leaves what there is', () => {
  const why = { code: 'image/refused', reason: 'it is a web page' };
  const fails = { kind: 'effect-failed', effect: 'check-source', key: '1', ...why } as const;
  const rows: (readonly (ArtifactMessage | typeof fails)[])[] = [
    [checked({ verdict: 'unknown', reason: 'the server answers 503' })],
    [fails],
    [checked(changed), { ...failed, blobId: 'b2' }],
  ];
  for (const messages of rows) {
    const one = here().send(refresh).send(wait);
    for (const message of messages) one.send(message as ArtifactMessage);
    assert.is(one.effects[0], 'tell-waiters');
    assert.equal([one.state.phase, one.state.versions.length], ['created', 1]);
    assert.is(one.events.at(-1), 'updating image failed, using already cached version');
  }
});

test('an answer to an earlier question, or to one that was deleted, changes nothing', () => {
  const one = here()
    .send(refresh)
    .send(checked({ verdict: 'same' }))
    .send(refresh);
  assert.is(one.send(checked(changed)).state.versions.length, 1);
  assert.equal(one.effects, ['check-source']);
  const gone = here().send(refresh).send({ kind: 'delete' });
  assert.equal(gone.send(checked(changed)).effects, ['release-blobs']);
});

test('the same content again is no version, and its blob is given back', () => {
  const one = here().send(refresh).send(checked(changed));
  one.send({ ...second, sha512: 'one' });
  assert.equal([one.state.versions.length, one.effects], [1, ['release-version']]);
  one.send({ kind: 'version-released', blobId: 'b2', at: 1 });
  assert.equal(one.effects, []);
});

test('nobody can wait for one that is on its way out', () => {
  const { refusal } = made().send({ kind: 'delete' }).try(wait);
  assert.is(refusal?.reason, 'the artifact was deleted; ask for the image again');
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

// Its artifact was revived, and waited three hours for a blob that was gone.
test('a blob that was made for it and came to nothing, or is a version, is not asked for once more by a late message', () => {
  const one = stepper(artifact).send(FOUND).send(add('b8'));
  one.send({ ...fetched, blobId: 'b8', phase: 'error', failure: { code: 'c', reason: 'r' } });
  assert.is(one.state.phase, 'error');
  const before = one.state;
  assert.equal(one.send(add('b8')).state, before);
  one
    .send(add('b9'))
    .send({ ...fetched, blobId: 'b9' })
    .send(add('b10'));
  one.send({ ...fetched, blobId: 'b10' });
  assert.equal(one.send(add('b9')).state.adding, []);
});

test('a snapshot of a disk that has not changed is a version too: its blob was promised', () => {
  const one = stepper(artifact).send(FOUND).send(add('b8')).send(add('b9'));
  one
    .send({ ...fetched, blobId: 'b8', sha512: 'one' })
    .send({ ...fetched, blobId: 'b9', sha512: 'one' });
  assert.equal(
    one.state.versions.map(({ index, blobId }) => [index, blobId]),
    [
      [1, 'b8'],
      [2, 'b9'],
    ],
  );
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
    pick<ArtifactMessage>(refresh, checked(changed, pick(1, 2)), checked({ verdict: 'same' })),
    pick<ArtifactMessage>(second, { ...failed, blobId: 'b2' }),
    pick<ArtifactMessage>(own(pick('b1', 'b2')), own(pick('b1', 'b2'))),
    { kind: 'version-released', blobId: pick('b1', 'b2'), at: pick(1, 2) },
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
