// One download for all: transitions, the looking, and under random messages.
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { artifact } from '../../../../actors/artifact/artifact.ts';
import { findOrigin, releaseVersion } from '../../../../actors/artifact/coming.ts';
import { PHASES } from '../../../../actors/artifact/phases.ts';
import {
  artifactRef,
  type ArtifactMessage,
  type ArtifactState,
} from '../../../../actors/artifact/state.ts';
import { blobsOf } from '../../../../actors/artifact/versions.ts';
import { ORIGIN, originOf } from '../../../../actors/blob/origin.ts';
import { blobRef } from '../../../../actors/blob/state.ts';
import { TroupeError } from '../../../../actors/kernel/errors.ts';
import type { Json } from '../../../../actors/kernel/json.ts';
import type { Address, Message } from '../../../../actors/kernel/kind.ts';
import type { EffectContext } from '../../../../actors/kernel/ports.ts';
import { MemoryClaims } from '../../../sim/world.ts';
import { stepper, walk, type Pick } from '../random-walk.ts';
import { CONTENT } from '../../../support/blob-content.ts';

const test = suite('one download for all');

const source = { kind: 'url', url: 'http://images.test/a' } as const;
const NAMED = { name: 'a', namespace: 'ns', sourceUrl: source.url, shared: false, maxVersions: 2 };
const CREATE = {
  kind: 'create',
  type: 'image',
  ...NAMED,
  source,
  blobId: 'b1',
  node: 'n1',
} as const;
const found = (blobId: string, otherId: string | null): ArtifactMessage => {
  return { kind: 'origin-found', blobId, otherId };
};
const gone = (blobId: string, insteadId: string): ArtifactMessage => {
  return { kind: 'origin-gone', blobId, insteadId };
};
const come = (blobId: string, sha512 = 'aa'): ArtifactMessage => ({
  kind: 'blob-changed',
  blobId,
  phase: 'created',
  failure: null,
  virtualSizeBytes: 1,
  sha512,
});
const alone = (blobId: string): ArtifactMessage => ({ kind: 'twin-found', blobId, twinId: null });
const refresh = { kind: 'refresh', source, blobId: 'b2', node: 'n1' } as const;
const outcome = { verdict: 'changed', what: 'ETag', before: '1', now: '2' } as const;
const changed = { kind: 'source-checked', check: 1, outcome } as const;
const failed: ArtifactMessage = {
  kind: 'blob-changed',
  blobId: 'other',
  phase: 'error',
  failure: { code: 'image/refused', reason: 'it is a web page' },
  virtualSizeBytes: 0,
};

const made = () => stepper(artifact).send(CREATE);
const versionsOf = ({ state }: { state: ArtifactState }) =>
  state.versions.map(({ index, blobId }) => [index, blobId]);

test('nothing is fetched before it is known who else does', () => {
  const one = made();
  assert.equal(one.effects, ['find-origin']);
  assert.equal(one.send(found('b1', null)).effects, ['fetch-version']);
  assert.is(one.state.fetching?.blobId, 'b1');
});

test('a blob that another artifact fetches is in the state before it is used, and is the version', () => {
  const one = made().send(found('b1', 'other'));
  assert.equal(one.effects, ['fetch-version']);
  assert.equal(blobsOf(one.state), ['other']);
  one.send(come('other')).send(alone('other'));
  assert.equal(versionsOf(one), [[1, 'other']]);
  assert.equal(one.state.dropped, []);
});

test('deleted while another one fetches, it gives that back', () => {
  const one = made().send(found('b1', 'other')).send({ kind: 'delete' });
  assert.equal(blobsOf(one.state), ['other']);
  assert.equal(one.effects, ['release-blobs']);
});

test("another one's failure is told as its own", () => {
  const one = made().send(found('b1', 'other')).send(failed);
  assert.is(one.state.phase, 'error');
  assert.is(one.state.failure?.reason, 'it is a web page');
});

