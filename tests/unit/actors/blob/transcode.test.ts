// What disks start from when a blob's own bytes are no disk: transitions.
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { blob } from '../../../../actors/blob/blob.ts';
import { toBeTold } from '../../../../actors/blob/told.ts';
import type { BlobMessage, BlobState } from '../../../../actors/blob/state.ts';
import { PHASES } from '../../../../actors/blob/phases.ts';
import { stepper, walk, type Pick } from '../random-walk.ts';
import { CONTENT, FACTS } from '../../../support/blob-content.ts';

const test = suite('transcodes');

const content = {
  ...CONTENT,
  sourceFormat: 'gzip',
  format: 'raw',
  mimeType: 'application/gzip',
  virtualSizeBytes: 512,
  facts: FACTS,
} as const;
const need = { kind: 'need', user: 'instance/vm', node: 'n1', forDisk: true } as const;
const CREATE = {
  kind: 'create',
  source: { kind: 'spool', id: 'up' },
  node: 'n1',
  user: 'artifact/a',
} as const;

const made = (change: Partial<BlobState['content'] & object> = {}) =>
  stepper(blob)
    .send(CREATE)
    .send({ kind: 'fetched', content: { ...content, ...change } });
type Stepper = ReturnType<typeof made>;

const transcodeIs = (one: Stepper, phase: 'created' | 'error'): BlobMessage => ({
  kind: 'blob-changed',
  blobId: one.state.transcode?.blobId ?? '',
  phase,
  failure: phase === 'error' ? { code: 'image/refused', reason: 'it is text' } : null,
  virtualSizeBytes: 512,
});
const told = ({ state }: Stepper) => toBeTold(state).find(({ user }) => user === 'instance/vm');

test('nothing is made until a disk wants it', () => {
  const one = made().send({ ...need, forDisk: false });
  assert.is(one.state.transcode, null);
  assert.equal(told(one), { user: 'instance/vm', failed: null });
});

test('the first disk has it made on its node, and is told of it once it is there', () => {
  const one = made().send(need);
  const { blobId, node } = one.state.transcode ?? {};
  assert.is(node, 'n1');
  assert.ok(one.effects.includes('make-transcode'));
  assert.is(told(one), undefined);
  assert.is(one.try(transcodeIs(one, 'created')).reply, true);
  assert.equal(told(one), { user: 'instance/vm', failed: null, diskBlobId: blobId });
  assert.not(one.effects.includes('make-transcode'));
  one.send({ ...need, user: 'instance/two' });
  assert.is(one.state.transcode?.blobId, blobId, 'the next disk starts from the same');
});

test('it waits for the bytes to be on the node of the disk', () => {
  const one = made().send({ ...need, node: 'n2' });
  assert.is(one.state.transcode, null);
  const generation = one.state.replicas['n2']?.generation ?? 0;
  one.send({ kind: 'copied', node: 'n2', generation });
  assert.is(one.state.transcode?.node, 'n2');
});

test('wanted before the bytes are known, it is made once they are', () => {
  const one = stepper(blob).send(CREATE).send(need);
  assert.is(one.state.transcode, null);
  one.send({ kind: 'fetched', content });
  assert.is(one.state.transcode?.phase, 'making');
});

for (const [sourceFormat, format] of [
  ['qcow2', 'qcow2'],
  ['iso', 'iso'],
  ['raw', 'raw'],
] as const) {
  test(`${sourceFormat} kept as ${format} is a disk as it is`, () => {
    const one = made({ sourceFormat, format }).send(need);
    assert.is(one.state.transcode, null);
    assert.equal(told(one), { user: 'instance/vm', failed: null });
  });
}

test('what fails is told to who waits, and tried again for the next disk', () => {
  const one = made().send(need);
  assert.is(one.try(transcodeIs(one, 'error')).reply, false, 'it is used no more');
  assert.is(told(one)?.failed?.reason, 'it is text');
  one.send(need);
  assert.is(one.state.transcode?.phase, 'failed', 'the same disk again changes nothing');
  one.send({ ...need, user: 'instance/two' });
  assert.is(one.state.transcode?.phase, 'making');
  assert.is(told(one), undefined, 'which all that wait hear of');
});

const idle = () => {
  const one = made().send(need);
  return one.send(transcodeIs(one, 'created')).send({ kind: 'unuse', user: 'instance/vm' });
};

