// `events` of every noun.
import type { View } from '../client/client.ts';
import type { Call, Command } from './command.ts';
import { EVENT_COLUMNS } from './event-text.ts';
import { objectPath, type Noun } from './object-path.ts';
import { followStream } from './follow-stream.ts';
import { jsonText } from './screen-text.ts';
import { table } from './table.ts';

const LIMIT = 100;

const EXAMPLES: Readonly<Record<Noun, string>> = {
  instance: 'web',
  network: 'front',
  artifact: 'UUID',
  node: 'n2',
  namespace: 'lab',
};

export function eventsCommand(noun: Noun): Command {
  return {
    name: `${noun} events`,
    summary: `What has happened to the ${noun}, oldest first`,
    args: ['REF'],
    flags: {
      type: {
        type: 'string',
        short: 't',
        value: 'TYPE',
        help: 'only audit, mutate, status, usage, resources, prune or historic',
      },
      limit: { type: 'string', short: 'l', value: 'N', help: `the newest N only (${LIMIT})` },
      follow: { type: 'boolean', short: 'f', help: 'go on with new ones until Ctrl-C' },
    },
    examples: [`troupe ${noun} events ${EXAMPLES[noun]} --follow`],
    notes: 'With --json and --follow, one event a line.',
    run: async (call) => {
      const limit = call.flags.number('limit', 1) ?? LIMIT;
      const path = objectPath(noun, call.args[0] ?? '');
      if (call.flags.is('follow')) return follow(call, noun, limit);
      const events = await newest(call, path, limit);
      if (call.flags.is('json')) return call.print(`${jsonText(events)}\n`);
      return show(call, events.toReversed());
    },
  };
}

function newest({ client, flags }: Call, path: string, limit: number): Promise<readonly View[]> {
  const type = flags.text('type');
  const filter = type === undefined ? {} : { event_type: type };
  return client().list(`${path}/events`, { limit, ...filter });
}

/** Its newest events, then what comes; by its id, since a name may be another's later. */
async function follow(call: Call, noun: Noun, limit: number): Promise<void> {
  const { uuid } = await call.client().view('GET', objectPath(noun, call.args[0] ?? ''));
  return followStream(call, { kind: noun, id: String(uuid), after: 0 }, limit);
}

function show(call: Call, events: readonly View[]): void {
  if (events.length === 0) return call.say('no events');
  return call.print(table(events, EVENT_COLUMNS));
}
