// Thin snapshots with the real tools: only what differs from the blob that a disk started from, on every node alike.
import { rejects } from 'node:assert/strict';
import { copyFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { makeRig, scratch, tool, tree, wantedBy } from './rig.ts';
import { makeSamples, MIB, sameDisk, sha } from './samples.ts';

const test = suite('thin snapshots');
const dir = scratch();
const samples = makeSamples(dir);
const rig = await makeRig(join(dir, 'driver'));
const { driver } = rig;
const { copier, layout } = driver;
const request = { trace: 'trace-1', signal: new AbortController().signal };
test.after(() => rig.close());

await rig.ensure('base', samples.convert('base.qcow2', 'qcow2'));

async function disk(instanceId: string, baseBlobId: string, sizeGiB: number | null = null) {
  const spec = { instanceId, device: 'vda', baseBlobId, sizeGiB };
  return (await driver.ensureDisk(spec, wantedBy(`instance/${instanceId}`))).path;
}

function write(path: string, ...commands: readonly string[]): void {
  for (const command of commands) tool('qemu-io', '-f', 'qcow2', '-c', command, path);
}

/** What the guest sees, raw. */
function seen(path: string): string {
  const raw = samples.path(`seen-${String(Math.random()).slice(2)}.raw`);
  tool('qemu-img', 'convert', '-f', 'qcow2', '-O', 'raw', path, raw);
  return raw;
}

/** As of a guest that is off, or (`isWhole`) as libvirt copies that of one that runs. */
async function thin(
  instanceId: string,
  baseBlobId: string,
  blobId: string,
  isWhole = false,
): Promise<void> {
  await copier.staged({ instanceId, blobIds: [blobId] }, request.signal, async ([path = '']) => {
    if (isWhole) {
      const from = layout.disk(instanceId, 'vda');
      tool('qemu-img', 'convert', '-f', 'qcow2', '-O', 'qcow2', from, path);
    } else await copier.copyDisk({ instanceId, device: 'vda' }, path, request);
    const parts: number[] = [];
    await copier.thin(path, baseBlobId, blobId, { ...request, onPart: (part) => parts.push(part) });
    assert.equal([parts.toSorted((a, b) => a - b), parts.at(-1)], [parts, 1]);
  });
}

const keep = (blobId: string, dependsOn: string) =>
  rig.ensure(blobId, '/', { source: { kind: 'spool', id: blobId, dependsOn } });
const info = (path: string) =>
  JSON.parse(tool('qemu-img', 'info', '--output=json', path)) as Record<string, unknown>;

for (const isWhole of [false, true]) {
  const name = isWhole ? 'running' : 'off';
  test(`of a guest that is ${name}: what differs, over a path from its own place`, async () => {
    const path = await disk(name, 'base');
    // Also what the base has and the disk has no more, and what is written as it was.
    write(path, 'write -q -P 90 0 64k', 'write -q -z 1M 64k', 'discard -q 2M 64k');
    const before = seen(path);
    await thin(name, 'base', `${name}-child`, isWhole);
    const report = await keep(`${name}-child`, 'base');
    assert.equal(
      [report.format, report.dependsOn, report.virtualSizeBytes],
      ['qcow2', 'base', 8 * MIB],
    );
    const image = layout.replicaImage(`${name}-child`, 'qcow2');
    assert.ok(statSync(image).size < MIB, 'and no more than that');
    assert.equal(
      [info(image)['backing-filename'], info(image)['backing-filename-format']],
      ['../base/image.qcow2', 'qcow2'],
    );
    assert.ok(sameDisk(['raw', before], ['qcow2', image]));
    assert.is(report.sha512, sha('sha512', image));
    assert.equal(tree(layout.spool), []);
    assert.equal(tree(layout.instance(name)), ['vda.qcow2']);
  });
}

test('a disk starts from it, and a thin snapshot of that is read through both', async () => {
  const path = await disk('second', 'off-child', 1);
  write(path, 'write -q -P 17 4M 64k', 'write -q -P 18 512M 64k');
  const before = seen(path);
  await thin('second', 'off-child', 'grandchild');
  const report = await keep('grandchild', 'off-child');
  assert.equal([report.dependsOn, report.virtualSizeBytes], ['off-child', 2 ** 30]);
  const third = await disk('third', 'grandchild');
  assert.ok(sameDisk(['raw', before], ['qcow2', third]));
});

test('of a disk that started from raw bytes', async () => {
  copyFileSync(samples.raw, layout.spooled('bytes'));
  await rig.ensure('bytes', '/', { source: { kind: 'spool', id: 'bytes' } });
  const path = await disk('raw', 'bytes');
  write(path, 'write -q -P 33 3M 64k');
  await thin('raw', 'bytes', 'over-bytes');
  await keep('over-bytes', 'bytes');
  const image = layout.replicaImage('over-bytes', 'qcow2');
  assert.equal(
    [info(image)['backing-filename'], info(image)['backing-filename-format']],
    ['../bytes/image.raw', 'raw'],
  );
  assert.ok(sameDisk(['raw', seen(path)], ['qcow2', image]));
});

test('what a disk is read through stays for as long as the disk', async () => {
  for (const blobId of ['base', 'off-child', 'grandchild']) {
    const removal = driver.removeReplica(blobId, wantedBy(`blob/${blobId}`, { generation: 9 }));
    await rejects(removal, { code: 'host/locked' }, blobId);
  }
});

test('on another node it is the same bytes, wherever that keeps them', async () => {
  const other = await makeRig(join(dir, 'a-longer-name-elsewhere'));
  await other.ensure('base', samples.path('base.qcow2'));
  const there = other.driver.layout;
  copyFileSync(layout.replicaImage('off-child', 'qcow2'), there.spooled('off-child'));
  const source = { kind: 'spool', id: 'off-child', dependsOn: 'base' } as const;
  const { sha512 } = await other.ensure('off-child', '/', { source });
  assert.is(sha512, sha('sha512', layout.replicaImage('off-child', 'qcow2')));
  const spec = { instanceId: 'far', device: 'vda', baseBlobId: 'off-child', sizeGiB: null };
  const { path } = await other.driver.ensureDisk(spec, wantedBy('instance/far'));
  const here = layout.replicaImage('off-child', 'qcow2');
  assert.ok(sameDisk(['qcow2', here], ['qcow2', path]));
  await other.close();
});

test('without what it is read through no disk is made of it', async () => {
  const other = await makeRig(join(dir, 'alone'));
  const from = layout.replicaImage('off-child', 'qcow2');
  copyFileSync(from, other.driver.layout.spooled('off-child'));
  await other.ensure('off-child', '/', {
    source: { kind: 'spool', id: 'off-child', dependsOn: 'base' },
  });
  const spec = { instanceId: 'far', device: 'vda', baseBlobId: 'off-child', sizeGiB: null };
  await rejects(other.driver.ensureDisk(spec, wantedBy('instance/far')), {
    code: 'image/missing',
    message: /blob base has no replica/,
  });
  await other.close();
});

test('what names anything else is not linked, and what was sent by somebody never is', async () => {
  const image = layout.replicaImage('off-child', 'qcow2');
  const evil = samples.path('evil.qcow2');
  copyFileSync(image, evil);
  tool('chmod', 'u+w', evil);
  tool('qemu-img', 'rebase', '-u', '-f', 'qcow2', '-b', '../../../secret', '-F', 'raw', evil);
  copyFileSync(evil, layout.spooled('evil'));
  await rejects(keep('evil', 'base'), { code: 'image/refused', message: /not based on it/ });
  copyFileSync(image, layout.spooled('sent'));
  const { format } = await rig.ensure('sent', '/', { source: { kind: 'spool', id: 'sent' } });
  assert.is(format, 'raw', 'bytes, in which nothing is followed');
  const flat = samples.convert('flat.qcow2', 'qcow2');
  copyFileSync(flat, layout.spooled('flat'));
  await rejects(keep('flat', 'base'), { code: 'image/refused' });
});

test('without a replica of what it is to differ from, that is said', async () => {
  await disk('last', 'base');
  await rejects(thin('last', 'nowhere', 'lost'), { code: 'image/missing' });
  assert.ok(!tree(layout.spool).some((name) => name.includes('lost')));
});

test('what was half made is gone when the next daemon starts', async () => {
  const half = `${layout.diskCopy('last', 'half')}-changes`;
  copyFileSync(samples.path('base.qcow2'), half);
  await driver.start();
  assert.equal(tree(layout.instance('last')), ['vda.qcow2']);
});

test.run();
