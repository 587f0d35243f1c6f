import { rejects } from 'node:assert/strict';
import { hash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { xxhash128 } from 'hash-wasm';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { makeRig, scratch, tool, tree, wantedBy } from './rig.ts';
import { MIB, makeSamples, patch, sameDisk, sha } from './samples.ts';

const test = suite('image ingest');
const dir = scratch();
const samples = makeSamples(dir);
const rig = await makeRig(join(dir, 'driver'));
const image = (blobId: string, format: 'qcow2' | 'iso' = 'qcow2') =>
  rig.driver.layout.replicaImage(blobId, format);

test('a clean qcow2 is kept byte for byte, read-only, and reported in full', async () => {
  const source = samples.convert('clean.qcow2', 'qcow2');
  const { etag, lastModified, ...report } = await rig.ensure('clean', source);
  assert.is(lastModified, statSync(source).mtime.toUTCString());
  assert.ok(etag?.includes(String(statSync(source).ino)));
  assert.equal(report, {
    sizeBytes: statSync(source).size,
    sha512: sha('sha512', source),
    sourceSizeBytes: statSync(source).size,
    sourceSha256: sha('sha256', source),
    sourceFormat: 'qcow2',
    format: 'qcow2',
    mimeType: 'application/octet-stream',
    virtualSizeBytes: 8 * MIB,
    facts: {
      sha1: sha('sha1', source),
      sha256: sha('sha256', source),
      xxh128: await xxhash128(readFileSync(source)),
      diskBytes: statSync(image('clean')).blocks * 512,
      clusterBytes: 65_536,
      compat: '1.1',
      compression: 'zlib',
      extendedL2: false,
    },
    chunksSha256: hash('sha256', digestsOf(readFileSync(source))),
  });
  assert.is(sha('sha512', image('clean')), report.sha512);
  assert.is(statSync(image('clean')).mode & 0o777, 0o444);
});

/** SHA-256 of each MiB, one after the other. */
function digestsOf(bytes: Buffer): Buffer {
  const starts = Array.from({ length: Math.ceil(bytes.length / MIB) }, (_, at) => at * MIB);
  return Buffer.concat(starts.map((at) => hash('sha256', bytes.subarray(at, at + MIB), 'buffer')));
}

const CONVERTED: readonly (readonly [name: string, format: string, options: string[]])[] = [
  ['vmdk', 'vmdk', []],
  ['vmdk-stream', 'vmdk', ['-o', 'subformat=streamOptimized']],
  ['vdi', 'vdi', []],
  ['vdi-static', 'vdi', ['-o', 'static=on']],
  ['vhdx', 'vhdx', []],
  ['vpc', 'vpc', ['-o', 'force_size=on']],
  ['vpc-fixed', 'vpc', ['-o', 'subformat=fixed,force_size=on']],
  ['qcow2-v2', 'qcow2', ['-o', 'compat=0.10']],
];
for (const [name, format, options] of CONVERTED) {
  test(`${name} becomes a plain qcow2 of the same disk`, async () => {
    const source = samples.convert(`source.${name}`, format, options);
    const before = sha('sha256', source);
    const report = await rig.ensure(name, source);
    assert.is(report.sourceFormat, format);
    assert.is(report.format, 'qcow2');
    assert.is(report.sourceSha256, before);
    assert.is(report.sha512, sha('sha512', image(name)));
    assert.is(report.sizeBytes, statSync(image(name)).size);
    assert.is(report.virtualSizeBytes, 8 * MIB);
    assert.ok(sameDisk(['raw', samples.raw], ['qcow2', image(name)]));
    assert.is(sha('sha256', source), before, 'the source is untouched');
  });
}

test('a raw disk becomes a qcow2 of the same disk', async () => {
  const report = await rig.ensure('raw', samples.raw);
  assert.is(report.sourceFormat, 'raw');
  assert.ok(sameDisk(['raw', samples.raw], ['qcow2', image('raw')]));
});

test('internal snapshots are left behind', async () => {
  const source = samples.convert('snapshots.qcow2', 'qcow2');
  tool('qemu-img', 'snapshot', '-c', 'before', source);
  await rig.ensure('snapshots', source);
  assert.ok(sameDisk(['raw', samples.raw], ['qcow2', image('snapshots')]));
  assert.is(tool('qemu-img', 'snapshot', '-l', image('snapshots')).trim(), '');
});

const PACKED: readonly (readonly [tool: string, suffix: string, mimeType: string])[] = [
  ['gzip', 'gz', 'application/gzip'],
  ['xz', 'xz', 'application/x-xz'],
  ['bzip2', 'bz2', 'application/x-bzip2'],
  ['zstd', 'zst', 'application/zstd'],
];
for (const [packer, suffix, mimeType] of PACKED) {
  test(`an image packed with ${packer} is unpacked`, async () => {
    tool(packer, '-k', '-f', ...(packer === 'xz' ? ['-0'] : ['-1']), samples.raw);
    const source = `${samples.raw}.${suffix}`;
    const report = await rig.ensure(packer, source);
    assert.is(report.mimeType, mimeType);
    assert.is(report.sourceFormat, 'raw');
    assert.is(report.sourceSha256, sha('sha256', source));
    assert.ok(sameDisk(['raw', samples.raw], ['qcow2', image(packer)]));
  });
}

test('an ISO is kept as an ISO', async () => {
  mkdirSync(samples.path('iso'), { recursive: true });
  samples.write('iso/README', 'hello');
  const source = samples.path('cd.iso');
  tool('genisoimage', '-quiet', '-R', '-o', source, samples.path('iso'));
  const report = await rig.ensure('iso', source);
  assert.is(report.format, 'iso');
  assert.is(report.sourceFormat, 'iso');
  assert.is(report.virtualSizeBytes, statSync(source).size);
  assert.is(sha('sha512', image('iso', 'iso')), report.sha512);
});

test('a file with holes is copied with its holes', async () => {
  const source = samples.path('holes.qcow2');
  tool('qemu-img', 'create', '-q', '-f', 'qcow2', '-o', 'preallocation=metadata', source, '64M');
  await rig.ensure('holes', source);
  assert.ok(statSync(image('holes')).blocks * 512 < 4 * MIB);
});

test('asked again it answers from what it kept, and touches nothing', async () => {
  const source = samples.convert('again.qcow2', 'qcow2');
  const first = await rig.ensure('again', source);
  const before = statSync(image('again'));
  const steps = rig.progress.length;
  assert.equal(await rig.ensure('again', '/does/not/exist'), first);
  assert.is(statSync(image('again')).ino, before.ino);
  assert.is(rig.progress.length, steps);
});

test('two requests for one blob at once make it once', async () => {
  const source = samples.convert('twice.qcow2', 'qcow2');
  const [a, b] = await Promise.all([rig.ensure('twice', source), rig.ensure('twice', source)]);
  assert.equal(a, b);
});

test('the hash that is wanted is required, and nothing is left of a copy that has another', async () => {
  await rejects(rig.ensure('other', samples.raw, { sha512: 'f'.repeat(128) }), {
    code: 'image/damaged',
  });
  assert.is(existsSync(rig.driver.layout.partial('other')), false);
  assert.is(rig.ledger.get('replica', 'other'), undefined);
});

test('progress names every step and ends at the whole', async () => {
  rig.progress.length = 0;
  await rig.ensure('steps', samples.raw);
  const steps = [...new Set(rig.progress.map(({ step }) => step))];
  assert.equal(
    steps.filter((step) => step !== 'converting' && step !== 'hashing'),
    ['copying', 'checking'],
  );
  const copied = rig.progress.filter(({ step }) => step === 'copying').at(-1);
  assert.equal(copied, { step: 'copying', doneBytes: 8 * MIB, totalBytes: 8 * MIB });
});

test('a blob is in the ledger while it is here, and nothing is left once removed', async () => {
  await rig.ensure('gone', samples.raw);
  assert.is(rig.ledger.get('replica', 'gone')?.owner, 'blob/gone');
  assert.ok((await rig.driver.replicas()).includes('gone'));
  await rig.driver.removeReplica('gone', wantedBy('blob/gone'));
  await rig.driver.removeReplica('gone', wantedBy('blob/gone'));
  assert.is(rig.ledger.get('replica', 'gone'), undefined);
  assert.not.ok((await rig.driver.replicas()).includes('gone'));
  assert.equal(
    tree(rig.dir).filter((path) => path.includes('gone')),
    [],
  );
});

test('a flipped byte is found when the replica is read again', async () => {
  await rig.ensure('flipped', samples.raw);
  const signal = new AbortController().signal;
  assert.equal(await rig.driver.verify('flipped', signal), { isGood: true });
  const [byte = 0] = readFileSync(image('flipped')).subarray(MIB, MIB + 1);
  patch(image('flipped'), MIB, Buffer.from([byte ^ 1]));
  const verdict = await rig.driver.verify('flipped', signal);
  assert.not.ok(verdict.isGood);
  await rejects(rig.driver.verify('nowhere', signal), { code: 'image/missing' });
});

test('a request of an older generation is refused', async () => {
  await rig.ensure('fenced', samples.raw, {}, wantedBy('blob/fenced', { generation: 3 }));
  await rejects(rig.driver.removeReplica('fenced', wantedBy('blob/fenced', { generation: 2 })), {
    code: 'executor/stale-epoch',
  });
  assert.ok((await rig.driver.replicas()).includes('fenced'));
});

test('an id that would leave the directory is refused', async () => {
  for (const id of ['../x', 'a/b', '.partial', '']) {
    await rejects(rig.ensure(id, samples.raw), { code: 'actor/bad-message' });
  }
});

test('a relative path, a directory, a device and a missing file are refused with the reason', async () => {
  const cases: readonly (readonly [path: string, words: RegExp])[] = [
    [samples.dir, /not a regular file/],
    ['/dev/zero', /not a regular file/],
    ['/does/not/exist', /ENOENT/],
  ];
  for (const [path, message] of cases) {
    await rejects(rig.ensure('bad', path), { code: 'image/bad-url', message });
  }
  const source = { kind: 'file', path: 'disk.raw' } as const;
  await rejects(rig.ensure('bad', samples.raw, { source }), {
    code: 'image/bad-url',
    message: /full path/,
  });
});

test('a file above the limit is refused before it is copied', async () => {
  await rejects(rig.ensure('large', samples.raw, { maxSizeBytes: MIB }), {
    code: 'image/refused',
    message: /8388608 bytes.*1048576/,
  });
  assert.is(existsSync(rig.driver.layout.partial('large')), false);
});

test.after(() => rig.close());
test.run();
