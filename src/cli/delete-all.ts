// `troupe instance delete-all` and its like: everything of one kind that a namespace has.
import type { Command } from './command.ts';
import { usageError } from './failure.ts';
import type { Noun } from './object-path.ts';
import { jsonText } from './screen-text.ts';

/** `more`: what the kind's route takes besides. */
export function deleteAllCommand(noun: Noun, more: object = {}): Command {
  return {
    name: `${noun} delete-all`,
    summary: `Delete all ${noun}s of a namespace`,
    args: [],
    flags: {
      confirm: { type: 'boolean', help: 'needed: there is no way back' },
      namespace: { type: 'string', value: 'NAME', help: 'whose; for the system namespace only' },
    },
    examples: [`troupe ${noun} delete-all --confirm`],
    notes: 'Answers at once with the UUIDs; the work goes on.',
    run: async (call) => {
      if (!call.flags.is('confirm')) {
        throw usageError(
          `this deletes all ${noun}s of the namespace: say --confirm if that is meant`,
        );
      }
      const namespace = call.flags.text('namespace');
      const body = { confirm: true, ...more, ...(namespace === undefined ? {} : { namespace }) };
      const ids = (await call.client().call('DELETE', `/${noun}s`, body)) as readonly string[];
      if (call.flags.is('json')) return call.print(`${jsonText(ids)}\n`);
      if (ids.length === 0) return call.say(`no ${noun}s`);
      return call.print(ids.map((id) => `${id}\n`).join(''));
    },
  };
}
