// `troupe network`: virtual networks.
import type { View } from '../client/client.ts';
import type { Command } from './command.ts';
import { deleteAllCommand } from './delete-all.ts';
import { eventsCommand } from './event-command.ts';
import { NETWORK_ADDRESS_COMMANDS } from './network-address.ts';
import {
  DELETE_FLAGS,
  deleteObject,
  listCommand,
  printView,
  showCommand,
} from './object-command.ts';
import { fields, metadataText, text, type Column } from './table.ts';
import { awaitGoal, WAIT_FLAGS } from './wait.ts';

const COLUMNS: readonly Column<View>[] = [
  ['NAME', (one) => text(one, 'name')],
  ['UUID', (one) => text(one, 'uuid')],
  ['NAMESPACE', (one) => text(one, 'namespace')],
  ['NETBLOCK', (one) => text(one, 'netblock')],
  ['VNI', (one) => text(one, 'vxlan_id')],
  ['SERVICES', services],
  ['STATE', (one) => text(one, 'state')],
];

const create: Command = {
  name: 'network create',
  summary: 'Make a virtual network',
  args: ['NAME', 'NETBLOCK'],
  flags: {
    dhcp: { type: 'boolean', isOn: true, help: 'give guests no addresses by DHCP' },
    nat: { type: 'boolean', isOn: true, help: 'let guests not reach the outside' },
    dns: { type: 'boolean', help: "answer DNS queries for the guests' names" },
    namespace: { type: 'string', value: 'NAME', help: 'whose it will be (default: the login)' },
    ...WAIT_FLAGS,
  },
  examples: ['troupe network create front 10.20.0.0/24 --dns'],
  notes: 'NETBLOCK is an IPv4 block. Waits until the network can be used.',
  run: async (call) => {
    const { args, flags } = call;
    const [name, netblock] = args;
    const namespace = flags.text('namespace');
    const view = await call.client().view('POST', '/networks', {
      name,
      netblock,
      provide_dhcp: flags.is('dhcp', true),
      provide_nat: flags.is('nat', true),
      provide_dns: flags.is('dns'),
      ...(namespace === undefined ? {} : { namespace }),
    });
    const made = await awaitGoal(call, { noun: 'network', goal: 'created', view });
    printView(call, made, networkText);
  },
};

export const NETWORK_COMMANDS: readonly Command[] = [
  listCommand('network', COLUMNS),
  showCommand('network', networkText),
  create,
  {
    name: 'network delete',
    summary: 'Remove a network that has no instances',
    args: ['REF'],
    flags: DELETE_FLAGS,
    examples: ['troupe network delete front'],
    notes: 'One with instances goes once the last of them is gone.',
    run: (call) => deleteObject(call, 'network'),
  },
  deleteAllCommand('network', { clean_wait: true }),
  ...NETWORK_ADDRESS_COMMANDS,
  eventsCommand('network'),
];

function networkText(one: View): string {
  return fields([
    ['name', text(one, 'name')],
    ['uuid', text(one, 'uuid')],
    ['namespace', text(one, 'namespace')],
    ['state', text(one, 'state')],
    ['netblock', text(one, 'netblock')],
    ['VNI', text(one, 'vxlan_id')],
    ['services', services(one)],
    ['NAT address', text(one, 'floating_gateway')],
    ['metadata', metadataText(one)],
  ]);
}

function services(one: View): string {
  const names = ['dhcp', 'nat', 'dns'].filter((name) => one[`provide_${name}`] === true);
  return names.join(' ');
}
