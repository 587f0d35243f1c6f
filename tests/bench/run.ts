// npm run bench: every *.bench.ts here, each in a process of its own, ours against a floor measured in the same run.
//
// The machine's speed drifts; the ratio is what counts. Usage: run.ts [TEXT]: only files whose name contains it.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Row } from './row.ts';

const HERE = import.meta.dirname;
const ONE = '--one';

if (process.argv[2] === ONE) await runOne(process.argv[3] ?? '');
else await runAll(process.argv[2] ?? '');

async function runAll(text: string): Promise<void> {
  const files = readdirSync(HERE).filter(
    (name) => name.endsWith('.bench.ts') && name.includes(text),
  );
  for (const file of files) {
    console.log(`\n${file}`);
    const child = spawn(process.execPath, [import.meta.filename, ONE, file], { stdio: 'inherit' });
    const [code] = (await once(child, 'close')) as [number | null];
    if (code !== 0) process.exitCode = 1;
  }
}

async function runOne(file: string): Promise<void> {
  const { bench } = (await import(join(HERE, file))) as {
    readonly bench: (report: (row: Row) => void) => Promise<void>;
  };
  await bench(show);
}

function show({ name, ours, floor, unit }: Row): void {
  const ratio = floor === 0 ? '' : `${(ours / floor).toFixed(2)} x`;
  const figures = `${format(ours)} / ${format(floor)} ${unit}`;
  console.log(`  ${name.padEnd(52)} ${figures.padStart(28)}  ${ratio}`);
}

function format(figure: number): string {
  if (figure >= 100) return figure.toFixed(0);
  return figure.toPrecision(3);
}
