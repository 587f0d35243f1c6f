// What clients are told of replicas: hashes of the bytes as kept, and what qemu-img says of the file.
import { rejects } from 'node:assert/strict';
import { chmodSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { xxhash128 } from 'hash-wasm';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { ReplicaFacts } from '../../../actors/blob/ports.ts';
import { codeOf } from '../../../actors/kernel/errors.ts';
import { hashFile } from '../../../src/drivers/image/hash-file.ts';
import { sizeText } from '../../../src/api/blobs/blob-view.ts';
import { makeRig, scratch, tool } from './rig.ts';
import { makeSamples, patch, sha } from './samples.ts';

const test = suite('image facts');
const dir = scratch();
const samples = makeSamples(dir);
const rig = await makeRig(join(dir, 'driver'));
const { layout } = rig.driver;

/** The hashes are those of known vectors. */
test('all hashes come from one pass', async () => {
  const path = samples.write('abc', Buffer.from('abc'));
  const algorithms = ['sha1', 'sha256', 'sha512', 'xxh128'] as const;
  const { digests, sizeBytes } = await hashFile(
    { path, algorithms },
    () => undefined,
    new AbortController().signal,
  );
  assert.is(sizeBytes, 3);
  assert.is(digests.sha1, 'a9993e364706816aba3e25717850c26c9cd0d89d');
  assert.is(digests.xxh128, '06b05ab6733a618578af5f94892f3950');
  assert.is(digests.sha256, sha('sha256', path));
  assert.is(digests.sha512, sha('sha512', path));
});

test('they are what qemu-img says', async () => {
  const { facts } = await rig.ensure('said', samples.convert('said.qcow2', 'qcow2'));
  const said = tool('qemu-img', 'info', layout.replicaImage('said', 'qcow2'));
  assert.match(said, new RegExp(`disk size: ${sizeText(facts?.diskBytes ?? 0)}\n`));
  assert.match(said, new RegExp(`cluster_size: ${facts?.clusterBytes}\n`));
  assert.match(said, new RegExp(`compat: ${facts?.compat}\n`));
  assert.match(said, new RegExp(`compression type: ${facts?.compression}\n`));
  assert.match(said, new RegExp(`extended l2: ${facts?.extendedL2}\n`));
});

test('an image that was converted is known by the bytes that are kept', async () => {
  const { facts, sourceSha256 } = await rig.ensure('converted', samples.convert('in.vmdk', 'vmdk'));
  const kept = layout.replicaImage('converted', 'qcow2');
  assert.is(facts?.sha256, sha('sha256', kept));
  assert.is.not(facts?.sha256, sourceSha256);
  assert.is(facts?.xxh128, await xxhash128(readFileSync(kept)));
});

/** As an older version wrote it. */
function forgetFacts(blobId: string): void {
  const path = layout.replicaReport(blobId);
  const { facts: _, ...report } = JSON.parse(readFileSync(path, 'utf8')) as { facts: unknown };
  chmodSync(path, 0o644);
  writeFileSync(path, JSON.stringify(report));
}

async function describe(blobId: string): Promise<ReplicaFacts> {
  for (;;) {
    try {
      return await rig.driver.describe(blobId, 'trace');
    } catch (error) {
      if (codeOf(error) !== 'image/unreachable') throw error;
      await pause(20);
    }
  }
}

test('what an older version kept is read once, when it is asked for', async () => {
  const { facts } = await rig.ensure('old', samples.convert('old.qcow2', 'qcow2'));
  forgetFacts('old');
  assert.equal(await describe('old'), facts);
  const stored = JSON.parse(readFileSync(layout.replicaReport('old'), 'utf8')) as object;
  assert.equal((stored as { facts: unknown }).facts, facts);
});

test('of one that has rotted nothing is said', async () => {
  await rig.ensure('rotten', samples.convert('rotten.qcow2', 'qcow2'));
  forgetFacts('rotten');
  patch(layout.replicaImage('rotten', 'qcow2'), 200_000, Buffer.from('rot'));
  await rejects(describe('rotten'), { code: 'image/damaged' });
  const logged = rig.logged.length;
  await rejects(describe('rotten'), { code: 'image/damaged' });
  assert.is(rig.logged.length, logged, 'nor is it read again');
  await rejects(describe('unknown'), { code: 'image/missing' });
});

test.after(() => rig.close());
test.run();