test('a blob that goes before it could be used is looked for again, under another id', () => {
  const one = made().send(found('b1', 'other')).send(gone('other', 'b9'));
  assert.equal(one.effects, ['find-origin']);
  assert.equal(blobsOf(one.state), ['b9']);
  assert.equal(one.send(found('b9', null)).effects, ['fetch-version']);
});

test('when it cannot be found out, it fetches for itself', () => {
  const one = made();
  const why = { code: 'store/unavailable', reason: 'no store' } as const;
  one.send({ kind: 'effect-failed', effect: 'find-origin', key: 'b1', ...why });
  assert.equal(one.effects, ['fetch-version']);
  assert.is(one.state.fetching?.blobId, 'b1');
});

const newer = () =>
  made().send(found('b1', null)).send(come('b1')).send(alone('b1')).send(refresh).send(changed);

test('a newer version is that which another artifact has, or fetches', () => {
  const one = newer().send(found('b2', 'other'));
  assert.equal(one.effects, ['add-version']);
  one.send(come('other', 'bb')).send(alone('other'));
  assert.equal(versionsOf(one), [
    [1, 'b1'],
    [2, 'other'],
  ]);
});

test('one that it has as its newest version is nothing newer', () => {
  const one = newer().send(found('b2', 'b1'));
  assert.equal([one.state.adding, versionsOf(one)], [[], [[1, 'b1']]]);
});

test('one that is being given back is not taken again', () => {
  const one = newer().send(found('b2', 'other')).send(come('other', 'bb')).send(alone('other'));
  one.send({ kind: 'remove-version', index: 1 });
  one.send({ ...refresh, blobId: 'b3' }).send({ ...changed, check: 2 });
  assert.is(one.send(found('b3', 'b1')).state.adding[0]?.blobId, 'b3');
});

/** Blobs as they answer `holders`, and what the source says when it is asked; who asked whom. */
function cluster(
  blobs: Readonly<Record<string, Json>>,
  verdict: 'same' | 'changed' | 'unknown' = 'same',
) {
  const asked: string[] = [];
  const said = { same: { verdict }, changed: outcome, unknown: { verdict, reason: 'no answer' } };
  const ask = async (to: Address, message: Message): Promise<Json> => {
    asked.push(`${to.kind}/${to.id} ${message.kind}`);
    if (to.kind === 'machine') return said[verdict];
    const { [to.id]: answer } = blobs;
    if (answer === undefined) throw new TroupeError('object/not-found', 'there is no such blob');
    if (answer === 'missing') throw new TroupeError('image/missing', 'it has no replica yet');
    return answer;
  };
  const { signal } = new AbortController();
  const context = { self: artifactRef('a'), key: 'b1', attempt: 1, ask, signal };
  return { context: context as unknown as EffectContext<ArtifactMessage>, asked };
}

const content = {
  ...CONTENT,
  etag: '1',
} as const;
const HELD = { content, nodes: ['n2'] };

async function look(
  subject: ReturnType<typeof cluster>,
  { state = made().state, holder = null as string | null } = {},
) {
  const claims = new MemoryClaims();
  const origin = originOf(state.source) ?? '';
  if (holder !== null) await claims.claim(ORIGIN, origin, blobRef(holder));
  const message = await findOrigin(state, claims, subject.context);
  return { message, holder: await claims.holder(ORIGIN, origin) };
}

test('who comes first claims the address', async () => {
  const subject = cluster({});
  assert.equal(await look(subject), { message: found('b1', null), holder: 'blob/b1' });
  assert.equal(subject.asked, []);
});

for (const [what, answer] of [
  ['is being fetched', 'missing'],
  ['is not made yet', undefined],
] as const) {
  test(`one that ${what} is waited for; the source is not asked`, async () => {
    const subject = cluster(answer === undefined ? {} : { other: answer });
    const looked = await look(subject, { holder: 'other' });
    assert.equal(looked, { message: found('b1', 'other'), holder: 'blob/other' });
    assert.equal(subject.asked, ['blob/other holders']);
  });
}

