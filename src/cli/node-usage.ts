// `troupe node resources` and `node cpuhogs`: what the machines have left, and which processes use much.
import type { Client, View } from '../client/client.ts';
import type { Call, Command } from './command.ts';
import { usageError } from './failure.ts';
import { segment } from './object-path.ts';
import { jsonText } from './screen-text.ts';
import { isView, table, text, type Column } from './table.ts';

const RESOURCE_COLUMNS: readonly Column<View>[] = [
  ['NAME', (one) => text(one, 'name')],
  ['VCPUS LEFT', (one) => text(one, 'cpu_available')],
  ['LOAD', (one) => text(one, 'cpu_load_1')],
  ['MEMORY LEFT', (one) => `${text(one, 'ram_available')} MiB`],
  ['LARGEST', (one) => `${text(one, 'ram_max_per_instance')} MiB`],
  ['DISK LEFT', (one) => `${text(one, 'disk_available')} GiB`],
  ['INSTANCES', (one) => `${text(one, 'instances_active')} of ${text(one, 'instances_total')} on`],
];

const resources: Command = {
  name: 'node resources',
  summary: 'Show what the machines have left for instances',
  args: [],
  flags: {},
  examples: ['troupe node resources'],
  notes:
    'LARGEST is the memory of the largest instance that fits now. For the system namespace only.',
  run: async (call) => {
    const found = await call.client().view('GET', '/admin/resources');
    if (call.flags.is('json')) return call.print(`${jsonText(found)}\n`);
    const perNode = isView(found['per_node']) ? found['per_node'] : {};
    const rows = Object.entries(perNode).map(([name, row]) => ({ ...(row as View), name }));
    return call.print(table(rows, RESOURCE_COLUMNS));
  },
};

/** What the contract calls much. */
const MUCH = 0.25;

interface Hog {
  readonly node: string;
  readonly program: string;
  readonly fraction: number;
}

const HOG_COLUMNS: readonly Column<Hog>[] = [
  ['NODE', ({ node }) => node],
  ['PROCESS', ({ program }) => program],
  ['CPUS', ({ fraction }) => fraction.toFixed(2)],
];

const cpuhogs: Command = {
  name: 'node cpuhogs',
  summary: 'Show processes of the service that use much of a processor',
  args: ['[NODE]'],
  flags: {
    threshold: {
      type: 'string',
      value: 'SHARE',
      help: `of one processor, over the life of the process (default ${MUCH})`,
    },
  },
  examples: ['troupe node cpuhogs', 'troupe node cpuhogs n2 --threshold 0.1'],
  notes: 'Guests are not among them. For the system namespace only.',
  run: async (call) => {
    const threshold = thresholdOf(call);
    const client = call.client();
    const nodes = call.args[0] === undefined ? await presentNodes(client) : [call.args[0]];
    const found = (await Promise.all(nodes.map((node) => hogsOf(client, node)))).flat();
    const much = found.filter(({ fraction }) => fraction > threshold);
    if (call.flags.is('json')) return call.print(`${jsonText(much)}\n`);
    return call.print(table(much, HOG_COLUMNS));
  },
};

function thresholdOf({ flags }: Call): number {
  const found = flags.text('threshold');
  const threshold = found === undefined ? MUCH : Number(found);
  if (found !== '' && threshold >= 0) return threshold;
  throw usageError(`--threshold should be a number of at least 0; found ${JSON.stringify(found)}`);
}

async function presentNodes(client: Client): Promise<string[]> {
  const nodes = await client.list('/nodes');
  return nodes.filter(({ state }) => state === 'created').map((one) => text(one, 'name'));
}

async function hogsOf(client: Client, node: string): Promise<Hog[]> {
  const prefix = 'process_cpu_fraction_';
  const metrics = await client.view('GET', `/nodes/${segment(node)}/processmetrics`);
  return Object.entries(metrics)
    .filter(([name]) => name.startsWith(prefix))
    .map(([name, value]) => ({
      node,
      program: name.slice(prefix.length),
      fraction: Number(value),
    }));
}

export const NODE_USAGE_COMMANDS: readonly Command[] = [resources, cpuhogs];
