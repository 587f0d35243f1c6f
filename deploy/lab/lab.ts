// A cluster on one machine: hypervisors that are namespaces, joined by a switch that stands for the physical network.
//
// L1  A node is set up as an operator would: `troupe cluster init` on the first, invitations for the others.
// L2  What the lab is stands in lab.json in its directory, written before a machine is used: `down` finds all of it, also
//     after its maker was killed. An attached lab ends with its maker.
// L3  On the machine itself there is one link, to the switch, with the last address of the lab's network: from there
//     the nodes' APIs and consoles are reached. It goes with the switch.
import { cpSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { addSettings, type Settings } from '../../src/cluster/settings-file.ts';
import { buildProbe } from '../../src/daemon/guest-images.ts';
import { exec } from '../../src/drivers/exec.ts';
import { isAlive } from '../../src/embedded/process-identity.ts';
import { runIn, startMachine, stopMachine, type Machine } from './machine.ts';

export interface LabNode {
  readonly name: string;
  readonly address: string;
  /** Its data directory. */
  readonly directory: string;
  machine: Machine;
}

export interface Lab {
  readonly directory: string;
  /** First three bytes of the lab's addresses. */
  readonly subnet: string;
  readonly isAttached: boolean;
  /** Of every node. */
  readonly settings: Settings;
  readonly switch: Machine;
  readonly nodes: LabNode[];
}

export interface LabOptions {
  readonly directory: string;
  readonly subnet: string;
  /** Ends with this process. */
  readonly isAttached: boolean;
  readonly settings: Settings;
  /** Debian's packages for the guests: nodes have no way out to fetch them. Default: in the lab's directory. */
  readonly cacheDir?: string;
}

const TRACE = 'lab';
const FIRST_HOST = 11;

/** The outside world, as seen from the lab: its gateway and DNS. */
export function gatewayOf({ subnet }: Pick<Lab, 'subnet'>): string {
  return `${subnet}.1`;
}

/** A lab without nodes. */
export async function makeLab(options: LabOptions): Promise<Lab> {
  const { directory, subnet, isAttached } = options;
  const guests = { dataDir: directory, cacheDir: options.cacheDir ?? join(directory, 'cache') };
  mkdirSync(directory, { recursive: true });
  await buildProbe(guests, TRACE);
  const machine = await startMachine({ name: 'switch', isAttached });
  const settings = { 'cache-dir': guests.cacheDir, ...options.settings };
  const lab: Lab = { directory, subnet, isAttached, settings, switch: machine, nodes: [] };
  save(lab);
  const link = linkOf(lab);
  await runIn(machine, ['ip', 'link', 'add', 'br0', 'type', 'bridge']);
  await runIn(machine, ['ip', 'address', 'add', `${gatewayOf(lab)}/24`, 'dev', 'br0']);
  await runIn(machine, ['ip', 'link', 'set', 'br0', 'up']);
  await ip(`link add ${link} type veth peer name host netns ${machine.pid}`);
  await ip(`address add ${subnet}.254/24 dev ${link}`);
  await ip(`link set ${link} up`);
  await plugIn(lab, 'host');
  return lab;
}

/** On the machine itself. */
function linkOf({ subnet }: Pick<Lab, 'subnet'>): string {
  return `tl-${subnet.replaceAll('.', '-')}`;
}

async function ip(words: string): Promise<void> {
  await exec('ip', words.split(' '), { trace: TRACE });
}

async function plugIn(lab: Lab, port: string): Promise<void> {
  await runIn(lab.switch, ['ip', 'link', 'set', port, 'master', 'br0', 'up']);
}

/** A machine more, with its settings, that runs nothing yet. */
export async function addNode(lab: Lab, name: string): Promise<LabNode> {
  const address = `${lab.subnet}.${FIRST_HOST + lab.nodes.length}`;
  const directory = join(lab.directory, name);
  cpSync(join(lab.directory, 'guest'), join(directory, 'guest'), { recursive: true });
  const machine = await startMachine({ name, isAttached: lab.isAttached });
  const node: LabNode = { name, address, directory, machine };
  lab.nodes.push(node);
  save(lab);
  await connect(lab, node);
  addSettings(directory, {
    tour: 'never',
    'api-address': address,
    'console-address': address,
    'vdi-address': address,
    'upstream-dns': gatewayOf(lab),
    ...lab.settings,
  });
  return node;
}

/** Its cable to the switch. */
async function connect(lab: Lab, { name, address, machine }: LabNode): Promise<void> {
  const cable = `link add ${name} type veth peer name eth0 netns ${machine.pid}`;
  // Both ends are named from the machine that runs this: the switch has a PID namespace of its own.
  const inSwitch = ['nsenter', '-t', String(lab.switch.pid), '-n', '--', 'ip', ...cable.split(' ')];
  await exec('nsenter', inSwitch.slice(1), { trace: TRACE });
  await plugIn(lab, name);
  await runIn(machine, ['ip', 'address', 'add', `${address}/24`, 'dev', 'eth0']);
  await runIn(machine, ['ip', 'link', 'set', 'eth0', 'up']);
  await runIn(machine, ['ip', 'route', 'add', 'default', 'via', gatewayOf(lab)]);
}

/** A machine whose plug was pulled gets power again; nothing runs on it yet. */
export async function powerOn(lab: Lab, node: LabNode): Promise<void> {
  if (isAlive(node.machine)) return;
  node.machine = await startMachine({ name: node.name, isAttached: lab.isAttached });
  save(lab);
  await connect(lab, node);
}

/** The node is lost with all that it runs. */
export async function pullPlug(node: LabNode): Promise<void> {
  await stopMachine(node.machine);
}

/** Cuts a node off from every other, or from one; it is still reached from outside the lab. */
export async function partition(lab: Lab, name: string, from: string | null): Promise<void> {
  const others = from === null ? lab.nodes.map((node) => node.name) : [from];
  const pairs = others
    .filter((other) => other !== name)
    .flatMap((other) => [
      `add rule bridge lab cut iifname "${name}" oifname "${other}" drop`,
      `add rule bridge lab cut iifname "${other}" oifname "${name}" drop`,
    ]);
  const rules = [
    'add table bridge lab',
    'add chain bridge lab cut { type filter hook forward priority 0; }',
    ...pairs,
  ];
  await runIn(lab.switch, ['nft', '-f', '-'], { input: `${rules.join('\n')}\n` });
}

/** All cables work again. */
export async function healLinks(lab: Lab): Promise<void> {
  const rules = 'add table bridge lab\ndelete table bridge lab\n';
  await runIn(lab.switch, ['nft', '-f', '-'], { input: rules });
}

export function nodeOf(lab: Lab, name: string): LabNode {
  const found = lab.nodes.find((node) => node.name === name);
  if (found !== undefined) return found;
  const known = lab.nodes.map((node) => node.name).join(', ');
  throw new Error(`there is no node ${name} in this lab; there are ${known}`);
}

/** Ends everything; `files` too, unless they are kept. */
export async function removeLab(lab: Lab, files: 'remove' | 'keep'): Promise<void> {
  await Promise.all(lab.nodes.map(({ machine }) => stopMachine(machine)));
  // The kernel takes down a switch's links some time after its end: who starts again at once would find this one there.
  await exec('ip', ['link', 'delete', linkOf(lab)], { trace: TRACE, okCodes: [0, 1] });
  await stopMachine(lab.switch);
  if (files === 'remove') rmSync(lab.directory, { recursive: true, force: true });
  else rmSync(stateFile(lab.directory), { force: true });
}

/** Null: there is none. */
export function readLab(directory: string): Lab | null {
  try {
    return JSON.parse(readFileSync(stateFile(directory), 'utf8')) as Lab;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw error;
  }
}

function stateFile(directory: string): string {
  return join(directory, 'lab.json');
}

function save(lab: Lab): void {
  const path = stateFile(lab.directory);
  writeFileSync(`${path}.new`, `${JSON.stringify(lab, null, 2)}\n`, { flush: true });
  renameSync(`${path}.new`, path);
}