test('one that is there is used when its source, asked now, has the same', async () => {
  const subject = cluster({ other: HELD });
  const looked = await look(subject, { holder: 'other' });
  assert.equal(looked, { message: found('b1', 'other'), holder: 'blob/other' });
  assert.equal(subject.asked, ['blob/other holders', 'machine/n1 check-source']);
});

for (const verdict of ['changed', 'unknown'] as const) {
  test(`a source that is ${verdict} is fetched from anew, and the claim changes hands`, async () => {
    const looked = await look(cluster({ other: HELD }, verdict), { holder: 'other' });
    assert.equal(looked, { message: found('b1', null), holder: 'blob/b1' });
  });
}

test('one that nobody holds any more is fetched anew', async () => {
  const looked = await look(cluster({ other: { content, nodes: [] } }), { holder: 'other' });
  assert.equal(looked, { message: found('b1', null), holder: 'blob/b1' });
});

test('with a hash that is expected the source need not be asked', async () => {
  const checked = { ...source, checksum: { algorithm: 'sha256', hex: 'bb' } } as const;
  const { state } = stepper(artifact).send({ ...CREATE, source: checked });
  const subject = cluster({ other: HELD });
  const looked = await look(subject, { state, holder: 'other' });
  assert.equal(looked.message, found('b1', 'other'));
  assert.equal(subject.asked, ['blob/other holders']);
});

test('deleted while it looks, it claims nothing', async () => {
  const subject = cluster({});
  const context = { ...subject.context, signal: AbortSignal.abort() };
  assert.is((await look({ ...subject, context })).holder, null);
});

test('a newer version that comes to nothing is given back, and claimed no longer', async () => {
  const one = newer().send(found('b2', null));
  const why = { code: 'mesh/unreachable', reason: 'its owner is away' } as const;
  one.send({ kind: 'effect-failed', effect: 'add-version', key: 'b2', ...why });
  assert.equal(one.effects, ['release-version']);
  const claims = new MemoryClaims();
  await claims.claim(ORIGIN, originOf(source) ?? '', blobRef('b2'));
  const { context } = cluster({});
  await releaseVersion(one.state, claims, { ...context, key: '1 b2' });
  assert.equal([...claims.held], []);
});

test('a claim of its own older version is taken over without asking once more', async () => {
  const { state } = newer();
  const subject = cluster({ b1: HELD });
  const context = { ...subject.context, key: 'b2' };
  const looked = await look({ ...subject, context }, { state, holder: 'b1' });
  assert.equal(looked, { message: found('b2', null), holder: 'blob/b2' });
  assert.equal(subject.asked, []);
});

function message(pick: Pick, { dropped, checks }: ArtifactState): ArtifactMessage {
  const blobId = pick('b1', 'b2', 'other');
  const [first] = dropped;
  return pick<ArtifactMessage>(
    CREATE,
    found(blobId, pick(null, null, 'other', 'b1')),
    gone(blobId, pick('b3', 'b4')),
    come(blobId, pick('aa', 'bb')),
    alone(blobId),
    pick<ArtifactMessage>(refresh, { ...changed, check: checks }),
    { ...failed, blobId } as ArtifactMessage,
    { kind: 'remove-version', index: pick(1, 2, 3) },
    { kind: 'version-released', blobId: first?.blobId ?? 'b1', at: first?.at ?? 1 },
    { kind: 'delete' },
    { kind: 'released' },
    { kind: 'forgotten' },
  );
}

test('under random messages nothing is needed that is being given back, and nothing is left', () => {
  const rest = ['none', 'initial', 'created', 'error', 'deleted'] as const;
  const check = ({ versions, adding, dropped, phase, fetching }: ArtifactState) => {
    const given = dropped.map(({ blobId }) => blobId);
    const needed = [...versions, ...adding.filter((one) => !one.isSought)];
    assert.not(needed.some(({ blobId }) => given.includes(blobId)));
    assert.is(new Set(adding.map(({ blobId }) => blobId)).size, adding.length);
    if (phase === 'deleted') assert.equal([adding, fetching], [[], null]);
  };
  walk({ kind: artifact, phases: PHASES, rest, message, check }, { seeds: 200, steps: 300 });
});

test.run();
