import { createServer, type AddressInfo } from 'node:net';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { choosePorts, rememberedPorts } from '../../../src/embedded/loopback-ports.ts';

const test = suite('loopback ports');

let directory = '';
let path = '';
test.before.each(() => {
  directory = mkdtempSync(join(tmpdir(), `troupe-ports-${process.pid}-`));
  path = join(directory, 'ports');
});
test.after.each(() => rmSync(directory, { recursive: true }));

test('what was chosen is remembered', async () => {
  const ports = await choosePorts(path, [0, 0]);
  assert.is(new Set(ports).size, 2);
  assert.equal(await rememberedPorts(path, 2), ports);
});

test('only the port that is taken is replaced', async () => {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const taken = (server.address() as AddressInfo).port;
  const [free = 0] = await choosePorts(path, [0]);
  const ports = await choosePorts(path, [taken, free]);
  server.close();
  assert.is.not(ports[0], taken);
  assert.is(ports[1], free);
});

test('a damaged or missing file is no memory', async () => {
  assert.is(await rememberedPorts(path, 2), undefined);
  for (const text of ['', '1', '1 2 3', '1 70000', 'a b']) {
    writeFileSync(path, text);
    assert.is(await rememberedPorts(path, 2), undefined, text);
  }
});

test.run();
