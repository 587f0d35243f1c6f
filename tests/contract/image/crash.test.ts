import { spawn, spawnSync } from 'node:child_process';
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { makeDisks } from './crash-steps.ts';
import { makeRig, scratch, tool, tree, wantedBy } from './rig.ts';
import { makeSamples, sameDisk } from './samples.ts';

const test = suite('image driver killed at every tool run');
const dir = scratch();
const samples = makeSamples(dir);
tool('gzip', '-1', '-k', samples.raw);
const image = `${samples.raw}.gz`;
/** cp, gzip, qemu-img info, convert, info, create; genisoimage. */
const RUNS = 7;

function daemon(home: string, at: number, when: string, trace: string) {
  const child = join(import.meta.dirname, 'crash.child.ts');
  const args = [child, home, image, String(at), when, trace];
  return spawnSync(process.execPath, args, { encoding: 'utf8' });
}

test('this many tools run when nothing happens', () => {
  assert.is(daemon(join(dir, 'calm'), -1, 'never', 'calm').stdout.trim(), String(RUNS));
});

for (const when of ['before', 'during', 'after']) {
  for (let at = 0; at < RUNS; at++) {
    test(`killed ${when} run ${at}, the next daemon finishes, and removal leaves nothing`, async () => {
      const home = join(dir, `${when}-${at}`);
      const trace = `troupe-crash-${process.pid}-${when}-${at}`;
      assert.is(daemon(home, at, when, trace).signal, 'SIGKILL');
      await until(() => running(trace).length === 0, 'the tools died with the daemon');

      const rig = await makeRig(home);
      const { disk, drive } = await makeDisks(rig, image, 'second');
      assert.ok(
        sameDisk(['raw', samples.raw], ['qcow2', rig.driver.layout.replicaImage('b', 'qcow2')]),
      );
      const verdict = await rig.driver.verify('b', new AbortController().signal);
      assert.ok(verdict.isGood);
      tool('qemu-img', 'check', '-q', '-f', 'qcow2', disk.path);
      assert.match(tool('isoinfo', '-d', '-i', drive.path), /config-2/);
      assert.equal(hidden(home), ['blobs/.partial']);

      await rig.driver.removeDisks('i', wantedBy('instance/i'));
      await rig.driver.removeReplica('b', wantedBy('blob/b'));
      assert.equal(tree(home), ['blobs', 'blobs/.partial', 'instances', 'spool']);
      assert.equal(rig.ledger.list(), []);
      await rig.close();
    });
  }
}

test('a tool that has long to go dies with its daemon', async () => {
  const trace = `troupe-crash-${process.pid}-sleeper`;
  const child = join(import.meta.dirname, 'sleeper.child.ts');
  const args = [child, dir, trace];
  const sleeper = spawn(process.execPath, args, { stdio: 'ignore' });
  await until(() => running(trace).some((pid) => nameOf(pid) === 'sleep'), 'the tool runs');
  sleeper.kill('SIGKILL');
  await until(() => running(trace).length === 0, 'the tool died with the daemon');
});

/** Work in progress that is still there. */
function hidden(home: string): string[] {
  return tree(home).filter((path) => /(^|\/)\./.test(path));
}

/** Pids of processes that carry the trace id. */
function running(trace: string): string[] {
  return readdirSync('/proc').filter((pid) => {
    if (!/^\d+$/.test(pid)) return false;
    try {
      return readFileSync(`/proc/${pid}/environ`, 'utf8').includes(`TROUPE_TRACE=${trace}\0`);
    } catch {
      return false;
    }
  });
}

function nameOf(pid: string): string {
  return readFileSync(`/proc/${pid}/comm`, 'utf8').trim();
}

async function until(condition: () => boolean, what: string): Promise<void> {
  const deadline = performance.now() + 5_000;
  while (!condition()) {
    if (performance.now() > deadline) throw new Error(`not in 5 s: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

test.run();
