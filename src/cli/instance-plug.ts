// `troupe instance add-interface`: one more interface while the instance runs.
import type { Command, FlagTable } from './command.ts';
import { usageError } from './failure.ts';
import { INSTANCE_FLAGS, networks } from './instance-spec.ts';
import { objectPath } from './object-path.ts';
import { printView } from './object-command.ts';
import { text } from './table.ts';

const NAMES = ['network', 'floated', 'networkspec'];
const FLAGS: FlagTable = Object.fromEntries(
  Object.entries(INSTANCE_FLAGS).filter(([name]) => NAMES.includes(name)),
);

export const addInterfaceCommand: Command = {
  name: 'instance add-interface',
  summary: 'Give an instance one more interface; a running guest gets it while it runs',
  args: ['REF'],
  flags: FLAGS,
  examples: ['troupe instance add-interface web -n front'],
  notes: 'Exactly one of -n, -f and -N.',
  run: async (call) => {
    const [network, ...others] = networks(call.flags);
    if (network === undefined || others.length > 0) {
      throw usageError('give exactly one of -n, -f and -N', 'troupe help instance add-interface');
    }
    const path = `${objectPath('instance', call.args[0] ?? '')}/interfaces`;
    const view = await call.client().view('POST', path, { network });
    printView(call, view, (one) => {
      const address = text(one, 'ipv4') || 'without an address';
      return `interface ${text(one, 'uuid')}: ${address}, ${text(one, 'macaddr')}\n`;
    });
  },
};
