import { rejects } from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { DiskSpec } from '../../../actors/blob/ports.ts';
import { exec, type Exec } from '../../../src/drivers/exec.ts';
import { makeRig, scratch, tool, tree, wantedBy } from './rig.ts';
import { makeSamples } from './samples.ts';

const test = suite('instance disks');
const dir = scratch();
const samples = makeSamples(dir);
const rig = await makeRig(join(dir, 'driver'));
const { driver, ledger } = rig;
const GIB = 2 ** 30;

await rig.ensure('base', samples.convert('base.qcow2', 'qcow2'));
mkdirSync(samples.path('cd'));
samples.write('cd/README', 'hello');
tool('genisoimage', '-quiet', '-R', '-o', samples.path('cd.iso'), samples.path('cd'));
await rig.ensure('cd', samples.path('cd.iso'));

function ensure(instanceId: string, change: Partial<DiskSpec> = {}) {
  const spec = { instanceId, device: 'vda', baseBlobId: 'base', sizeGiB: 1, ...change };
  return driver.ensureDisk(spec, wantedBy(`instance/${instanceId}`));
}

const remove = (instanceId: string) =>
  driver.removeDisks(instanceId, wantedBy(`instance/${instanceId}`));

test('an overlay has the size asked for and names its base by full path and format', async () => {
  const report = await ensure('overlay');
  assert.equal(report, {
    path: driver.layout.disk('overlay', 'vda'),
    format: 'qcow2',
    media: 'disk',
    virtualSizeBytes: GIB,
  });
  const info = JSON.parse(tool('qemu-img', 'info', '--output=json', report.path)) as Record<
    string,
    unknown
  >;
  assert.is(info['virtual-size'], GIB);
  assert.is(info['full-backing-filename'], driver.layout.replicaImage('base', 'qcow2'));
  assert.is(info['backing-filename-format'], 'qcow2');
  assert.is(statSync(report.path).mode & 0o777, 0o600);
});

test('without a size it has that of its base', async () => {
  assert.is((await ensure('unsized', { sizeGiB: null })).virtualSizeBytes, 8 * 2 ** 20);
});

test('what the guest wrote survives a repeated request, also one with another size', async () => {
  const { path } = await ensure('kept');
  tool('qemu-io', '-f', 'qcow2', '-c', 'write -P 7 0 64k', path);
  const again = await ensure('kept', { sizeGiB: 5 });
  assert.is(again.virtualSizeBytes, GIB);
  assert.match(tool('qemu-io', '-f', 'qcow2', '-c', 'read -P 7 0 64k', path), /read 65536\/65536/);
});

test('a disk that QEMU has open is recognised without its lock', async () => {
  const { path } = await ensure('running');
  const holder = spawn('qemu-io', ['-f', 'qcow2', path], { stdio: ['pipe', 'pipe', 'ignore'] });
  await new Promise((resolve) => holder.stdout.once('data', resolve));
  assert.is((await ensure('running')).virtualSizeBytes, GIB);
  holder.stdin.end();
  await new Promise((resolve) => holder.once('close', resolve));
});

test('a size below the base is refused with the size that would do', async () => {
  tool('qemu-img', 'create', '-q', '-f', 'qcow2', samples.path('3g.qcow2'), '3G');
  await rig.ensure('three', samples.path('3g.qcow2'));
  await rejects(ensure('small', { baseBlobId: 'three', sizeGiB: 1 }), {
    code: 'image/too-small-disk',
    message: /Image resize failed: disk vda is to have 1 GiB and its image needs 3 GiB/,
  });
  assert.not.ok(existsSync(driver.layout.instance('small')));
});

test('a blank disk needs a size, and gets it', async () => {
  const { path, virtualSizeBytes } = await ensure('blank', { baseBlobId: null, sizeGiB: 2 });
  assert.is(virtualSizeBytes, 2 * GIB);
  assert.not.match(tool('qemu-img', 'info', path), /backing/);
  await rejects(ensure('blank2', { baseBlobId: null, sizeGiB: null }), {
    code: 'image/too-small-disk',
    message: /blank and needs a size/,
  });
  await rejects(ensure('blank2', { baseBlobId: null, sizeGiB: 1e6 }), { code: 'image/refused' });
});