test('one that no disk uses is given back after a while, and made again for the next disk', () => {
  const one = idle();
  const first = one.state.transcode?.blobId ?? '';
  const sinceMs = one.state.transcode?.idleSinceMs ?? 0;
  assert.ok(one.effects.includes('time-transcode'));
  one.send({ kind: 'transcode-idle', sinceMs: sinceMs - 1, untilMs: 1 });
  assert.is(one.state.transcode?.dropAtMs, null, 'of an earlier time');
  one.send({ kind: 'transcode-idle', sinceMs, untilMs: sinceMs + 1_000 });
  assert.is(blob.timer(one.state), sinceMs + 1_000);
  one.pass(1_000).time();
  assert.ok(one.effects.includes('drop-transcode'));
  assert.is(one.try(transcodeIs(one, 'created')).reply, false, 'it is not wanted any more');
  one.send({ ...need, user: 'instance/two' });
  assert.is(told(one), undefined);
  one.send({ kind: 'transcode-dropped', blobId: first });
  assert.is(one.state.transcode?.phase, 'making', 'another one');
});

test('one that a disk uses again is kept', () => {
  const one = idle();
  const sinceMs = one.state.transcode?.idleSinceMs ?? 0;
  one.send({ kind: 'transcode-idle', sinceMs, untilMs: sinceMs + 1_000 });
  one.send({ ...need, user: 'instance/two' });
  one.pass(2_000).time();
  assert.is(one.state.transcode?.phase, 'created');
  assert.equal([one.state.transcode?.idleSinceMs, blob.timer(one.state)], [null, null]);
});

test('one that cannot even be begun fails it too', () => {
  const one = made().send(need);
  const key = one.state.transcode?.blobId ?? '';
  const why = { code: 'store/unavailable', reason: 'no store' } as const;
  one.send({ kind: 'effect-failed', effect: 'make-transcode', key, ...why });
  assert.is(told(one)?.failed?.reason, 'no store');
});

test('a stranger is no transcode', () => {
  const one = made().send(need);
  const stranger = { ...transcodeIs(one, 'created'), blobId: 'other' } as BlobMessage;
  assert.is(one.try(stranger).reply, false);
  assert.is(one.state.transcode?.phase, 'making');
});

test('with its last user it goes, and its transcode is not wanted any more', () => {
  const one = made().send(need).send({ kind: 'unuse', user: 'artifact/a' });
  one.send(transcodeIs(one, 'created')).send({ kind: 'unuse', user: 'instance/vm' });
  assert.equal([one.state.phase, one.effects], ['delete-wait', ['remove-replicas']]);
  const { generation } = one.state;
  one.send({ kind: 'replicas-removed', generation });
  assert.is(one.try(transcodeIs(one, 'created')).reply, false);
});

function message(pick: Pick, { generation, transcode }: BlobState): BlobMessage {
  const user = pick('artifact/a', 'instance/vm', 'instance/two');
  const node = pick('n1', 'n2');
  const about = { failure: null, virtualSizeBytes: 1, blobId: transcode?.blobId ?? 'none' };
  return pick<BlobMessage>(
    CREATE,
    { kind: 'fetched', content },
    { kind: 'need', user, node, forDisk: pick(true, false) },
    { kind: 'unuse', user },
    { kind: 'copied', node, generation },
    { kind: 'transcode-idle', sinceMs: transcode?.idleSinceMs ?? 0, untilMs: 60_000 },
    { kind: 'transcode-dropped', blobId: transcode?.blobId ?? '' },
    { kind: 'blob-changed', phase: pick('created', 'error'), ...about },
    { kind: 'replicas-removed', generation },
    { kind: 'forgotten' },
  );
}

test('under random messages a failed transcode always has its reason, and none is made for nobody', () => {
  const rest = ['none', 'created', 'error', 'deleted'] as const;
  const check = ({ transcode, phase, diskUsers }: BlobState) => {
    assert.ok(transcode?.phase !== 'failed' || transcode.failure !== null);
    assert.ok(transcode === null || phase !== 'initial');
    const isIdle = transcode?.phase === 'created' && transcode.idleSinceMs !== null;
    assert.ok(phase !== 'created' || !isIdle || diskUsers.length === 0);
  };
  walk({ kind: blob, phases: PHASES, rest, message, check }, { seeds: 100, steps: 200 });
});

test.run();
