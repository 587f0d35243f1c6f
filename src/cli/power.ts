// `troupe instance poweron` and its like.
import type { Command } from './command.ts';
import { objectPath } from './object-path.ts';

const VERBS: readonly (readonly [verb: string, summary: string, done: string])[] = [
  ['poweron', 'Start an instance that is off', 'is on'],
  ['poweroff', "Cut an instance's power", 'is off'],
  ['pause', 'Stand an instance still; its memory stays', 'is paused'],
  ['unpause', 'Let a paused instance go on', 'goes on'],
  ['reboothard', 'Reset an instance', 'was reset'],
  ['rebootsoft', 'Ask the guest to reboot', 'was asked to reboot'],
];

export const POWER_COMMANDS: readonly Command[] = VERBS.map(([verb, summary, done]) => ({
  name: `instance ${verb}`,
  summary,
  args: ['REF'],
  flags: {},
  examples: [`troupe instance ${verb} web`],
  run: async (call) => {
    const ref = call.args[0] ?? '';
    await call.client().call('POST', `${objectPath('instance', ref)}/${verb}`);
    if (!call.flags.is('json')) call.say(`instance ${ref} ${done}`);
  },
}));
