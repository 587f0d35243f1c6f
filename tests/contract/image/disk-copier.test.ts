// Copies of instances' disks on a real disk, with the real tools.
import { rejects } from 'node:assert/strict';
import { existsSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { makeRig, scratch, tool, tree, wantedBy } from './rig.ts';
import { makeSamples, MIB, sameDisk } from './samples.ts';

const test = suite('disk copies');
const dir = scratch();
const samples = makeSamples(dir);
const rig = await makeRig(join(dir, 'driver'));
const { driver } = rig;
const { copier, layout } = driver;
const signal = new AbortController().signal;
const request = { trace: 'trace-1', signal };
test.after(() => rig.close());

await rig.ensure('base', samples.convert('base.qcow2', 'qcow2'));

/** A disk on a base, with something of its own; and the same, raw. */
async function disk(instanceId: string): Promise<string> {
  const spec = { instanceId, device: 'vda', baseBlobId: 'base', sizeGiB: null };
  const { path } = await driver.ensureDisk(spec, wantedBy(`instance/${instanceId}`));
  tool('qemu-io', '-f', 'qcow2', '-c', 'write -q -P 90 0 64k', path);
  const raw = samples.path(`${instanceId}.raw`);
  tool('qemu-img', 'convert', '-O', 'raw', path, raw);
  return raw;
}

test('a disk becomes one compressed qcow2 without a chain, and a replica that is kept as such', async () => {
  const raw = await disk('one');
  const where = { instanceId: 'one', blobIds: ['copy'] };
  await copier.staged(where, signal, async ([path = '']) => {
    await copier.copyDisk({ instanceId: 'one', device: 'vda' }, path, request);
    const parts: number[] = [];
    await copier.flatten(path, 'copy', { ...request, onPart: (part) => parts.push(part) });
    assert.ok(parts.length > 1, 'how far it is is told meanwhile');
    assert.equal([parts.toSorted((a, b) => a - b), parts.at(-1)], [parts, 1]);
    const held = await copier.measure(path, request);
    assert.ok(held > MIB && held < 9 * MIB, `${held}: of its base too`);
  });
  const spooled = layout.spooled('copy');
  assert.ok(statSync(spooled).size < 5 * MIB, 'only what is random takes space');
  const info = tool('qemu-img', 'info', '--output=json', spooled);
  assert.not.match(info, /backing/);
  assert.ok(sameDisk(['raw', raw], ['qcow2', spooled]));
  const report = await rig.ensure('copy', '/', { source: { kind: 'spool', id: 'copy' } });
  assert.equal([report.format, report.virtualSizeBytes], ['qcow2', 8 * MIB]);
  assert.equal(tree(layout.spool), []);
  assert.equal(tree(layout.instance('one')), ['vda.qcow2']);
});

test('what is staged goes whatever becomes of the work, and when the next daemon starts', async () => {
  await disk('two');
  const where = { instanceId: 'two', blobIds: ['a', 'b'] };
  const work = (paths: readonly string[]) => {
    for (const path of paths) writeFileSync(path, 'half');
    return Promise.reject(new Error('it broke'));
  };
  await rejects(copier.staged(where, signal, work), /it broke/);
  assert.equal(tree(layout.instance('two')), ['vda.qcow2']);
  writeFileSync(layout.diskCopy('two', 'c'), 'of a killed daemon');
  writeFileSync(join(layout.spool, '.c'), 'half flattened');
  const next = await rig.restart();
  assert.equal(tree(layout.instance('two')), ['vda.qcow2']);
  assert.not.ok(existsSync(join(layout.spool, '.c')));
  await next.close();
});

test('called off while it is flattened it leaves nothing in the spool; a lost chain is said', async () => {
  await disk('three');
  const gone = { trace: 'trace-1', signal: AbortSignal.abort() };
  const where = { instanceId: 'three', blobIds: ['three'] };
  await rejects(
    copier.staged(where, signal, async ([path = '']) => {
      await copier.copyDisk({ instanceId: 'three', device: 'vda' }, path, request);
      await copier.flatten(path, 'three', gone);
    }),
  );
  assert.equal(tree(layout.spool), []);
  const nothing = copier.flatten(layout.diskCopy('three', 'none'), 'none', request);
  await rejects(nothing, { code: 'host/tool-failed' });
});

test('what is no disk is kept as it is', async () => {
  await disk('four');
  await copier.staged({ instanceId: 'four', blobIds: ['vars'] }, signal, async ([path = '']) => {
    writeFileSync(path, 'variables');
    await copier.keep(path, 'vars');
  });
  assert.is(await driver.spool.size('vars'), 9);
});

test('a disk that is too full for it says so before anything is copied', async () => {
  await disk('five');
  const full = await makeRig(join(dir, 'driver'), { limits: { minFreeBytes: 2 ** 60 } });
  const where = { instanceId: 'five', blobIds: ['five'] };
  const work = () => Promise.reject(new Error('begun all the same'));
  await rejects(full.driver.copier.staged(where, signal, work), { code: 'host/disk-full' });
  await full.close();
});

test.run();
