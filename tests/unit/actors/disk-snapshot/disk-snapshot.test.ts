// A disk snapshot's transitions: by table, and under random messages. And which disks it is of.
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { chooseDevices } from '../../../../actors/disk-snapshot/devices.ts';
import { diskSnapshot } from '../../../../actors/disk-snapshot/disk-snapshot.ts';
import { PHASES } from '../../../../actors/disk-snapshot/phases.ts';
import type { DiskSnapshotMessage } from '../../../../actors/disk-snapshot/state.ts';
import { movesOf, stepper, walk, type Pick } from '../random-walk.ts';

const test = suite('disk snapshot');

const create = {
  kind: 'create',
  namespace: 'ns',
  instanceId: 'vm',
  maxVersions: 3,
  disks: [{ device: 'vda', blobId: 'b', artifactId: 'a' }],
} as const;
const enlisted = { kind: 'enlisted', node: 'n1' } as const;
const copyFailed = { kind: 'copy-failed', code: 'host/disk-full', reason: 'no space' } as const;
const failed = (effect: string) =>
  ({ kind: 'effect-failed', effect, key: '', code: 'guest/lost', reason: 'gone' }) as const;
const copying = () =>
  stepper(diskSnapshot)
    .send({ ...create, disks: [...create.disks] })
    .send(enlisted);

test('it is taken in, copied, kept, told of and cleared away', () => {
  const snapshot = stepper(diskSnapshot).send({ ...create, disks: [...create.disks] });
  assert.equal(snapshot.effects, ['enlist']);
  assert.equal(snapshot.send(enlisted).effects, ['copy']);
  assert.equal(snapshot.send({ kind: 'copied' }).effects, ['keep']);
  assert.equal(snapshot.send({ kind: 'kept' }).effects, ['settle', 'clear']);
  assert.is(snapshot.state.phase, 'complete');
  assert.equal(snapshot.send({ kind: 'cleared' }).effects, ['settle']);
  assert.equal(snapshot.send({ kind: 'settled' }).effects, []);
});

test('a copy that comes to nothing says why, and is cleared away', () => {
  const snapshot = copying().send(copyFailed);
  assert.is(snapshot.state.phase, 'error');
  assert.equal(snapshot.state.failure, { code: 'host/disk-full', reason: 'no space' });
  assert.equal(snapshot.effects, ['settle', 'clear']);
});

test('a node that does not answer ends it; it is no more waited for when there is nothing to hear of it', () => {
  const snapshot = copying().send(failed('copy'));
  assert.is(snapshot.state.failure?.reason, 'gone');
  assert.equal(snapshot.send(failed('clear')).effects, ['settle']);
});

test('called off while it is copied, it is over at once; what comes later changes nothing', () => {
  const snapshot = copying().send({ kind: 'delete' });
  assert.is(snapshot.state.phase, 'error');
  assert.is(snapshot.state.failure?.reason, 'the snapshot was called off');
  assert.is(snapshot.send({ kind: 'copied' }).state.phase, 'error');
  assert.is(snapshot.send({ kind: 'delete' }).state.phase, 'error');
});

test('progress is shown, and is news once', () => {
  const snapshot = copying();
  const progress = { kind: 'progressed', step: 'copying', percent: 40 } as const;
  assert.is(snapshot.try(progress).events.length, 1);
  assert.is(snapshot.try(progress).events.length, 0);
  const measures = { doneBytes: 5, totalBytes: 10, bytesPerSecond: 1, secondsLeft: 5 };
  const [told] = snapshot.try({ ...progress, ...measures }).events;
  const extra = { bytes: 5, total_bytes: 10, bytes_per_second: 1, seconds_left: 5 };
  assert.equal(told, { type: 'status', message: 'copying', extra: { percent: 40, ...extra } });
  assert.match(diskSnapshot.passing(snapshot.state)?.reason ?? '', /copying 40 %/);
});

test('it has a deadline in each phase that passes, and is forgotten only when all has been said', () => {
  const snapshot = copying().pass(7_300_000).time();
  assert.is(snapshot.state.failure?.code, 'object/deadline');
  assert.is(diskSnapshot.timer(snapshot.state), null);
  snapshot.send({ kind: 'settled' }).send({ kind: 'cleared' });
  assert.is(snapshot.state.phase, 'deleted');
  assert.equal(snapshot.effects, []);
  assert.equal(snapshot.pass(3_700_000).time().effects, ['forget']);
});

test('the first disk, all of them with the UEFI variables, or one; config drive and CD-ROMs never', () => {
  const disk = (device: string, snapshotIgnores = false) => {
    return { device, bus: 'virtio', sizeGiB: 1, blobId: null, snapshotIgnores };
  };
  const builtDisks = [disk('vda'), disk('vdb', true), disk('vdc'), disk('sdd', true)];
  const choose = (all: boolean, device: string | null, uefi = true) =>
    chooseDevices({ builtDisks, uefi }, { all, device });
  assert.equal(choose(false, null), ['vda']);
  assert.equal(choose(true, null), ['vda', 'vdc', 'nvram']);
  assert.equal(choose(true, null, false), ['vda', 'vdc']);
  assert.equal(choose(true, 'vdc'), ['vdc']);
  assert.equal(choose(false, 'nvram'), ['nvram']);
  for (const none of ['vdb', 'sdd', 'vdz']) assert.equal(choose(true, none), []);
  assert.equal(choose(false, 'nvram', false), []);
});

function message(pick: Pick): DiskSnapshotMessage {
  return pick<DiskSnapshotMessage>(
    { ...create, disks: [...create.disks] },
    enlisted,
    { kind: 'progressed', step: pick('copying', 'compressing'), percent: pick(null, 50) },
    { kind: 'copied' },
    copyFailed,
    { kind: 'kept' },
    { kind: 'settled' },
    { kind: 'cleared' },
    { kind: 'delete' },
    { kind: 'forgotten' },
  );
}

test('under random messages every move is one of the table, and nothing hangs', () => {
  const rest = ['none', 'complete', 'error', 'deleted'] as const;
  const subject = { kind: diskSnapshot, phases: PHASES, rest, message };
  const moves = walk(subject, { seeds: 60, steps: 200 });
  assert.equal([...moves].sort(), [...movesOf(PHASES)].sort());
});

test.run();
