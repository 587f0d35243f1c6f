// `troupe interface`: an instance's place on a network, and its floating address.
import type { View } from '../client/client.ts';
import type { Call, Command } from './command.ts';
import { segment } from './object-path.ts';
import { printView } from './object-command.ts';
import { fields, metadataText, text } from './table.ts';

const show: Command = {
  name: 'interface show',
  summary: 'Show all about one interface',
  args: ['UUID'],
  flags: {},
  examples: ['troupe interface show a5b2f0d4-77f1-4d37-8a43-0a6d1cbb9b02'],
  notes: '`troupe instance show` and `troupe network interfaces` name them.',
  run: async (call) => printView(call, await shown(call), interfaceText),
};

const float: Command = {
  name: 'interface float',
  summary: 'Give an interface a floating address, by which the outside reaches it',
  args: ['UUID'],
  flags: {},
  examples: ['troupe interface float a5b2f0d4-77f1-4d37-8a43-0a6d1cbb9b02'],
  run: async (call) => {
    await call.client().call('POST', `${pathOf(call)}/float`);
    printView(call, await shown(call), (one) => `${text(one, 'floating')}\n`);
  },
};

const defloat: Command = {
  name: 'interface defloat',
  summary: "Take an interface's floating address away",
  args: ['UUID'],
  flags: {},
  examples: ['troupe interface defloat a5b2f0d4-77f1-4d37-8a43-0a6d1cbb9b02'],
  run: async (call) => {
    await call.client().call('POST', `${pathOf(call)}/defloat`);
    if (!call.flags.is('json')) call.say(`interface ${call.args[0]} floats no more`);
  },
};

export const INTERFACE_COMMANDS: readonly Command[] = [show, float, defloat];

function pathOf({ args }: Call): string {
  return `/interfaces/${segment(args[0] ?? '')}`;
}

function shown(call: Call): Promise<View> {
  return call.client().view('GET', pathOf(call));
}

function interfaceText(one: View): string {
  return fields([
    ['uuid', text(one, 'uuid')],
    ['state', text(one, 'state')],
    ['instance', text(one, 'instance_uuid')],
    ['network', text(one, 'network_uuid')],
    ['address', text(one, 'ipv4')],
    ['floating address', text(one, 'floating')],
    ['MAC', text(one, 'macaddr')],
    ['model', text(one, 'model')],
    ['order', text(one, 'order')],
    ['metadata', metadataText(one)],
  ]);
}
