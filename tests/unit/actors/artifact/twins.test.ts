// Identical content is kept once: transitions, and under random messages.
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { artifact } from '../../../../actors/artifact/artifact.ts';
import { PHASES } from '../../../../actors/artifact/phases.ts';
import type { ArtifactMessage, ArtifactState } from '../../../../actors/artifact/state.ts';
import { blobsOf } from '../../../../actors/artifact/versions.ts';
import { stepper, walk, type Pick } from '../random-walk.ts';

const test = suite('identical content');

const url = 'http://images.test/a';
const NAMED = { name: 'a', namespace: 'ns', sourceUrl: url, shared: false, maxVersions: 2 };
const CREATE = {
  kind: 'create',
  type: 'image',
  ...NAMED,
  source: { kind: 'url', url },
  blobId: 'b1',
  node: 'n1',
} as const;
const FOUND = { kind: 'found', type: 'other', ...NAMED } as const;
const come = (blobId: string, sha512: string): ArtifactMessage => ({
  kind: 'blob-changed',
  blobId,
  phase: 'created',
  failure: null,
  virtualSizeBytes: 1,
  sha512,
});
const found = (blobId: string, twinId: string | null): ArtifactMessage => {
  return { kind: 'twin-found', blobId, twinId };
};
const held = (blobId: string, isHeld = true): ArtifactMessage => {
  return { kind: 'twin-held', blobId, isHeld };
};
const add = (blobId: string): ArtifactMessage => {
  const source = { kind: 'spool', id: blobId } as const;
  return { kind: 'add-version', addition: { blobId, source, node: 'n1' } };
};
const versionsOf = ({ state }: { state: ArtifactState }) =>
  state.versions.map(({ index, blobId, sha512 }) => [index, blobId, sha512]);
const droppedOf = ({ state }: { state: ArtifactState }) =>
  state.dropped.map(({ blobId }) => blobId);
const own = { kind: 'origin-found', blobId: 'b1', otherId: null } as const;
const made = () => stepper(artifact).send(CREATE).send(own).send(come('b1', 'aa'));

test('bytes that nobody had are a version as they came', () => {
  const one = made();
  assert.equal(versionsOf(one), [], 'not before that is known');
  assert.is(one.try(come('b1', 'aa')).reply, true, 'told again, it is wanted');
  one.send(found('b1', null));
  assert.equal([versionsOf(one), droppedOf(one)], [[[1, 'b1', 'aa']], []]);
  assert.is(one.state.phase, 'created');
});

test('bytes that a blob had already are that blob, once it is held; what came is given back', () => {
  const one = made().send(found('b1', 'old'));
  assert.equal(one.effects, ['fetch-version', 'hold-twin']);
  assert.is(one.try(come('old', 'aa')).reply, true, 'used, from before it is asked');
  assert.equal(versionsOf(one), []);
  one.send(held('b1'));
  assert.equal([versionsOf(one), droppedOf(one)], [[[1, 'old', 'aa']], ['b1']]);
  assert.equal(one.effects, ['release-version']);
  assert.is(one.events.at(-1), 'artifact fetch complete');
  assert.is(one.try(come('b1', 'aa')).reply, true, 'until it is given back');
});

test('a twin that is on its way out is none, and is given back in case', () => {
  const one = made().send(found('b1', 'old')).send(held('b1', false));
  assert.equal([versionsOf(one), droppedOf(one)], [[[1, 'b1', 'aa']], ['old']]);
});

for (const effect of ['find-twin', 'hold-twin'] as const) {
  test(`${effect} that fails leaves the version as it came`, () => {
    const one = effect === 'find-twin' ? made() : made().send(found('b1', 'old'));
    const key = effect === 'find-twin' ? 'b1' : 'b1 old';
    const why = { code: 'store/unavailable', reason: 'no store' } as const;
    one.send({ kind: 'effect-failed', effect, key, ...why });
    assert.equal(versionsOf(one), [[1, 'b1', 'aa']]);
    assert.equal(droppedOf(one), effect === 'find-twin' ? [] : ['old']);
  });
}

