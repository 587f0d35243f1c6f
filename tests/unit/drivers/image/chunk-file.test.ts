import { hash, randomBytes } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { CHUNK_BYTES } from '../../../../src/drivers/image/chunk-digests.ts';
import { ChunkFile } from '../../../../src/drivers/image/chunk-file.ts';
import { followHash, Frontier } from '../../../../src/drivers/image/follow-hash.ts';

const test = suite('chunk file');
const dir = mkdtempSync(join(tmpdir(), 'troupe-chunks-'));
process.on('exit', () => rmSync(dir, { recursive: true, force: true }));
const BYTES = randomBytes(4 * CHUNK_BYTES + 99);
const sha512 = hash('sha512', BYTES);

// A wait for another thread does not keep the process alive; on its own thread the port does.
const alive = setInterval(() => undefined, 1_000);

let count = 0;
function open(path = join(dir, `copy-${++count}`), content = sha512) {
  const frontier = Frontier.make();
  const options = { path, sizeBytes: BYTES.length, sha512: content, frontier };
  return { path, frontier: new Frontier(frontier), shared: frontier, file: new ChunkFile(options) };
}

function put(file: ChunkFile, index: number): void {
  const bytes = BYTES.subarray(index * CHUNK_BYTES, (index + 1) * CHUNK_BYTES);
  file.write(index * CHUNK_BYTES, bytes);
  file.verified(index, hash('sha256', bytes, 'buffer'));
}

test('a copy that was closed goes on with what was verified, in whatever order it came', async () => {
  const first = open();
  put(first.file, 3);
  put(first.file, 0);
  first.file.write(CHUNK_BYTES, Buffer.from('begun, not verified'));
  await first.file.close(false);
  const second = open(first.path);
  assert.equal(second.file.missing(), [1, 2, 4]);
  assert.is(second.frontier.bytes, CHUNK_BYTES);
  for (const index of [4, 1, 2]) put(second.file, index);
  assert.equal([second.file.missing(), second.frontier.bytes], [[], BYTES.length]);
  assert.is(second.file.digests.length, 5 * 32);
  await second.file.close(true);
  assert.ok(readFileSync(first.path).equals(BYTES));
});

test('what a killed process had not put into the map is fetched again', async () => {
  const { path, file } = open();
  put(file, 0);
  await file.close(false);
  const killed = open(path);
  put(killed.file, 1);
  const after = open(path);
  assert.equal(after.file.missing(), [1, 2, 3, 4]);
  await after.file.close(false);
  await killed.file.close(true);
});

test('for another content everything begins anew', async () => {
  const { path, file } = open();
  put(file, 0);
  await file.close(false);
  const other = open(path, hash('sha512', 'other'));
  assert.is(other.file.missing().length, 5);
  await other.file.close(true);
});

test('a map that is cut short, or nonsense, is no map', async () => {
  const { path, file } = open();
  put(file, 0);
  await file.close(false);
  for (const bytes of [readFileSync(`${path}.chunks`).subarray(0, 100), Buffer.from('x')]) {
    writeFileSync(`${path}.chunks`, bytes);
    const again = open(path);
    assert.is(again.file.missing().length, 5);
    await again.file.close(true);
  }
});

test('a map without its bytes is no map', async () => {
  const { path, file } = open();
  put(file, 0);
  await file.close(false);
  writeFileSync(path, '');
  const again = open(path);
  assert.is(again.file.missing().length, 5);
  await again.file.close(true);
});

test('many chunks are kept while it goes on', async () => {
  const path = join(dir, 'large');
  const frontier = Frontier.make();
  const sizeBytes = 70 * CHUNK_BYTES;
  const file = new ChunkFile({ path, sizeBytes, sha512, frontier });
  for (let index = 0; index < 70; index++) file.verified(index, randomBytes(32));
  const giveUpAt = performance.now() + 5_000;
  const map = () => {
    try {
      return readFileSync(`${path}.chunks`).length;
    } catch {
      return 0;
    }
  };
  while (map() === 0 && performance.now() < giveUpAt) await new Promise((go) => setImmediate(go));
  assert.is(map(), 64 + 70 * 32);
  await file.close(true);
});

test('the hash follows the frontier and is that of the whole', async () => {
  const { path, file, shared } = open();
  const request = { path, sizeBytes: BYTES.length, frontier: shared };
  const hashing = followHash(request, new AbortController().signal);
  for (const index of [1, 0, 2, 4, 3]) {
    put(file, index);
    await new Promise((go) => setTimeout(go, 5));
  }
  assert.is(await hashing, sha512);
  await file.close(true);
});

test('a hash that is called off while it waits ends', async () => {
  const { path, file, shared } = open();
  const abort = new AbortController();
  const hashing = followHash({ path, sizeBytes: BYTES.length, frontier: shared }, abort.signal);
  abort.abort();
  await hashing.then(
    () => assert.unreachable(),
    (error: unknown) => assert.match(String(error), /called off/),
  );
  await file.close(true);
});

test.after(() => clearInterval(alive));
test.run();
