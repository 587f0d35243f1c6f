// `npm start -- --nodes N`: a lab of N hypervisors in the foreground, the tour across it, gone again with Ctrl-C.
import { once } from 'node:events';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { reasonOf, TroupeError } from '../../actors/kernel/errors.ts';
import { isAlive } from '../../src/embedded/process-identity.ts';
import { Progress } from '../../src/tour/progress.ts';
import { addNode, makeLab, readLab, removeLab, type Lab } from './lab.ts';
import { apiUrlOf, enlist, startDaemon } from './node-daemon.ts';
import { takeLabTour } from './tour.ts';

const ROOT = resolve(import.meta.dirname, '../..');
const MOST_NODES = 16;

const { values } = parseArgs({
  options: {
    nodes: { type: 'string', default: '3' },
    dir: { type: 'string', default: join(ROOT, '.troupe-lab') },
    subnet: { type: 'string', default: '10.213.0' },
    'tour-only': { type: 'boolean', default: false },
    'no-tour': { type: 'boolean', default: false },
  },
});

const stopping = new AbortController();
const { signal: stop } = stopping;
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.on(signal, () => {
    // The second time nothing is waited for: the machines end with this process.
    if (stop.aborted) process.exit(1);
    stopping.abort(new TroupeError('actor/stopped', 'called off'));
  });
}

const progress = new Progress(process.stdout, stop);
process.exitCode = await run();
process.exit();

async function run(): Promise<number> {
  let lab: Lab | null = null;
  try {
    lab = await progress.phase('switch', () => emptyLab());
    await addNodes(lab, nodeCount());
    if (!values['no-tour']) {
      progress.line('\nThe tour: a guest on every node, on one virtual network');
      await takeLabTour({ lab, progress, stop });
    }
    if (!values['tour-only']) {
      progress.line(farewell(lab));
      if (!stop.aborted) await once(stop, 'abort');
    }
    return 0;
  } catch (error) {
    if (stop.aborted) return 0;
    process.stderr.write(`\ntroupe: ${reasonOf(error)}\n`);
    return 1;
  } finally {
    progress.line('\nStopping …');
    if (lab !== null) await removeLab(lab, 'remove');
  }
}

async function addNodes(lab: Lab, count: number): Promise<void> {
  for (let number = 1; number <= count; number++) {
    stop.throwIfAborted();
    const name = `n${number}`;
    await progress.phase(
      name,
      async () => {
        const node = await addNode(lab, name);
        await enlist(lab, node);
        await startDaemon(node, stop);
        return node;
      },
      (node) => `API at ${apiUrlOf(node)}`,
    );
  }
}

function nodeCount(): number {
  const count = Number(values.nodes);
  if (Number.isInteger(count) && count >= 1 && count <= MOST_NODES) return count;
  const found = JSON.stringify(values.nodes);
  throw new TroupeError('config/invalid', `--nodes: expected 1 to ${MOST_NODES}; found ${found}`);
}

async function emptyLab(): Promise<Lab> {
  const { dir: directory, subnet } = values;
  const before = readLab(directory);
  if (before !== null && isAlive(before.switch)) {
    const message = `a lab runs in ${directory} already: end it with \`npx troupe-lab down\`, or give this one another --dir and --subnet`;
    throw new TroupeError('host/locked', message);
  }
  if (before !== null) await removeLab(before, 'remove');
  const cacheDir = join(ROOT, '.troupe', 'cache');
  return makeLab({ directory, subnet, isAttached: true, settings: {}, cacheDir });
}

function farewell(lab: Lab): string {
  const flag = lab.directory === join(ROOT, '.troupe-lab') ? '' : ` --dir ${lab.directory}`;
  const [first] = lab.nodes;
  const last = lab.nodes.at(-1)?.name ?? '';
  const login = first === undefined ? '' : `TROUPE_LOGIN=${join(first.directory, 'login.json')} `;
  return `
Next, in another terminal:
  ${login}npx troupe instance list
  npx troupe-lab${flag} status
  npx troupe-lab${flag} exec ${last} -- ip -d link
  npx troupe-lab${flag} kill ${last} --machine
  npx troupe-lab${flag} heal

Press Ctrl-C to stop: the lab and all that is in it go.`;
}
