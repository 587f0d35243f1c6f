// `troupe instance agentoperations` and `troupe agentoperation`: what is asked of agents in guests, and what came of it.
import type { View } from '../client/client.ts';
import { operationPath } from './agent-operation.ts';
import type { Command } from './command.ts';
import { objectPath } from './object-path.ts';
import { printView } from './object-command.ts';
import { jsonText } from './screen-text.ts';
import { fields, table, text, textOf, views, type Column } from './table.ts';

const COLUMNS: readonly Column<View>[] = [
  ['UUID', (one) => text(one, 'uuid')],
  ['STATE', (one) => text(one, 'state')],
  ['COMMANDS', (one) => views(one, 'commands').map(commandText).join('; ')],
];

export const AGENT_OPERATION_COMMANDS: readonly Command[] = [
  {
    name: 'instance agentoperations',
    summary: 'List what is asked of the agent in an instance and has not begun',
    args: ['REF'],
    flags: { all: { type: 'boolean', short: 'a', help: 'also what is under way or over' } },
    examples: ['troupe instance agentoperations web --all'],
    run: async (call) => {
      const path = `${objectPath('instance', call.args[0] ?? '')}/agentoperations`;
      const found = await call.client().list(path, { all: call.flags.is('all') });
      if (call.flags.is('json')) return call.print(`${jsonText(found)}\n`);
      if (found.length === 0) return call.say('no agent operations');
      return call.print(table(found, COLUMNS));
    },
  },
  {
    name: 'agentoperation show',
    summary: 'Show one agent operation and what the guest has answered',
    args: ['UUID'],
    flags: {},
    examples: ['troupe agentoperation show UUID'],
    run: async (call) => {
      const path = operationPath(call.args[0] ?? '');
      printView(call, await call.client().view('GET', path), operationText);
    },
  },
  {
    name: 'agentoperation delete',
    summary: 'Call an agent operation off, or forget it and its results',
    args: ['UUID'],
    flags: {},
    examples: ['troupe agentoperation delete UUID'],
    run: async (call) => {
      const view = await call.client().view('DELETE', operationPath(call.args[0] ?? ''));
      printView(call, view, (one) => `agent operation ${text(one, 'uuid')} is deleted\n`);
    },
  },
];

function operationText(one: View): string {
  return fields([
    ['uuid', text(one, 'uuid')],
    ['instance', text(one, 'instance_uuid')],
    ['namespace', text(one, 'namespace')],
    ['state', text(one, 'state')],
    ...views(one, 'commands').map((command, index): [string, string] => [
      `command ${index}`,
      commandText(command),
    ]),
    ...Object.entries(one['results'] ?? {}).map(([index, result]): [string, string] => [
      `result ${index}`,
      textOf(result),
    ]),
  ]);
}

function commandText(command: View): string {
  const what = text(command, 'commandline') || text(command, 'path');
  return `${text(command, 'command')} ${what}`;
}
