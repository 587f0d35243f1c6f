// `troupe network addresses` and its like: who is on a network, and what reaches it from outside.
import type { View } from '../client/client.ts';
import type { Call, Command } from './command.ts';
import { objectPath, segment } from './object-path.ts';
import { jsonText, onScreen } from './screen-text.ts';
import { table, text, textOf, type Column } from './table.ts';

const ADDRESSES: readonly Column<View>[] = [
  ['ADDRESS', (one) => text(one, 'address')],
  ['TYPE', (one) => text(one, 'type')],
  ['HELD BY', (one) => (Array.isArray(one['user']) ? one['user'].map(textOf).join(' ') : '')],
];

const INTERFACES: readonly Column<View>[] = [
  ['UUID', (one) => text(one, 'uuid')],
  ['INSTANCE', (one) => text(one, 'instance_uuid')],
  ['ADDRESS', (one) => text(one, 'ipv4')],
  ['FLOATING', (one) => text(one, 'floating')],
  ['MAC', (one) => text(one, 'macaddr')],
  ['STATE', (one) => text(one, 'state')],
];

const addresses: Command = {
  name: 'network addresses',
  summary: 'List the addresses of a network that are not free, and who has them',
  args: ['REF'],
  flags: {},
  examples: ['troupe network addresses front'],
  notes: '`floating` is the pool of external addresses; for the system namespace only.',
  run: (call) => printList(call, 'addresses', ADDRESSES),
};

const interfaces: Command = {
  name: 'network interfaces',
  summary: 'List the interfaces on a network',
  args: ['REF'],
  flags: {},
  examples: ['troupe network interfaces front'],
  run: (call) => printList(call, 'interfaces', INTERFACES),
};

const route: Command = {
  name: 'network route',
  summary: 'Route an external address into a network, for a guest to answer for',
  args: ['REF'],
  flags: {},
  examples: ['troupe network route front'],
  notes: 'Prints the address. Its packets come untranslated: a guest has to have it as its own.',
  run: async (call) => {
    const address = await call.client().call('POST', `${pathOf(call)}/route`);
    call.print(call.flags.is('json') ? `${jsonText(address)}\n` : `${textOf(address)}\n`);
  },
};

const unroute: Command = {
  name: 'network unroute',
  summary: 'Route an external address into a network no more',
  args: ['REF', 'ADDRESS'],
  flags: {},
  examples: ['troupe network unroute front 192.168.20.9'],
  run: async (call) => {
    const address = call.args[1] ?? '';
    await call.client().call('DELETE', `${pathOf(call)}/route/${segment(address)}`);
    if (!call.flags.is('json')) call.say(`${address} is routed to ${call.args[0]} no more`);
  },
};

const setDNS: Command = {
  name: 'network dns-set',
  summary: "Add or replace a name that a network's DNS answers for",
  args: ['REF', 'NAME', 'ADDRESS'],
  flags: {},
  examples: ['troupe network dns-set front www 10.20.0.9'],
  run: async (call) => {
    const [ref, name, value] = call.args;
    await call.client().call('POST', `${pathOf(call)}/dns`, { name, value });
    if (!call.flags.is('json')) call.say(`on ${ref}, ${name} is ${value}`);
  },
};

const removeDNS: Command = {
  name: 'network dns-remove',
  summary: "Remove a name from those that a network's DNS answers for",
  args: ['REF', 'NAME'],
  flags: {},
  examples: ['troupe network dns-remove front www'],
  run: async (call) => {
    const [ref, name] = call.args;
    await call.client().call('DELETE', `${pathOf(call)}/dns`, { name });
    if (!call.flags.is('json')) call.say(`on ${ref}, ${name} is nobody`);
  },
};

const ping: Command = {
  name: 'network ping',
  summary: "Ping an address from a network's router, ten times",
  args: ['REF', 'ADDRESS'],
  flags: {},
  examples: ['troupe network ping front 10.20.0.9'],
  run: async (call) => {
    const path = `${pathOf(call)}/ping/${segment(call.args[1] ?? '')}`;
    const output = await call.client().view('GET', path);
    if (call.flags.is('json')) return call.print(`${jsonText(output)}\n`);
    for (const line of lines(output['stdout'])) call.print(`${line}\n`);
    for (const line of lines(output['stderr'])) call.say(line);
  },
};

export const NETWORK_ADDRESS_COMMANDS: readonly Command[] = [
  interfaces,
  addresses,
  route,
  unroute,
  setDNS,
  removeDNS,
  ping,
];

function pathOf({ args }: Call): string {
  return objectPath('network', args[0] ?? '');
}

/** Safe to print; without the empty one that a last newline makes. */
function lines(output: unknown): string[] {
  const all = Array.isArray(output) ? output.map(textOf).map(onScreen) : [];
  return all.at(-1) === '' ? all.slice(0, -1) : all;
}

async function printList(call: Call, part: string, columns: readonly Column<View>[]) {
  const found = await call.client().list(`${pathOf(call)}/${part}`);
  if (call.flags.is('json')) return call.print(`${jsonText(found)}\n`);
  if (found.length === 0) return call.say(`no ${part}`);
  return call.print(table(found, columns));
}
