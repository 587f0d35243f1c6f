// `troupe cluster init` and `troupe node invite`, on data directories of the test's own.
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { readInvitation } from '../../../src/cluster/invitation.ts';
import { run } from './fake-api.ts';

const test = suite('cli: cluster');
const root = mkdtempSync(join(tmpdir(), `troupe-cli-cluster-${process.pid}-`));
test.after(() => rmSync(root, { recursive: true }));

const INIT = ['cluster', 'init', '--node', 'a', '--address', '10.9.8.7', '--port', '777'];

test('the first machine is set up once, and invites others to its address', async () => {
  const place = ['--data-dir', join(root, 'one')];
  const made = await run(null, [...INIT, ...place]);
  assert.is(made.code, 0, made.err);
  assert.match(made.err, 'a is the first node of cluster troupe, at 10.9.8.7 port 777');
  const settings = JSON.parse(readFileSync(join(root, 'one', 'troupe.json'), 'utf8')) as object;
  assert.equal(settings, {
    node: 'a',
    cluster: 'troupe',
    'mesh-address': '10.9.8.7',
    'mesh-port': 777,
  });
  const again = await run(null, [...INIT, ...place]);
  assert.is(again.code, 1);
  assert.match(again.err, 'in a cluster already');
  const invited = await run(null, ['node', 'invite', ...place]);
  assert.is(invited.code, 0, invited.err);
  assert.equal(readInvitation(invited.out).address, { host: '10.9.8.7', port: 777 });
});

test('a machine that is in no cluster, or has not made it, invites nobody', async () => {
  const alone = await run(null, ['node', 'invite', '--data-dir', join(root, 'alone')]);
  assert.is(alone.code, 1);
  assert.match(alone.err, 'is in no cluster yet');
  assert.match(alone.err, 'troupe cluster init');
});

test('an address that nobody can reach is refused, with the setting and what it takes', async () => {
  const words = ['cluster', 'init', '--address', '127.0.0.1', '--data-dir', join(root, 'two')];
  const { code, err } = await run(null, words);
  assert.is(code, 1);
  assert.match(err, 'mesh-address');
  assert.match(err, 'not a loopback one');
});

test('in a clone the data directory is the one of npm start, also before its first start', async () => {
  const clone = join(root, 'clone');
  mkdirSync(join(clone, 'deploy'), { recursive: true });
  writeFileSync(join(clone, 'deploy', 'start.sh'), '');
  const { code, err } = await run(null, INIT, { checkout: clone });
  assert.is(code, 0, err);
  assert.ok(existsSync(join(clone, '.troupe', 'cluster', 'node.pem')));
});

test('an invitation that is none changes nothing', async () => {
  const words = ['node', 'join', 'x', '--data-dir', join(root, 'three')];
  const { code, err } = await run(null, words);
  assert.is(code, 1);
  assert.match(err, 'no invitation');
});

test.run();
