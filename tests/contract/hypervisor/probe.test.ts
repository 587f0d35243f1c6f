// The probe on this very machine, with the tiny guest of deploy/guest and QEMU itself.
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { exec, type Exec } from '../../../src/drivers/exec.ts';
import { probe } from '../../../src/drivers/hypervisor/probe.ts';

const run = promisify(execFile);
const test = suite('hypervisor: probe of this machine');
const folder = mkdtempSync(join(tmpdir(), `troupe-hyp-${process.pid}-`));
/** Two attempts with a hanging KVM, two with TCG on a busy machine. */
const LIMIT_MS = 60_000;

test.before(async () => {
  await run('sh', [join(import.meta.dirname, '../../../deploy/guest/build-probe.sh'), folder]);
});
test.after(() => rmSync(folder, { recursive: true, force: true }));

test('a way to run guests is found in bounded time, and remembered', async () => {
  let boots = 0;
  const counting: Exec = (program, args, options) => {
    if (args.includes('-kernel')) boots++;
    return exec(program, args, options);
  };
  const options = {
    exec: counting,
    log: () => undefined,
    kernel: join(folder, 'vmlinuz'),
    initrd: join(folder, 'initrd'),
    cacheFile: join(folder, 'probe.json'),
    trace: 'contract',
  };
  const startedAt = performance.now();
  const found = await probe(options);
  assert.ok(performance.now() - startedAt < LIMIT_MS);
  assert.is(found.warning === null, found.accelerator === 'kvm');
  assert.match(found.qemuVersion, /^\d+\.\d+/);
  const bootsOnce = boots;
  assert.ok(bootsOnce > 0);
  assert.equal(await probe(options), found);
  assert.is(boots, bootsOnce);
});

test('TCG is what remains without /dev/kvm', async () => {
  const found = await probe({
    exec,
    log: () => undefined,
    kernel: join(folder, 'vmlinuz'),
    initrd: join(folder, 'initrd'),
    cacheFile: join(folder, 'probe-tcg.json'),
    trace: 'contract',
    kvmDevice: join(folder, 'no-kvm'),
  });
  assert.is(found.accelerator, 'tcg');
  assert.match(found.warning ?? '', /no \/dev\/kvm/);
});

test('a kernel that is none ends in a reason, not in a wait', async () => {
  const broken = probe({
    exec,
    log: () => undefined,
    kernel: join(folder, 'initrd.inputs'),
    initrd: join(folder, 'initrd'),
    cacheFile: join(folder, 'probe-broken.json'),
    trace: 'contract',
    kvmDevice: join(folder, 'no-kvm'),
  });
  const reason = await broken.then(String, String);
  assert.match(reason, /no guest reached user space.*tcg with CPU max/);
});

test.run();
