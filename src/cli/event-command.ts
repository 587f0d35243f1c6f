// `events` of every noun.
import type { View } from '../client/client.ts';
import type { Call, Command } from './command.ts';
import { EVENT_COLUMNS, showMore } from './event-text.ts';
import { objectPath, type Noun } from './object-path.ts';
import { followStream } from './follow-stream.ts';
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
  // An artifact's story is also that of its blobs, which the stream shows to nobody but system.
  const path = objectPath(noun, call.args[0] ?? '');
  if (noun === 'artifact') return look(call, path, limit);
  const { uuid } = await call.client().view('GET', path);
  return followStream(call, { kind: noun, id: String(uuid), after: 0 }, limit);
}

/** Looks at the list again and again. */
async function look(call: Call, path: string, limit: number): Promise<void> {
  let known: readonly View[] | undefined;
  await repeat(call, async () => {
    const latest = (await newest(call, path, Math.max(limit, WINDOW))).toReversed();
    const { items, isGap } = freshItems(known ?? [], latest, (event) => JSON.stringify(event));
    if (isGap) call.say('some events came and went between two looks, and are not shown');
    showMore(call, known === undefined ? items.slice(-limit) : items, known === undefined);
    known = latest;
  });
}

function show(call: Call, events: readonly View[]): void {
  if (events.length === 0) return call.say('no events');
  return call.print(table(events, EVENT_COLUMNS));
}