test('deleted meanwhile, both are given back', () => {
  const one = made().send(found('b1', 'old')).send({ kind: 'delete' });
  assert.equal(blobsOf(one.state).toSorted(), ['b1', 'old']);
  one.send(held('b1'));
  assert.equal(versionsOf(one), []);
  one.send({ kind: 'released' });
  assert.equal(blobsOf(one.state), []);
});

test("content that an older version has is that version's blob once more, used once", () => {
  const one = stepper(artifact).send(FOUND).send(add('b1')).send(come('b1', 'aa'));
  one.send(found('b1', null)).send(add('b2')).send(come('b2', 'bb')).send(found('b2', null));
  one.send(add('b3')).send(come('b3', 'aa')).send(found('b3', 'b1')).send(held('b3'));
  // The first index goes, as two are kept; its blob is the third's.
  assert.equal(versionsOf(one), [
    [2, 'b2', 'bb'],
    [3, 'b1', 'aa'],
  ]);
  assert.equal(droppedOf(one), ['b3']);
});

test('one that is being given back is not taken again', () => {
  const one = stepper(artifact).send(FOUND).send(add('b1')).send(come('b1', 'aa'));
  one.send(found('b1', null)).send(add('b2')).send(come('b2', 'bb')).send(found('b2', null));
  one.send({ kind: 'remove-version', index: 1 });
  assert.equal(droppedOf(one), ['b1']);
  one.send(add('b3')).send(come('b3', 'aa')).send(found('b3', 'b1'));
  assert.is(one.state.versions.at(-1)?.blobId, 'b3');
});

test("the newest version's content once more needs no looking", () => {
  const one = made().send(found('b1', null)).send(add('b2')).send(come('b2', 'aa'));
  assert.equal([versionsOf(one), droppedOf(one)], [[[1, 'b1', 'aa']], ['b2']]);
});

test('snapshots stay as they were promised, and a blob that was named is that blob', () => {
  const one = stepper(artifact)
    .send({ ...FOUND, type: 'snapshot' })
    .send(add('b1'));
  assert.equal(versionsOf(one.send(come('b1', 'aa'))), [[1, 'b1', 'aa']]);
  const label = stepper(artifact).send({ ...FOUND, type: 'label' });
  const addition = { blobId: 'b1', source: null, node: null };
  label.send({ kind: 'add-version', addition }).send(come('b1', 'aa'));
  assert.equal(versionsOf(label), [[1, 'b1', 'aa']]);
});

function message(pick: Pick, { dropped }: ArtifactState): ArtifactMessage {
  const blobId = pick('b1', 'b2', 'b3');
  const [first] = dropped;
  return pick<ArtifactMessage>(
    pick<ArtifactMessage>(CREATE, FOUND, { ...FOUND, type: 'snapshot' }),
    add(blobId),
    come(blobId, pick('aa', 'bb')),
    found(blobId, pick(null, 'b1', 'b2', 'old')),
    held(blobId, pick(true, true, false)),
    { kind: 'remove-version', index: pick(1, 2, 3) },
    { kind: 'version-released', blobId: first?.blobId ?? 'b1', at: first?.at ?? 1 },
    { kind: 'delete' },
    { kind: 'released' },
    { kind: 'forgotten' },
  );
}

test('under random messages every blob that is used is given back, and none while it is needed', () => {
  const rest = ['none', 'initial', 'created', 'error', 'deleted'] as const;
  const check = ({ versions, settling, dropped, phase }: ArtifactState) => {
    const gone = dropped.map(({ blobId }) => blobId);
    assert.is(new Set(gone).size, gone.length, 'given back once');
    assert.not(
      versions.some(({ blobId }) => gone.includes(blobId)),
      'a version is kept',
    );
    assert.not(settling.some(({ twinId }) => twinId !== null && gone.includes(twinId)));
    if (phase === 'deleted') assert.equal(settling, []);
  };
  walk({ kind: artifact, phases: PHASES, rest, message, check }, { seeds: 200, steps: 300 });
});

test.run();
