// Brought bytes that are no disk as they are become one, with the real tools; NVRAM starts from a blob's bytes.
import { rejects } from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { chmodSync, existsSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { ReplicaReport } from '../../../actors/blob/ports.ts';
import { makeRig, scratch, tool, wantedBy } from './rig.ts';
import { makeSamples } from './samples.ts';

const test = suite('image transcodes');
const dir = scratch();
const samples = makeSamples(dir);
const rig = await makeRig(join(dir, 'driver'));
test.after(() => rig.close());
const { layout } = rig.driver;

async function brought(id: string, bytes: Uint8Array): Promise<ReplicaReport> {
  await rig.driver.spool.write(id, 0, bytes);
  return rig.ensure(id, '/', { source: { kind: 'spool', id } });
}
const transcoded = (blobId: string) =>
  rig.ensure(`${blobId}-disk`, '/', { source: { kind: 'blob', blobId } });
const xz = (path: string) => execFileSync('xz', ['-0', '--stdout', path], { maxBuffer: 2 ** 26 });

const SOURCES: readonly (readonly [string, () => Uint8Array])[] = [
  ['vmdk', () => readFileSync(samples.convert('t.vmdk', 'vmdk'))],
  ['vdi', () => readFileSync(samples.convert('t.vdi', 'vdi'))],
  ['vhdx', () => readFileSync(samples.convert('t.vhdx', 'vhdx'))],
  ['gzip', () => gzipSync(readFileSync(samples.raw), { level: 1 })],
  ['xz', () => xz(samples.convert('t.qcow2', 'qcow2'))],
];
for (const [format, content] of SOURCES) {
  test(`${format} is kept as it came, and its transcode is a disk of the same content`, async () => {
    const bytes = content();
    const kept = await brought(format, bytes);
    assert.equal([kept.format, kept.sourceFormat, kept.sizeBytes], ['raw', format, bytes.length]);
    const report = await transcoded(format);
    assert.is(report.format, 'qcow2');
    assert.is(report.sourceSha256, kept.sourceSha256);
    const image = layout.replicaImage(`${format}-disk`, 'qcow2');
    tool('qemu-img', 'compare', '-q', '-f', 'raw', '-F', 'qcow2', samples.raw, image);
    assert.ok(readFileSync(layout.replicaImage(format, 'raw')).equals(bytes));
  });
}

test('a transcode stays when the bytes that it came from go', async () => {
  await brought('leaving', gzipSync(readFileSync(samples.raw), { level: 1 }));
  await transcoded('leaving');
  await rig.driver.removeReplica('leaving', wantedBy('blob/leaving'));
  const disk = { instanceId: 'vm', device: 'vda', baseBlobId: 'leaving-disk', sizeGiB: null };
  const { path } = await rig.driver.ensureDisk(disk, wantedBy('instance/vm'));
  tool('qemu-img', 'compare', '-q', '-f', 'raw', '-F', 'qcow2', samples.raw, path);
});

const REFUSED: readonly (readonly [string, () => Uint8Array, RegExp])[] = [
  ['text', () => Buffer.from('only words'), /text, not an image/],
  ['packed text', () => gzipSync(Buffer.from('only words, packed')), /text, not an image/],
  ['packed twice', () => gzipSync(gzipSync(readFileSync(samples.raw))), /packed twice/],
  [
    'a qcow2 that names another file',
    () => {
      const path = samples.path('names.qcow2');
      tool('qemu-img', 'create', '-q', '-f', 'qcow2', '-b', samples.raw, '-F', 'raw', path);
      return readFileSync(path);
    },
    /overlay on another file/,
  ],
];
for (const [index, [what, content, reason]] of REFUSED.entries()) {
  test(`${what} is kept, and is no disk: the reason is that of an image that is fetched`, async () => {
    const id = `refused-${index}`;
    assert.is((await brought(id, content())).format, 'raw');
    await rejects(transcoded(id), { code: 'image/refused', message: reason });
    assert.not(existsSync(layout.replica(`${id}-disk`)));
    assert.not(existsSync(layout.partial(`${id}-disk`)));
  });
}

test('of a blob that is not on this node nothing is made, at once', async () => {
  await rejects(transcoded('nowhere'), { code: 'image/not-fetched' });
});

test('UEFI variables are copied once, and outlive the blob', async () => {
  const bytes = Buffer.alloc(540_672, 7);
  await brought('vars', bytes);
  const by = wantedBy('instance/uefi');
  const path = await rig.driver.ensureNvramTemplate('uefi', 'vars', by);
  assert.ok(readFileSync(path).equals(bytes));
  assert.is(statSync(path).mode & 0o777, 0o600);
  await rig.driver.removeReplica('vars', wantedBy('blob/vars'));
  chmodSync(path, 0o600);
  writeFileSync(path, 'ours');
  assert.is(await rig.driver.ensureNvramTemplate('uefi', 'vars', by), path);
  assert.is(readFileSync(path, 'utf8'), 'ours');
  await rig.driver.removeDisks('uefi', by);
  assert.not(existsSync(path));
  assert.equal(
    rig.ledger.list({ resource: 'disk' }).filter(({ name }) => name.startsWith('uefi/')),
    [],
  );
  await rejects(rig.driver.ensureNvramTemplate('uefi', 'vars', by), { code: 'image/missing' });
});

test('what cannot be UEFI variables is refused', async () => {
  const by = wantedBy('instance/uefi');
  await brought('disk', readFileSync(samples.convert('disk.qcow2', 'qcow2')));
  await brought('empty', Buffer.alloc(0));
  for (const blobId of ['disk', 'empty']) {
    await rejects(rig.driver.ensureNvramTemplate('uefi', blobId, by), {
      code: 'image/refused',
      message: /holds no UEFI variables/,
    });
  }
});

test.run();
