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

function setUp() {
  const clock = new ManualClock();
  const done: string[] = [];
  const removed: string[] = [];
  const copies: (DiskCopies & PromiseWithResolvers<void>)[] = [];
  const [turns, slots] = [new Turns(), new Slots(1)];
  const copying = new DiskCopying({
    copier: {
      staged: ({ blobIds }, signal, work) => work(blobIds, signal),
      copyDisk: async () => undefined,
      flatten: async (path) => void done.push(`flattened ${path}`),
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
      { device: 'vda', blobId: `${snapshotId}-vda` },
      { device: 'nvram', blobId: `${snapshotId}-nvram` },
    ];
    return copying.run({ snapshotId, instanceId: 'vm', disks }, waitMs, 'trace');
  };
  const look = async (snapshotId?: string) => {
    const asked = run(snapshotId);
    await clock.advance(1);
    return await asked;
  };
  return { clock, copying, copies, done, removed, run, look };
}

test('asked again it is the same run, which says how far it is', async () => {
  const { copies, done, look } = setUp();
  assert.is((await look()).step, 'copying');
  assert.equal(
    [copies.length, copies[0]?.disks, copies[0]?.nvram],
    [1, [{ device: 'vda', path: 's1-vda' }], 's1-nvram'],
  );
  copies[0]?.onProgress(1, 4);
  assert.equal(await look(), { step: 'copying', percent: 25, failure: null });
  copies[0]?.resolve();
  await settle();
  assert.is((await look()).step, 'done');
  assert.equal([copies.length, done], [1, ['flattened s1-vda', 'kept s1-nvram']]);
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
