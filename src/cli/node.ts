// `troupe node list`, `show`, `events`, `drain`, `undrain` and `delete`: the machines of the cluster. Adding one is in cluster.ts.
import type { View } from '../client/client.ts';
import type { Call, Command } from './command.ts';
import { eventsCommand } from './event-command.ts';
import { NODE_USAGE_COMMANDS } from './node-usage.ts';
import { segment } from './object-path.ts';
import { dateTime } from './format.ts';
import { jsonText } from './screen-text.ts';
import { fields, table, text, type Column } from './table.ts';

const COLUMNS: readonly Column<View>[] = [
  ['NAME', (one) => text(one, 'name')],
  ['STATE', stateOf],
  ['ADDRESS', (one) => text(one, 'ip')],
  ['ROLES', rolesOf],
  ['INSTANCES', (one) => text(one, 'instances')],
  ['VERSION', (one) => text(one, 'release')],
];
const NOTES = 'For the system namespace only.';

const list: Command = {
  name: 'node list',
  summary: 'List the machines of the cluster',
  args: [],
  flags: {},
  examples: ['troupe node list'],
  notes: NOTES,
  run: async (call) => {
    const found = await call.client().list('/nodes');
    if (call.flags.is('json')) return call.print(`${jsonText(found)}\n`);
    return call.print(table(found, COLUMNS));
  },
};

const show: Command = {
  name: 'node show',
  summary: 'Show all about one machine',
  args: ['NODE'],
  flags: {},
  examples: ['troupe node show n2'],
  notes: NOTES,
  run: async (call) => printNode(call, await call.client().view('GET', pathOf(call))),
};

const drain: Command = {
  name: 'node drain',
  summary: 'Give a machine nothing new: no instances, no shards, no copies of blobs',
  args: ['NODE'],
  flags: {},
  examples: ['troupe node drain n2'],
  notes: `What runs there runs on; copies that only it would keep are made elsewhere. ${NOTES}`,
  run: async (call) => printNode(call, await call.client().view('POST', `${pathOf(call)}/drain`)),
};

const undrain: Command = {
  name: 'node undrain',
  summary: 'Give a machine work again',
  args: ['NODE'],
  flags: {},
  examples: ['troupe node undrain n2'],
  notes: NOTES,
  run: async (call) => printNode(call, await call.client().view('POST', `${pathOf(call)}/undrain`)),
};

const remove: Command = {
  name: 'node delete',
  summary: 'Take a machine that will not return out of the cluster',
  args: ['NODE'],
  flags: {},
  examples: ['troupe node delete n3'],
  notes: `Turn it off first. Its instances are deleted, copies of blobs are made elsewhere, its certificate is refused. Refused while its daemon is there. ${NOTES}`,
  run: async (call) => printNode(call, await call.client().view('DELETE', pathOf(call))),
};

function pathOf({ args }: Call): string {
  return `/nodes/${segment(args[0] ?? '')}`;
}

function printNode(call: Call, view: View): void {
  if (call.flags.is('json')) return call.print(`${jsonText(view)}\n`);
  return call.print(
    fields([
      ['name', text(view, 'name')],
      ['state', stateOf(view)],
      ['address', text(view, 'ip')],
      ['roles', rolesOf(view)],
      ['failure domain', text(view, 'failure_domain')],
      ['instances', text(view, 'instances')],
      ['last seen', dateTime(Number(view['lastseen']) * 1000)],
      ['version', text(view, 'release')],
    ]),
  );
}

function stateOf(view: View): string {
  const state = text(view, 'state');
  return view['is_draining'] === true ? `${state}, draining` : state;
}

function rolesOf(view: View): string {
  return (view['roles'] as readonly string[]).join(' ');
}

export const NODE_COMMANDS: readonly Command[] = [
  list,
  show,
  drain,
  undrain,
  remove,
  eventsCommand('node'),
  ...NODE_USAGE_COMMANDS,
];
