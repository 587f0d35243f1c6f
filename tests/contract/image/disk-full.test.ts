import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { scratch, tool } from './rig.ts';
import { MIB } from './samples.ts';

const test = suite('image driver on a full disk');
const dir = scratch();
const mountPoint = join(dir, 'small');
mkdirSync(mountPoint);

/** An unprivileged run cannot mount a small disk; nothing else makes one really full. */
const mayMount = spawnSync('unshare', ['-m', 'true']).status === 0;

interface Outcome {
  readonly work: string;
  readonly code: string;
  readonly message: string;
  readonly left: readonly string[];
}

test('each kind of work says so in one sentence and leaves nothing', () => {
  assert.ok(mayMount, 'this test needs the right to mount (root)');
  writeFileSync(join(dir, 'large.raw'), randomBytes(16 * MIB));
  writeFileSync(join(dir, 'medium.raw'), randomBytes(8 * MIB));
  writeFileSync(join(dir, 'bomb.raw'), Buffer.alloc(64 * MIB));
  tool('gzip', '-1', join(dir, 'bomb.raw'));
  const child = join(import.meta.dirname, 'disk-full.child.ts');
  const args = ['-m', '--propagation', 'private', process.execPath, child, mountPoint, dir];
  const outcomes = JSON.parse(execFileSync('unshare', args, { encoding: 'utf8' })) as Outcome[];
  const works = outcomes.map(({ work }) => work);
  assert.equal(works, [
    'download of announced length',
    'download of unknown length',
    'copy',
    'conversion',
    'unpacking',
    'copy from a peer',
    'config drive',
    'disk',
    'disk once there is room',
  ]);
  for (const { work, code, message, left } of outcomes.slice(0, -1)) {
    assert.is(code, 'host/disk-full', `${work}: ${message}`);
    // The ledger is on the same disk, and says so in its own words when it is the first to notice.
    assert.match(
      message,
      /^the (disk that holds|ledger) \S+ .*(is full|MiB free).*; .*free (some )?space/,
    );
    assert.equal(
      left.filter((path) => !path.endsWith('/x6')),
      [],
      work,
    );
  }
  assert.is(outcomes.at(-1)?.code, 'done');
});

test.run();
