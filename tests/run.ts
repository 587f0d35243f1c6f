// Runs each *.test.ts under the folders given in a process of its own, two at a time, and closes
// with `N passed, N failed`.
//
// uvu exits 0 when a hook throws or a test throws a non-Error, so a file passes only if its closing
// lines say Passed = Total > 0. Usage: run.ts [--grep TEXT] [--timeout SECONDS] [--serial] FOLDER...
import { spawn } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    grep: { type: 'string', default: '' },
    timeout: { type: 'string', default: '120' },
    serial: { type: 'boolean', default: false },
  },
});
const timeoutMs = Number(values.timeout) * 1000;
const roots = positionals.length > 0 ? positionals : ['tests/unit'];
const files = roots.flatMap(testFiles).filter((file) => file.includes(values.grep));
const sums = { passed: 0, failed: files.length === 0 ? 1 : 0 };

function testFiles(root: string): string[] {
  if (root.endsWith('.test.ts')) return [root];
  return readdirSync(root, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.test.ts'))
    .map((name) => join(root, name))
    .sort();
}

function runFile(file: string): Promise<void> {
  return new Promise((resolve) => {
    const startedAt = performance.now();
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

const queue = files[Symbol.iterator]();
const worker = async () => {
  for (const file of queue) await runFile(file);
};
await Promise.all(values.serial ? [worker()] : [worker(), worker()]);
console.log(`${sums.passed} passed, ${sums.failed} failed`);
process.exitCode = sums.failed === 0 ? 0 : 1;