test('an ISO is attached as a CD-ROM, whatever size was asked for', async () => {
  const report = await ensure('cdrom', { baseBlobId: 'cd', sizeGiB: 9 });
  assert.equal(report, {
    path: driver.layout.replicaImage('cd', 'iso'),
    format: 'raw',
    media: 'cdrom',
    virtualSizeBytes: statSync(samples.path('cd.iso')).size,
  });
  assert.not.ok(existsSync(driver.layout.instance('cdrom')));
});

test('a base that is not here is missing, and may come', async () => {
  await rejects(ensure('early', { baseBlobId: 'nowhere' }), { code: 'image/missing' });
});

test('a disk is not moved to another base', async () => {
  await ensure('moved');
  await rejects(ensure('moved', { baseBlobId: null }), { code: 'object/exists' });
});

test('a base is not removed while a disk here needs it, overlay or CD-ROM', async () => {
  await rig.ensure('needed', samples.path('base.qcow2'));
  await ensure('user', { baseBlobId: 'needed' });
  await ensure('user', { baseBlobId: 'cd', device: 'sdb' });
  for (const blob of ['needed', 'cd']) {
    await rejects(driver.removeReplica(blob, wantedBy(`blob/${blob}`)), {
      code: 'host/locked',
      message: /base of disk .* on this machine/,
    });
  }
  await remove('user');
  await driver.removeReplica('needed', wantedBy('blob/needed'));
});

test('a damaged base is made again only while no disk here needs it', async () => {
  const image = samples.path('base.qcow2');
  const { sha512 } = await rig.ensure('damaged', image);
  const damage = () => rmSync(driver.layout.replicaReport('damaged'));
  damage();
  assert.not.ok((await driver.replicas()).includes('damaged'));
  assert.is((await rig.ensure('damaged', image)).sha512, sha512);
  await ensure('patient', { baseBlobId: 'damaged' });
  damage();
  await rejects(rig.ensure('damaged', image), { code: 'host/locked' });
  assert.ok(existsSync(driver.layout.replicaImage('damaged', 'qcow2')));
});

test('a disk is in the ledger with its base before it is made', async () => {
  let seen: unknown;
  const spying: Exec = (program, args, options) => {
    seen = other.ledger.get('disk', 'watched/vda')?.detail;
    return exec(program, args, options);
  };
  const other = await makeRig(join(dir, 'spied'), { exec: spying });
  await other.ensure('base', samples.path('base.qcow2'));
  const spec = { instanceId: 'watched', device: 'vda', baseBlobId: 'base', sizeGiB: 1 };
  await other.driver.ensureDisk(spec, wantedBy('instance/watched'));
  assert.equal(seen, { base: 'base' });
  await other.close();
});

test('what a killed daemon left half made is removed at start, and the disk is made anew', async () => {
  mkdirSync(driver.layout.instance('half'), { recursive: true });
  writeFileSync(join(driver.layout.instance('half'), '.vda.qcow2'), 'half');
  mkdirSync(join(driver.layout.instance('half'), '.config-drive.tree'));
  writeFileSync(join(driver.layout.instance('half'), 'console.log'), 'not ours to touch');
  const again = await rig.restart();
  assert.equal(tree(driver.layout.instance('half')), ['console.log']);
  await again.close();
  assert.is((await ensure('half')).virtualSizeBytes, GIB);
});

test('removal takes everything of the instance and nothing of another, twice', async () => {
  await ensure('gone');
  await ensure('gone', { device: 'vdc', baseBlobId: null });
  await driver.ensureConfigDrive('gone', { 'a/b': 'c' }, wantedBy('instance/gone'));
  writeFileSync(join(driver.layout.instance('gone'), 'nvram.fd'), 'x');
  await ensure('gone-too');
  await remove('gone');
  await remove('gone');
  assert.not.ok(existsSync(driver.layout.instance('gone')));
  assert.ok(existsSync(driver.layout.disk('gone-too', 'vda')));
  assert.equal(ledger.list({ owner: 'instance/gone' }), []);
  assert.is(ledger.list({ owner: 'instance/gone-too' }).length, 1);
});

