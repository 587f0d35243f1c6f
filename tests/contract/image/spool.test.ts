// Bytes that are brought piece by piece, and the replicas that they become, on a real disk.
import { rejects } from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { readFileSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { makeRig, scratch, tree, wantedBy, type Rig } from './rig.ts';
import { makeSamples, sha } from './samples.ts';

const test = suite('image spool');
const dir = scratch();
const samples = makeSamples(dir);
const rig = await makeRig(join(dir, 'driver'));
test.after(() => rig.close());

const ensure = (blobId: string, id = blobId, on: Rig = rig) =>
  on.ensure(blobId, '/', { source: { kind: 'spool', id } });
const bring = async (id: string, bytes: Uint8Array) => rig.driver.spool.write(id, 0, bytes);
const spooled = (id: string) => readFileSync(rig.driver.layout.spooled(id));

test('grows piece by piece; a piece that comes again changes nothing, a hole is refused', async () => {
  const { spool } = rig.driver;
  assert.is(await spool.size('up'), null);
  assert.is(await spool.write('up', 0, Buffer.from('hello ')), 6);
  assert.is(await spool.write('up', 0, Buffer.from('hello ')), 6);
  assert.is(await spool.write('up', 4, Buffer.from('o world')), 11);
  assert.is(spooled('up').toString(), 'hello world');
  await rejects(spool.write('up', 12, Buffer.from('x')), { code: 'api/conflict' });
  await spool.resize('up', 5);
  await spool.resize('new', 2);
  assert.equal([spooled('up').toString(), spooled('new').length], ['hello', 2]);
  await spool.remove('up');
  await spool.remove('up');
  assert.is(await spool.size('up'), null);
});

test('what nobody has written for a week is swept away; an upload that may rest longer is not', async () => {
  const patient = await makeRig(join(dir, 'patient'), { uploadIdleMs: 10 * 86_400_000 });
  for (const { driver } of [rig, patient]) {
    for (const id of ['old', 'young']) await driver.spool.write(id, 0, Buffer.from('x'));
    const eightDaysAgo = new Date(Date.now() - 8 * 86_400_000);
    utimesSync(driver.layout.spooled('old'), eightDaysAgo, eightDaysAgo);
    await driver.spool.sweep();
    assert.is(await driver.spool.size('young'), 1);
  }
  assert.is(await rig.driver.spool.size('old'), null);
  assert.is(await patient.driver.spool.size('old'), 1);
  await patient.close();
  await rig.driver.spool.remove('young');
});

test('an id that is no file name names nothing', async () => {
  for (const id of ['../x', '.hidden', 'a/b', '']) {
    await rejects(async () => rig.driver.spool.write(id, 0, Buffer.from('x')), {
      code: 'actor/bad-message',
    });
  }
});

test('a replica has exactly the bytes that were brought, whatever they are; the spool is empty then', async () => {
  const bytes = randomBytes(70_001);
  await bring('any', bytes);
  const report = await ensure('any');
  const path = rig.driver.layout.replicaImage('any', 'raw');
  assert.equal(
    [report.format, report.sizeBytes, report.sha512, report.sourceSha256, report.virtualSizeBytes],
    ['raw', bytes.length, sha('sha512', path), sha('sha256', path), 70_144],
  );
  assert.ok(readFileSync(path).equals(bytes));
  assert.is(await rig.driver.spool.size('any'), null);
  assert.equal(await ensure('any'), report, 'asked for again it is there');
});

const KINDS: readonly (readonly [name: string, content: () => Uint8Array, format: string])[] = [
  ['qcow2', () => readFileSync(samples.convert('spool.qcow2', 'qcow2')), 'qcow2'],
  ['vmdk', () => readFileSync(samples.convert('spool.vmdk', 'vmdk')), 'raw'],
  ['text', () => Buffer.from('only words'), 'raw'],
  ['nothing', () => Buffer.alloc(0), 'raw'],
];
for (const [name, content, format] of KINDS) {
  test(`${name} is kept as it came, as ${format}`, async () => {
    const bytes = content();
    await bring(name, bytes);
    const report = await ensure(name);
    assert.is(report.format, format);
    assert.is(report.sizeBytes, bytes.length);
    const image = rig.driver.layout.replicaImage(name, report.format);
    assert.ok(readFileSync(image).equals(bytes));
  });
}

test('a qcow2 that names another file is only bytes: a disk on it never follows the name', async () => {
  const hostile = samples.convert('hostile.qcow2', 'qcow2');
  const bytes = readFileSync(hostile);
  const name = Buffer.from('/etc/passwd');
  bytes.writeBigUInt64BE(0x1000n, 8);
  bytes.writeUInt32BE(name.length, 16);
  name.copy(bytes, 0x1000);
  await bring('hostile', bytes);
  assert.is((await ensure('hostile')).format, 'raw');
  const disk = { instanceId: 'vm', device: 'vda', baseBlobId: 'hostile', sizeGiB: null };
  const { path } = await rig.driver.ensureDisk(disk, wantedBy('instance/vm'));
  const head = readFileSync(path).subarray(0, 4_096).toString('latin1');
  assert.match(head, 'image.raw');
  assert.not.match(head, '/etc/passwd');
  await rig.driver.removeDisks('vm', wantedBy('instance/vm'));
});

test('what was to become a blob that came to nothing goes with it', async () => {
  await bring('given-up', randomBytes(1_000));
  await rig.driver.removeReplica('given-up', wantedBy('given-up'));
  assert.is(await rig.driver.spool.size('given-up'), null);
});

test('what is not there any more is refused for good', async () => {
  await rejects(ensure('absent'), { code: 'image/refused' });
});

test('a daemon that was killed in between goes on; what is old is swept at its start', async () => {
  await bring('later', Buffer.from('later'));
  await bring('old', Buffer.from('old'));
  const longAgo = new Date(Date.now() - 8 * 86_400_000);
  utimesSync(rig.driver.layout.spooled('old'), longAgo, longAgo);
  writeFileSync(join(rig.driver.layout.spool, '.odd'), 'x');
  const again = await rig.restart();
  assert.equal(tree(rig.driver.layout.spool), ['later', 'new']);
  assert.is((await ensure('later', 'later', again)).sizeBytes, 5);
  await again.close();
});

test.run();
