// Copying disks on one node: runs that are asked about, ended and begun again.
import { rejects } from 'node:assert/strict';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { DiskCopies } from '../../../../actors/instance/ports.ts';
import { TroupeError } from '../../../../actors/kernel/errors.ts';
import { DiskCopying } from '../../../../actors/node/disk-copying.ts';
import { Slots, Turns } from '../../../../src/drivers/turns.ts';
import { ManualClock, settle } from '../../../support/kernel.ts';

const test = suite('copying of disks');

function setUp(devices: readonly string[] = ['vda']) {
  const clock = new ManualClock();
  const done: string[] = [];
  const removed: string[] = [];
  /** By path: tells how much is compressed; and those that never end. */
  const parts = new Map<string, (part: number) => void>();
  const slow = new Set<string>();
  const copies: (DiskCopies & PromiseWithResolvers<void>)[] = [];
  const [turns, slots] = [new Turns(), new Slots(1)];
  const copying = new DiskCopying({
    copier: {
      staged: ({ blobIds }, signal, work) => work(blobIds, signal),
      copyDisk: async (_disk, path, { onPart }) => {
        parts.set(path, onPart);
        if (slow.has(path)) await new Promise(() => undefined);
      },
      sizeOf: async ({ device }) => (device === 'vda' ? 300 : 100),
      measure: async () => 100,
      flatten: async (path, _blobId, { onPart }) => {
        parts.set(path, onPart);
        if (slow.has(path)) await new Promise(() => undefined);
        done.push(`flattened ${path}`);
      },
      thin: async (path, base) => void done.push(`${path} over ${base}`),
      keep: async (path) => void done.push(`kept ${path}`),
    },
    hypervisor: {
      copyDisks: (wanted) => {
        const ends = Promise.withResolvers<void>();
        copies.push({ ...wanted, ...ends });
        return ends.promise;
      },
    },
    spool: { remove: async (id) => void removed.push(id) },
    queues: { turn: (key, work) => turns.run(key, work), slot: (work) => slots.run(work) },
    clock,
    log: () => undefined,
  });
  const run = (snapshotId = 's1', waitMs = 0) => {
    const disks = [
      ...devices.map((device) => ({ device, blobId: `${snapshotId}-${device}` })),
      { device: 'nvram', blobId: `${snapshotId}-nvram` },
    ];
    return copying.run({ snapshotId, instanceId: 'vm', disks }, waitMs, 'trace');
  };
  const look = async (snapshotId?: string) => {
    const asked = run(snapshotId);
    await clock.advance(1);
    return await asked;
  };
  return { clock, copying, copies, done, removed, parts, slow, run, look };
}

test('asked again it is the same run, which says how far it is', async () => {
  const { copies, done, look } = setUp();
  assert.is((await look()).step, 'copying');
  assert.equal(
    [copies.length, copies[0]?.disks, copies[0]?.nvram],
    [1, [{ device: 'vda', path: 's1-vda' }], 's1-nvram'],
  );
  const measures = { bytesPerSecond: null, secondsLeft: null };
  const quarter = { step: 'copying', percent: 25, doneBytes: 1, totalBytes: 4 };
  copies[0]?.onProgress(1, 4);
  assert.equal(await look(), { ...quarter, ...measures, failure: null });
  copies[0]?.resolve();
  await settle();
  assert.is((await look()).step, 'done');
  assert.equal([copies.length, done], [1, ['flattened s1-vda', 'kept s1-nvram']]);
});

test('how fast it is and what is left is told of copying, and of compressing all disks together', async () => {
  const { clock, copies, parts, look, slow } = setUp();
  slow.add('s1-vda');
  const wait = async (ms: number) => await clock.advance(ms);
  await look();
  copies[0]?.onProgress(0, 1000);
  await wait(10_000);
  copies[0]?.onProgress(200, 1000);
  await wait(10_000);
  copies[0]?.onProgress(600, 1000);
  const copied = { step: 'copying', percent: 60, doneBytes: 600, totalBytes: 1000 };
  assert.equal(await look(), { ...copied, bytesPerSecond: 40, secondsLeft: 10, failure: null });
  copies[0]?.resolve();
  await settle();
  assert.equal((await look()).percent, 0);
  await wait(10_000);
  parts.get('s1-vda')?.(0.25);
  const part = { step: 'compressing', percent: 25, doneBytes: 25, totalBytes: 100 };
  const { bytesPerSecond, secondsLeft, ...told } = await look();
  assert.equal(told, { ...part, failure: null });
  assert.ok(bytesPerSecond !== null && secondsLeft !== null);
});

test('how far it is with the disks of a guest that is off is of all of them', async () => {
  const { clock, copies, parts, look, slow } = setUp(['vda', 'vdb']);
  slow.add('s1-vdb');
  await look();
  void copies[0]?.whileOff();
  await settle();
  await clock.advance(10_000);
  parts.get('s1-vdb')?.(0.5);
  const { bytesPerSecond: _, secondsLeft: __, ...told } = await look();
  assert.equal(told, {
    step: 'copying',
    percent: 87,
    doneBytes: 350,
    totalBytes: 400,
    failure: null,
  });
});

test('of one instance one after the other', async () => {
  const { copies, look } = setUp();
  await look('s1');
  assert.is((await look('s2')).step, 'waiting');
  copies[0]?.resolve();
  await settle();
  assert.is((await look('s2')).step, 'copying');
});

test('what has failed says so once, and is begun anew when it is asked for again', async () => {
  const { copies, look } = setUp();
  await look();
  copies[0]?.reject(new TroupeError('object/not-ready', 'it went off'));
  await settle();
  assert.equal((await look()).failure, { code: 'object/not-ready', reason: 'it went off' });
  assert.is((await look()).failure, null);
  assert.is(copies.length, 2);
});

test('ended it is called off, cleared away, and not begun again by who has not heard of it', async () => {
  const { copies, copying, removed, run, look } = setUp();
  await look();
  await copying.end('s1', ['s1-vda', 's1-nvram']);
  assert.is(copies[0]?.signal.aborted, true);
  assert.equal(removed, []);
  copies[0]?.reject(new TroupeError('actor/stopped', 'called off'));
  await settle();
  assert.equal(removed, ['s1-vda', 's1-nvram']);
  await rejects(run(), { code: 'executor/stale-epoch' });
  await copying.end('never-begun', ['x']);
  assert.is(removed.at(-1), 'x');
});

test('a node that shuts down ends all, and begins none', async () => {
  const { copies, copying, run, look } = setUp();
  await look();
  const stopped = copying.stop();
  copies[0]?.reject(new TroupeError('actor/stopped', 'called off'));
  await stopped;
  await rejects(run('s2'), { code: 'actor/stopped' });
});

test.run();
