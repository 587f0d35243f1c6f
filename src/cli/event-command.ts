// `events` of every noun.
import type { View } from '../client/client.ts';
import type { Call, Command } from './command.ts';
import { EVENT_COLUMNS } from './event-text.ts';
import { objectPath, type Noun } from './object-path.ts';
import { freshItems } from './overlap.ts';
import { repeat } from './repeat.ts';
import { jsonText } from './screen-text.ts';
import { table } from './table.ts';

const LIMIT = 100;
/** While following: more than anything records between two looks. */
const WINDOW = 500;

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
      if (call.flags.is('follow')) return follow(call, path, limit);
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

async function follow(call: Call, path: string, limit: number): Promise<void> {
  let known: readonly View[] | undefined;
  await repeat(call, async () => {
    const latest = (await newest(call, path, Math.max(limit, WINDOW))).toReversed();
    const { items, isGap } = freshItems(known ?? [], latest, (event) => JSON.stringify(event));
    if (isGap) call.say('some events came and went between two looks, and are not shown');
    showMore(call, known === undefined ? items.slice(-limit) : items, known === undefined);
    known = latest;
  });
}

function showMore(call: Call, events: readonly View[], isFirst: boolean): void {
  if (call.flags.is('json')) {
    for (const event of events) call.print(`${jsonText(event, 0)}\n`);
    return;
  }
  if (events.length === 0) return;
  const lines = table(events, EVENT_COLUMNS);
  call.print(isFirst ? lines : lines.slice(lines.indexOf('\n') + 1));
}

function show(call: Call, events: readonly View[]): void {
  if (events.length === 0) return call.say('no events');
  return call.print(table(events, EVENT_COLUMNS));
}
