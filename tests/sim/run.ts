// Simulates clusters, seed after seed, and says what was kept and what was broken.
//
// npm run sim -- [--seed N] [--seeds COUNT] [--nodes N] [--steps N] [--trace]
// npm run sim -- --bugs [--bug NAME] [--seeds MOST]     how many seeds each bug takes that is put back
//
// Exit code 0: every promise was kept (with --bugs: every bug was found); 1: not; 2: usage.
import { parseArgs } from 'node:util';
import { BUGS, type Bug } from './cluster/bugs.ts';
import { simulate, type RunReport } from './cluster/simulation.ts';

const OPTIONS = {
  seed: { type: 'string', default: '1' },
  seeds: { type: 'string' },
  nodes: { type: 'string', default: '3' },
  steps: { type: 'string', default: '120' },
  trace: { type: 'boolean', default: false },
  bugs: { type: 'boolean', default: false },
  bug: { type: 'string' },
} as const;
/** Seeds that are tried for a bug before it counts as not found. */
const MOST_SEEDS = 100;

interface Size {
  readonly seed: number;
  readonly nodes: number;
  readonly steps: number;
}

function usage(problem: string): never {
  console.error(`${problem}
usage: npm run sim -- [--seed N] [--seeds COUNT] [--nodes N] [--steps N] [--trace]
       npm run sim -- --bugs [--bug NAME] [--seeds MOST]
bugs: ${BUGS.map((make) => make().name).join(', ')}`);
  process.exit(2);
}

function whole(name: keyof typeof OPTIONS, text: string): number {
  const value = Number(text);
  if (Number.isInteger(value) && value > 0) return value;
  return usage(`--${name} takes a whole number above 0, found ${text}`);
}

function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(1)} s`;
}

function line(report: RunReport, tookMs: number): string {
  const { seed, digest, virtualMs, requests, revisions, faults, ends } = report;
  const struck = [...faults.values()].reduce((sum, count) => sum + count, 0);
  const instances = [...ends].map(([phase, count]) => `${count} ${phase}`).join(', ');
  const asked = `${requests.acknowledged} of ${requests.asked} requests acknowledged`;
  const verdict = report.violations.length === 0 ? 'kept' : 'BROKEN';
  return `${verdict}  seed ${seed}  ${digest}  ${seconds(virtualMs)} virtual in ${seconds(tookMs)}: ${struck} faults, ${asked}, ${revisions} revisions; instances: ${instances || 'none'}`;
}

function explainBroken(report: RunReport, { nodes, steps }: Size, bug: Bug | null): void {
  for (const { promise, object, text, atMs } of report.violations)
    console.log(`  promise ${promise}, ${object}, at ${seconds(atMs)}: ${text}`);
  for (const detail of report.explanation) console.log(`    ${detail}`);
  const what = bug === null ? '' : ` --bugs --bug ${bug.name}`;
  const size = `--nodes ${nodes} --steps ${steps}`;
  console.log(`  replay: npm run sim -- --seed ${report.seed} ${size}${what} --trace`);
}

async function runOne(size: Size, bug: Bug | null, isTraced: boolean): Promise<RunReport> {
  const startedAt = performance.now();
  const print = isTraced ? { print: (text: string) => console.log(text) } : {};
  const report = await simulate({ ...size, bug, ...print });
  console.log(line(report, performance.now() - startedAt));
  if (report.violations.length > 0) explainBroken(report, size, bug);
  for (const error of report.errors) console.log(`  logged: ${error}`);
  return report;
}

async function runSeeds(size: Size, count: number, isTraced: boolean): Promise<boolean> {
  const startedAt = performance.now();
  const broken: number[] = [];
  for (let seed = size.seed; seed < size.seed + count; seed++) {
    const { violations } = await runOne({ ...size, seed }, null, isTraced);
    if (violations.length > 0) broken.push(seed);
  }
  const each = seconds((performance.now() - startedAt) / count);
  console.log(
    `${count} seeds, ${broken.length} broken (${broken.join(', ') || 'none'}), ${each} each`,
  );
  return broken.length === 0;
}

/** Prints how many seeds it takes to find each. */
async function findBugs(size: Size, most: number, only: string | undefined): Promise<boolean> {
  const chosen = BUGS.filter((make) => only === undefined || make().name === only);
  if (chosen.length === 0) usage(`there is no bug ${only}`);
  let areAllFound = true;
  for (const make of chosen) {
    const startedAt = performance.now();
    const { name, what } = make();
    const first = await firstFound(size, most, make);
    const took = seconds(performance.now() - startedAt);
    areAllFound &&= first !== null;
    if (first === null) console.log(`NOT FOUND  ${name} in ${most} seeds, ${took}: ${what}`);
    else {
      const [violation] = first.violations;
      const tries = first.seed - size.seed + 1;
      console.log(`found      ${name} at the ${tries}. seed, ${took}: ${what}`);
      console.log(
        `           promise ${violation?.promise}, ${violation?.object}: ${violation?.text}`,
      );
    }
  }
  return areAllFound;
}

async function firstFound(size: Size, most: number, make: () => Bug): Promise<RunReport | null> {
  for (let seed = size.seed; seed < size.seed + most; seed++) {
    const report = await simulate({ ...size, seed, bug: make() });
    if (report.violations.length > 0) return report;
  }
  return null;
}

async function main(): Promise<boolean> {
  const { values } = parseArgs({ options: OPTIONS });
  const size = {
    seed: whole('seed', values.seed),
    nodes: whole('nodes', values.nodes),
    steps: whole('steps', values.steps),
  };
  if (values.bugs && values.trace && values.bug !== undefined) {
    const make = BUGS.find((one) => one().name === values.bug);
    if (make === undefined) usage(`there is no bug ${values.bug}`);
    return (await runOne(size, make(), true)).violations.length === 0;
  }
  if (values.bugs)
    return await findBugs(size, whole('seeds', values.seeds ?? String(MOST_SEEDS)), values.bug);
  return await runSeeds(size, whole('seeds', values.seeds ?? '1'), values.trace);
}

process.exitCode = (await main()) ? 0 : 1;