test('the reserve of free space holds for disks too', async () => {
  const full = await makeRig(join(dir, 'full'), { limits: { minFreeBytes: 2 ** 50 } });
  const spec = { instanceId: 'x', device: 'vda', baseBlobId: null, sizeGiB: 1 };
  await rejects(full.driver.ensureDisk(spec, wantedBy('instance/x')), {
    code: 'host/disk-full',
    message: /MiB are kept in reserve; free some space/,
  });
  assert.not.ok(existsSync(full.driver.layout.disk('x', 'vda')));
  await full.close();
});

test('a missing tool is named with its package', async () => {
  const without: Exec = (program, args, options) =>
    exec(
      program,
      args.map((word) => (word === 'qemu-img' ? 'qemu-img-is-missing' : word)),
      options,
    );
  const bare = await makeRig(join(dir, 'bare'), { exec: without });
  const spec = { instanceId: 'x', device: 'vda', baseBlobId: null, sizeGiB: 1 };
  await rejects(bare.driver.ensureDisk(spec, wantedBy('instance/x')), {
    code: 'host/tool-missing',
    message: /qemu-img is not installed: apt-get install qemu-utils/,
  });
  await bare.close();
});

const FILES = {
  'openstack/latest/meta_data.json': '{"uuid":"1"}',
  'openstack/latest/user_data': new Uint8Array([0x1f, 0x8b, 0, 255]),
  'openstack/2017-02-22/vendor_data2.json': '{}',
};
const drive = (instanceId: string, files: Record<string, string | Uint8Array> = FILES) =>
  driver.ensureConfigDrive(instanceId, files, wantedBy(`instance/${instanceId}`));

test('a config drive has the label and the long names that cloud-init looks for, in both trees', async () => {
  const report = await drive('cfg');
  assert.equal(report, {
    path: driver.layout.configDrive('cfg'),
    format: 'raw',
    media: 'disk',
    virtualSizeBytes: statSync(driver.layout.configDrive('cfg')).size,
  });
  assert.match(tool('isoinfo', '-d', '-i', report.path), /Volume id: config-2\n/);
  assert.match(tool('blkid', '-p', report.path), /LABEL="config-2".*TYPE="iso9660"/);
  for (const names of ['-R', '-J']) {
    const listed = tool('isoinfo', names, '-f', '-i', report.path).split('\n');
    for (const file of Object.keys(FILES))
      assert.ok(listed.includes(`/${file}`), `${names} ${file}`);
  }
  const text = tool('isoinfo', '-R', '-x', '/openstack/latest/meta_data.json', '-i', report.path);
  assert.is(text, '{"uuid":"1"}');
  assert.equal(tree(driver.layout.instance('cfg')), ['config-drive.iso']);
  assert.is(statSync(report.path).mode & 0o777, 0o600);
});

test('the same files leave the drive as it is, other files replace it under its name', async () => {
  const { path } = await drive('again');
  const before = statSync(path);
  await drive('again');
  assert.is(statSync(path).ino, before.ino);
  const held = readFileSync(path);
  await drive('again', { ...FILES, 'openstack/latest/meta_data.json': '{"uuid":"2"}' });
  assert.is.not(statSync(path).ino, before.ino);
  assert.ok(held.includes('{"uuid":"1"}'), 'a running guest keeps the drive it has open');
  const text = tool('isoinfo', '-R', '-x', '/openstack/latest/meta_data.json', '-i', path);
  assert.is(text, '{"uuid":"2"}');
});

test('a file moved between names is a difference too', async () => {
  const { path } = await drive('names', { a: 'x', b: '' });
  const before = statSync(path).ino;
  await drive('names', { a: '', b: 'x' });
  assert.is.not(statSync(path).ino, before);
});

test('a drive that is cut off is written again', async () => {
  const { path } = await drive('cut');
  writeFileSync(path, '');
  assert.ok((await drive('cut')).virtualSizeBytes > 2048);
});

test('a file name that leaves the drive is refused', async () => {
  for (const name of ['../x', '/etc/x', 'a//b', 'a/../../b']) {
    await rejects(drive('bad', { [name]: 'x' }), { code: 'actor/bad-message' });
  }
});

test.after(() => rig.close());
test.run();
