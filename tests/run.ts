// Runs each *.test.ts under the folders given in a process of its own and closes with
// `N passed, N failed`.
//
// R1  uvu exits 0 when a hook throws or a test throws a non-Error, so a file passes only if its
//     closing lines say Passed = Total > 0.
// R2  Two files at a time, but only one that starts virtual machines or daemons (HEAVY): two of
//     those on two cores miss deadlines that say nothing about the code. Those that wait more than they
//     compute (PATIENT) go beside them, first: the two lanes are to end at the same time.
// R3  A folder that does not exist yet has no tests; nothing to run at all is a failure.
//
// Usage: run.ts [--grep TEXT] [--timeout SECONDS] [--serial] [--failed N] FOLDER...
// --failed adds N failures from elsewhere (npm test: the checks) to the closing count.
import { spawn } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    grep: { type: 'string', default: '' },
    timeout: { type: 'string' },
    serial: { type: 'boolean', default: false },
    failed: { type: 'string', default: '0' },
  },
});

/** Folders whose tests start virtual machines or whole daemons. */
const HEAVY = /^tests\/(lab|contract\/(embedded|guest|hypervisor|image|libvirt|tour))\//;
/** Kill and start one daemon, or wait for one guest or for slow lines, over minutes. */
const PATIENT = [
  'tests/lab/crash-points.test.ts',
  'tests/lab/early-stop.test.ts',
  'tests/lab/origins.test.ts',
  'tests/lab/swarm.test.ts',
  'tests/contract/hypervisor/faults.test.ts',
  'tests/contract/hypervisor/guest.test.ts',
];
const DEFAULT_TIMEOUT_S = { light: 240, heavy: 300, lab: 600 };

const roots = positionals.length > 0 ? positionals : ['tests/unit'];
const files = roots.flatMap(testFiles).filter((file) => file.includes(values.grep));
const sums = { passed: 0, failed: Number(values.failed) + (files.length === 0 ? 1 : 0) };

function isHeavy(file: string): boolean {
  return HEAVY.test(file) && !PATIENT.includes(file);
}

function timeoutMsOf(file: string): number {
  if (values.timeout !== undefined) return Number(values.timeout) * 1000;
  if (file.startsWith('tests/lab/')) return DEFAULT_TIMEOUT_S.lab * 1000;
  return (HEAVY.test(file) ? DEFAULT_TIMEOUT_S.heavy : DEFAULT_TIMEOUT_S.light) * 1000;
}

function testFiles(root: string): string[] {
  if (root.endsWith('.test.ts')) return [root];
  if (!existsSync(root)) return [];
  return readdirSync(root, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.test.ts'))
    .map((name) => join(root, name))
    .sort();
}

function runFile(file: string): Promise<void> {
  return new Promise((resolve) => {
    const startedAt = performance.now();
    const timeoutMs = timeoutMsOf(file);
    const child = spawn(process.execPath, [file], { timeout: timeoutMs, killSignal: 'SIGTERM' });
    const killer = setTimeout(() => child.kill('SIGKILL'), timeoutMs + 10_000);
    let output = '';
    child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()));
    child.stderr.on('data', (chunk: Buffer) => (output += chunk.toString()));
    child.on('close', (code) => {
      clearTimeout(killer);
      const seconds = ((performance.now() - startedAt) / 1000).toFixed(1);
      report(file, code, output, seconds);
      resolve();
    });
  });
}

function report(file: string, code: number | null, output: string, seconds: string): void {
  const count = (label: string) => Number(new RegExp(`${label}:\\s+(\\d+)`).exec(output)?.[1] ?? 0);
  const [total, passed] = [count('Total'), count('Passed')];
  const ok = code === 0 && total > 0 && passed === total;
  sums.passed += passed;
  sums.failed += ok ? 0 : Math.max(1, total - passed);
  if (ok) console.log(`ok    ${file}  ${passed} in ${seconds} s`);
  else
    console.log(`\nFAIL  ${file} (exit ${code ?? `none: killed after ${seconds} s`})\n${output}`);
}

const light = files.filter((file) => !isHeavy(file));
const queue = light
  .sort((a, b) => Number(PATIENT.includes(b)) - Number(PATIENT.includes(a)))
  .values();
const heavyQueue = files.filter(isHeavy)[Symbol.iterator]();
const worker = async () => {
  for (const file of queue) await runFile(file);
};
const heavyWorker = async () => {
  for (const file of heavyQueue) await runFile(file);
  await worker();
};
if (values.serial) await heavyWorker();
else await Promise.all([worker(), heavyWorker()]);
console.log(`${sums.passed} passed, ${sums.failed} failed`);
process.exitCode = sums.failed === 0 ? 0 : 1;
