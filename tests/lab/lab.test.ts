// The lab itself leaves nothing: taken down in order, or with its maker killed.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { addNode, makeLab, removeLab } from '../../deploy/lab/lab.ts';
import {
  answers,
  enlist,
  isRunning,
  pauseDaemon,
  resumeDaemon,
  startDaemon,
} from '../../deploy/lab/node-daemon.ts';
import { isAlive, type ProcessIdentity } from '../../src/embedded/process-identity.ts';
import { CACHE } from '../support/daemon.ts';
import { waitUntil } from '../support/wait.ts';

const test = suite('the lab');
const directory = mkdtempSync(join(tmpdir(), `troupe-lab-test-${process.pid}-`));
const subnet = `10.215.${process.pid % 250}`;
const CHILD = fileURLToPath(new URL('../support/lab.child.ts', import.meta.url));
test.after(() => rmSync(directory, { recursive: true, force: true }));

const links = () => readdirSync('/sys/class/net').filter((name) => name.startsWith('tl-10-215-'));

test('taken down it is gone at once: the next can have its network', async () => {
  for (let round = 0; round < 2; round++) {
    const place = { directory: join(directory, 'again'), subnet, cacheDir: CACHE };
    const lab = await makeLab({ ...place, isAttached: true, settings: {} });
    const { machine } = await addNode(lab, 'n1');
    assert.is(links().length, 1);
    await removeLab(lab, 'remove');
    assert.equal([isAlive(machine), isAlive(lab.switch), links()], [false, false, []]);
    assert.not(existsSync(place.directory));
  }
});

test('with its maker killed its machines end, and their links with them', async () => {
  const child = spawn(process.execPath, [CHILD, join(directory, 'killed'), subnet]);
  const [said] = (await once(child.stdout, 'data')) as [Buffer];
  const machines = JSON.parse(said.toString()) as ProcessIdentity[];
  assert.is(machines.filter(isAlive).length, 2);
  child.kill('SIGKILL');
  await waitUntil('nothing is left', () => !machines.some(isAlive) && links().length === 0);
});

// What had started the daemon used to stand still with it, and for ever: its machine could then not end.
test('a machine whose daemon was paused and goes on can be taken down', async () => {
  const place = { directory: join(directory, 'paused'), subnet, cacheDir: CACHE };
  const lab = await makeLab({ ...place, isAttached: true, settings: {} });
  const node = await addNode(lab, 'n1');
  await enlist(lab, node);
  await startDaemon(node);
  await pauseDaemon(node);
  assert.ok(await isRunning(node));
  await resumeDaemon(node);
  await waitUntil('it answers again', () => answers(node));
  await removeLab(lab, 'remove');
  assert.equal([isAlive(node.machine), links()], [false, []]);
});

test.run();
