// `troupe token rotate`: what the cluster signs tokens with.
import type { Command } from './command.ts';

const rotate: Command = {
  name: 'token rotate',
  summary: 'Sign tokens with another secret',
  args: [],
  flags: {
    'at-once': {
      type: 'boolean',
      help: 'the old secret may have got out: every token there is ends, all log in again',
    },
  },
  examples: ['troupe token rotate', 'troupe token rotate --at-once'],
  notes: 'Tokens of the old secret run out by themselves. For the system namespace only.',
  run: async (call) => {
    const isAtOnce = call.flags.is('at-once');
    await call.client().call('POST', '/admin/rotatetokensecret', { at_once: isAtOnce });
    const then = isAtOnce ? 'all tokens of before have ended' : 'tokens of before run out';
    call.say(`tokens are signed with another secret; ${then}`);
  },
};

export const TOKEN_COMMANDS: readonly Command[] = [rotate];
