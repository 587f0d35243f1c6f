// `troupe-lab`: a cluster on one machine, for trying and for tests.
import { spawn } from 'node:child_process';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { reasonOf } from '../../actors/kernel/errors.ts';
import { isAlive } from '../../src/embedded/process-identity.ts';
import {
  addNode,
  healLinks,
  makeLab,
  nodeOf,
  partition,
  powerOn,
  pullPlug,
  readLab,
  removeLab,
  type Lab,
  type LabNode,
} from './lab.ts';
import { inside } from './machine.ts';
import * as daemon from './node-daemon.ts';

const ROOT = resolve(import.meta.dirname, '../..');
const USAGE = `Usage: troupe-lab COMMAND [--dir PATH]

  up [--nodes N]           make the lab, or add to it until it has N nodes (3), and start what does not run
  down [--keep]            end all of it; --keep leaves the files
  status                   the nodes, their APIs, what does not run
  exec NODE -- COMMAND     run a command on a node; \`troupe\` there is \`npx troupe\`
  partition NODE [OTHER]   cut a node off from all others, or from one
  pause NODE               stop its daemon's process without ending it
  kill NODE [--machine]    kill -9 its daemon; with --machine the whole node, its guests too
  heal [NODE]              cables, paused and killed daemons, lost machines: all work again

The lab is in PATH (default .troupe-lab here), its network is 10.213.0.0/24 (--subnet A.B.C).
`;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    dir: { type: 'string', default: '.troupe-lab' },
    nodes: { type: 'string', default: '3' },
    subnet: { type: 'string', default: '10.213.0' },
    keep: { type: 'boolean', default: false },
    machine: { type: 'boolean', default: false },
    help: { type: 'boolean', short: 'h', default: false },
  },
});
const directory = resolve(process.env['INIT_CWD'] ?? process.cwd(), values.dir);
const say = (text: string) => void process.stdout.write(`${text}\n`);

const COMMANDS: Readonly<Record<string, (words: readonly string[]) => Promise<void>>> = {
  up,
  down: async () => {
    const lab = readLab(directory);
    if (lab === null) return say(`there is no lab in ${directory}`);
    await removeLab(lab, values.keep ? 'keep' : 'remove');
  },
  status: async () => {
    for (const node of theLab().nodes) say(`${node.name}  ${await statusOf(node)}`);
  },
  exec: execute,
  partition: ([name = '', other]) => {
    const lab = theLab();
    const from = other === undefined ? null : nodeOf(lab, other).name;
    return partition(lab, nodeOf(lab, name).name, from);
  },
  pause: ([name = '']) => daemon.pauseDaemon(nodeOf(theLab(), name)),
  kill: ([name = '']) => {
    const node = nodeOf(theLab(), name);
    return values.machine ? pullPlug(node) : daemon.killDaemon(node);
  },
  heal: async ([name]) => {
    const lab = theLab();
    await healLinks(lab);
    for (const node of name === undefined ? lab.nodes : [nodeOf(lab, name)]) await heal(lab, node);
  },
};

async function up(): Promise<void> {
  const lab = await existingOrNew();
  for (const node of lab.nodes) await heal(lab, node);
  while (lab.nodes.length < Number(values.nodes)) {
    const node = await addNode(lab, `n${lab.nodes.length + 1}`);
    await daemon.enlist(lab, node);
    await daemon.startDaemon(node);
    say(`${node.name}  ${await statusOf(node)}`);
  }
}

async function existingOrNew(): Promise<Lab> {
  const found = readLab(directory);
  if (found !== null && isAlive(found.switch)) return found;
  // The computer was started again since: its files are those of another lab.
  if (found !== null) await removeLab(found, 'remove');
  const cacheDir = join(ROOT, '.troupe', 'cache');
  return makeLab({ directory, subnet: values.subnet, isAttached: false, settings: {}, cacheDir });
}

async function heal(lab: Lab, node: LabNode): Promise<void> {
  await powerOn(lab, node);
  if (await daemon.isRunning(node)) return daemon.resumeDaemon(node);
  await daemon.startDaemon(node);
}

async function statusOf(node: LabNode): Promise<string> {
  if (!isAlive(node.machine)) return 'the machine is off';
  if (!(await daemon.isRunning(node))) return 'its daemon does not run';
  const answers = await daemon.answers(node);
  return `${daemon.apiUrlOf(node)}${answers ? '' : ' does not answer'}  ${node.directory}`;
}

/** With this terminal; ends as the command does. */
async function execute([name = '', ...command]: readonly string[]): Promise<void> {
  const node = nodeOf(theLab(), name);
  const words = command.length > 0 ? command : ['bash'];
  const [program = '', ...args] = inside(node.machine, [...daemon.environmentOf(node), ...words]);
  const child = spawn(program, args, { stdio: 'inherit' });
  process.exitCode = await new Promise<number>((done) =>
    child.on('exit', (code) => done(code ?? 1)),
  );
}

function theLab(): Lab {
  const lab = readLab(directory);
  if (lab === null) throw new Error(`there is no lab in ${directory}: make one with troupe-lab up`);
  return lab;
}

const [name = '', ...words] = positionals;
const command = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined;
if (command === undefined || values.help) {
  process.stdout.write(USAGE);
  process.exitCode = values.help ? 0 : 2;
} else {
  try {
    await command(words);
  } catch (error) {
    process.stderr.write(`troupe-lab: ${reasonOf(error)}\n`);
    process.exitCode = 1;
  }
}
