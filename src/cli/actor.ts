// `troupe actor` and `troupe stuck`: what is under way, and calling it off.
import type { View } from '../client/client.ts';
import { actorText } from './actor-text.ts';
import type { Command } from './command.ts';
import { CliError, usageError } from './failure.ts';
import { dateTime, duration } from './format.ts';
import { segment } from './object-path.ts';
import { jsonText } from './screen-text.ts';
import { table, text, type Column } from './table.ts';

const show: Command = {
  name: 'actor show',
  summary: 'Show what an object is doing, since when, and what it waits for',
  args: ['REF'],
  flags: {},
  examples: ['troupe actor show web', 'troupe actor show instance/UUID'],
  notes: 'REF is a name, a UUID or KIND/ID. For the system namespace only.',
  run: async (call) => {
    const [, kind, id = ''] = /^(?:([a-z]+)\/)?(.*)$/s.exec(call.args[0] ?? '') ?? [];
    const named = await call.client().list(`/actors/${segment(id)}`);
    const isMeant = (one: View) => kind === undefined || text(one, 'address') === `${kind}/${id}`;
    const found = named.filter(isMeant);
    if (found.length === 0) throw new CliError(`there is no object ${call.args[0]}`);
    if (call.flags.is('json')) return call.print(`${jsonText(found)}\n`);
    return call.print(found.map((one) => actorText(one, Date.now())).join('\n'));
  },
};

const cancel: Command = {
  name: 'actor cancel',
  summary: "Call off an object's passing state, such as a create under way",
  args: ['KIND/ID'],
  flags: {},
  examples: ['troupe actor cancel instance/UUID'],
  notes: 'What is being made is given back. For the system namespace only.',
  run: async (call) => {
    const [address = ''] = call.args;
    const [, kind, id] = /^([a-z]+)\/(.+)$/s.exec(address) ?? [];
    if (kind === undefined || id === undefined) {
      const example = 'instance/UUID, as `troupe stuck` and `troupe actor show` print it';
      throw usageError(`${JSON.stringify(address)} should look like ${example}`);
    }
    const answer = await call.client().call('POST', `/actors/${kind}/${segment(id)}/cancel`);
    if (call.flags.is('json')) return call.print(`${jsonText(answer)}\n`);
    return call.say(`${address} is told to stop; \`troupe actor show ${address}\` follows it`);
  },
};

const STUCK_COLUMNS: readonly Column<View>[] = [
  ['OBJECT', (one) => text(one, 'address')],
  ['WAITS FOR', (one) => text(one, 'reason')],
  ['SINCE', (one) => dateTime(Number(one['sinceMs']))],
  ['OVERDUE', (one) => duration(Date.now() - Number(one['deadlineAtMs']))],
  ['CALLED OFF BY', (one) => text(one, 'cancel')],
];

const stuck: Command = {
  name: 'stuck',
  summary: 'List what is past its deadline',
  args: [],
  flags: {},
  examples: ['troupe stuck'],
  notes: 'For the system namespace only.',
  run: async (call) => {
    const found = await call.client().list('/stuck');
    if (call.flags.is('json')) return call.print(`${jsonText(found)}\n`);
    if (found.length === 0) return call.say('nothing is stuck');
    return call.print(table(found, STUCK_COLUMNS));
  },
};

export const ACTOR_COMMANDS: readonly Command[] = [show, cancel, stuck];
