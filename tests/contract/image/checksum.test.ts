// Images whose hash was said beforehand, from a server and from a file, by the real driver; files that are looked at again.
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { appendFileSync, copyFileSync, readFileSync, rmSync, utimesSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { rejects } from 'node:assert/strict';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Checksum } from '../../../actors/blob/ports.ts';
import { makeRig, scratch, tree } from './rig.ts';
import { makeSamples } from './samples.ts';

const test = suite('expected hashes');
const dir = scratch();
const path = makeSamples(dir).convert('image.qcow2', 'qcow2');
const bytes = readFileSync(path);
const server = createServer((_request, response) => response.end(bytes));
server.listen(0, '127.0.0.1');
await once(server, 'listening');
const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/image.qcow2`;
const rig = await makeRig(join(dir, 'driver'));
test.after(async () => {
  server.closeAllConnections();
  server.close();
  await rig.close();
});

const hashOf = (algorithm: Checksum['algorithm']) =>
  createHash(algorithm).update(bytes).digest('hex');
const SOURCES = {
  url: (checksum: Checksum) => ({ kind: 'url', url, checksum }) as const,
  file: (checksum: Checksum) => ({ kind: 'file', path, checksum }) as const,
};
let serial = 0;
const fetched = (kind: keyof typeof SOURCES, checksum: Checksum) =>
  rig.ensure(`blob-${++serial}`, url, { source: SOURCES[kind](checksum) });

for (const kind of ['url', 'file'] as const) {
  for (const algorithm of ['sha256', 'sha512'] as const) {
    test(`${kind}: bytes with the ${algorithm} that was said become a replica`, async () => {
      const hex = hashOf(algorithm);
      const { sourceSha256 } = await fetched(kind, { algorithm, hex });
      assert.is(sourceSha256, hashOf('sha256'));
    });

    test(`${kind}: bytes with another ${algorithm} are refused for good, and nothing stays`, async () => {
      const hex = hashOf(algorithm).replace(/^./, (digit) => (digit === '0' ? '1' : '0'));
      const refused = fetched(kind, { algorithm, hex });
      await rejects(refused, (error: Error) => {
        assert.is((error as unknown as { code: string }).code, 'image/refused');
        assert.ok(error.message.includes(hex) && error.message.includes(hashOf(algorithm)));
        return true;
      });
      const left = tree(rig.dir).filter((name) => name.includes(`blob-${serial}`));
      assert.equal(left, []);
    });
  }
}

test('a file is the same until it is written, replaced or gone', async () => {
  const copy = join(dir, 'again.qcow2');
  copyFileSync(path, copy);
  const { etag, lastModified } = await rig.ensure('again', copy);
  const verdict = async () => (await rig.driver.checkFile(copy, etag)).verdict;
  assert.ok(Math.abs(Date.parse(lastModified ?? '') - Date.now()) < 60_000);
  assert.is(await verdict(), 'same');
  appendFileSync(copy, Buffer.alloc(512));
  assert.is(await verdict(), 'changed');
  const again = await rig.ensure('again-2', copy);
  assert.is((await rig.driver.checkFile(copy, again.etag)).verdict, 'same');
  // Another file of the same size and time.
  rmSync(copy);
  copyFileSync(path, copy);
  appendFileSync(copy, Buffer.alloc(512));
  utimesSync(copy, new Date(lastModified ?? 0), new Date(lastModified ?? 0));
  assert.is((await rig.driver.checkFile(copy, again.etag)).verdict, 'changed');
  rmSync(copy);
  assert.is(await verdict(), 'unknown');
});

test.run();
