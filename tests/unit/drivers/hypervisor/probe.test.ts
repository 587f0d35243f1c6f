import { rejects } from 'node:assert/strict';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { TroupeError } from '../../../../actors/kernel/errors.ts';
import type { Exec } from '../../../../src/drivers/exec.ts';
import { probe, type ProbeOptions } from '../../../../src/drivers/hypervisor/probe.ts';

type Outcome = 'works' | 'aborts' | 'hangs' | 'silent';

const test = suite('hypervisor: probe');
const MARKER = 'troupe-probe: user space reached on some CPU\n';
let folder: string;

test.before.each(() => {
  folder = mkdtempSync(join(tmpdir(), 'troupe-probe-'));
  writeFileSync(join(folder, 'kvm'), '');
});
test.after.each(() => rmSync(folder, { recursive: true, force: true }));

/** A QEMU whose guests fare as told by accelerator and CPU; `calls` lists the boots in order. */
function machine(outcome: (accelerator: string, cpu: string) => Outcome, version = '7.2.22') {
  const calls: string[] = [];
  const exec: Exec = async (program, args) => {
    if (args.includes('--version')) return done(`QEMU emulator version ${version} (Debian)\n`);
    const accelerator = /accel=(\w+)/.exec(args.join(' '))?.[1] ?? '';
    const cpu = args[args.indexOf('-cpu') + 1] ?? '';
    calls.push(`${accelerator} ${cpu}`);
    switch (outcome(accelerator, cpu)) {
      case 'works':
        return done(MARKER);
      case 'silent':
        return done('Kernel panic\n');
      case 'hangs':
        throw new TroupeError('host/timeout', 'did not end in time');
      case 'aborts':
        throw new TroupeError(
          'host/tool-failed',
          `${program}: ended with 134: x\nassertion failed`,
        );
    }
  };
  return { exec, calls };
}

function done(stdout: string) {
  return { stdout, stderr: '', code: 0 };
}

function options(exec: Exec, change: Partial<ProbeOptions> = {}): ProbeOptions {
  return {
    exec,
    log: () => undefined,
    kernel: '/probe/vmlinuz',
    initrd: '/probe/initrd',
    cacheFile: join(folder, 'probed.json'),
    trace: 'test',
    kvmDevice: join(folder, 'kvm'),
    ...change,
  };
}

test('KVM with the host CPU is taken when it works, without a word of warning', async () => {
  const { exec, calls } = machine(() => 'works');
  const found = await probe(options(exec));
  assert.equal(found, {
    accelerator: 'kvm',
    cpuModel: 'host',
    warning: null,
    qemuVersion: '7.2.22',
  });
  assert.equal(calls, ['kvm host']);
});

test('a CPU model that aborts QEMU is passed over for the next one', async () => {
  const { exec } = machine((_, cpu) => (cpu === 'host' || cpu === 'max' ? 'aborts' : 'works'));
  const { accelerator, cpuModel, warning } = await probe(options(exec));
  assert.equal(
    { accelerator, cpuModel, warning },
    {
      accelerator: 'kvm',
      cpuModel: 'Nehalem',
      warning: null,
    },
  );
});

test('KVM that hangs is given up at once, for TCG with a warning (B2)', async () => {
  const { exec, calls } = machine((accelerator) => (accelerator === 'kvm' ? 'hangs' : 'works'));
  const { accelerator, cpuModel, warning } = await probe(options(exec));
  assert.equal({ accelerator, cpuModel }, { accelerator: 'tcg', cpuModel: 'max' });
  assert.match(warning ?? '', /KVM does not run a guest to user space.*in time/);
  assert.equal(calls, ['kvm host', 'tcg max']);
});

test('a QEMU that ends well without the word from user space does not count (B1)', async () => {
  const { exec } = machine((accelerator) => (accelerator === 'kvm' ? 'silent' : 'works'));
  assert.is((await probe(options(exec))).accelerator, 'tcg');
});

test('a machine without /dev/kvm gets TCG with advice of its own', async () => {
  const { exec, calls } = machine(() => 'works');
  const found = await probe(options(exec, { kvmDevice: join(folder, 'nothing') }));
  assert.match(found.warning ?? '', /no \/dev\/kvm.*nested/);
  assert.equal(calls, ['tcg max']);
});

test('the answer is remembered, and asked again for another QEMU or a changed /dev/kvm (B3)', async () => {
  const first = machine(() => 'works');
  await probe(options(first.exec));
  const again = machine(() => 'hangs');
  assert.is((await probe(options(again.exec))).cpuModel, 'host');
  assert.equal(again.calls, []);
  const newer = machine(() => 'works', '9.0.0');
  await probe(options(newer.exec));
  assert.is(newer.calls.length, 1);
  const without = machine(() => 'works', '9.0.0');
  await probe(options(without.exec, { kvmDevice: join(folder, 'nothing') }));
  assert.is(without.calls.length, 1);
});

test('a hang on a machine too busy to tell is not remembered (B3)', async () => {
  const { exec } = machine((accelerator) => (accelerator === 'kvm' ? 'hangs' : 'works'));
  // TCG cannot be faster than no time at all.
  await probe(options(exec, { kvmTimeoutMs: 0 }));
  assert.not(existsSync(join(folder, 'probed.json')));
});

test('a damaged answer on disk is no answer (K1)', async () => {
  const cacheFile = join(folder, 'probed.json');
  const { exec, calls } = machine(() => 'works');
  await probe(options(exec));
  for (const text of ['', '{', '[]', readFileSync(cacheFile, 'utf8').replace('"kvm"', '"magic"')]) {
    writeFileSync(cacheFile, text);
    assert.is((await probe(options(exec))).accelerator, 'kvm');
  }
  assert.is(calls.length, 5);
});

test('without QEMU the error says what is missing', async () => {
  const exec: Exec = () => Promise.reject(new TroupeError('host/tool-missing', 'no qemu'));
  await rejects(probe(options(exec)), { code: 'host/tool-missing' });
});

test('when nothing works each reason is told, and nothing is remembered', async () => {
  const { exec } = machine((_, cpu) => (cpu === 'qemu64' ? 'silent' : 'aborts'));
  await rejects(probe(options(exec)), (error: unknown) => {
    assert.instance(error, TroupeError);
    assert.match(String(error), /kvm with CPU host: assertion failed;.*tcg with CPU max/);
    return true;
  });
  assert.not(existsSync(join(folder, 'probed.json')));
});

test.run();
