// `troupe history`: what an object was, what changed, and why it is as it is.
import type { View } from '../client/client.ts';
import type { Call, Command, FlagTable } from './command.ts';
import { EVENT_COLUMNS } from './event-text.ts';
import { usageError } from './failure.ts';
import { dateTime } from './format.ts';
import { segment } from './object-path.ts';
import { jsonText } from './screen-text.ts';
import { isView, table, text, textOf, views, type Column } from './table.ts';

const NOTES =
  'KIND is instance, network, interface, artifact, blob, namespace or node; REF is a name or a UUID. What was removed is found by its UUID.';
const WHEN =
  'A moment is a store revision (digits only), a date (2026-11-28T10:00, local time unless it says) or an age (15m, 2h, 3d).';

const AT: FlagTable = {
  at: { type: 'string', value: 'MOMENT', help: 'as it was then; a revision, a date or an age' },
};

const show: Command = {
  name: 'history show',
  summary: 'Show what an object is, or was at a moment',
  args: ['KIND/REF'],
  flags: AT,
  examples: [
    'troupe history show instance/web --at 15m',
    'troupe history show instance/web --at 4711',
  ],
  notes: `${WHEN} ${NOTES}`,
  run: (call) => showPast(call, pathOf(call)),
};

const SHOWN = /^(instance|network|interface|artifact|blob|namespace|node) show$/;

/** `KIND show` with `--at`: what `history show` says of it. Others stay as they are. */
export function withPast(command: Command): Command {
  const [, kind] = SHOWN.exec(command.name) ?? [];
  if (kind === undefined) return command;
  return {
    ...command,
    flags: { ...command.flags, ...AT },
    notes: [command.notes, WHEN].join(' ').trim(),
    run: (call) =>
      call.flags.has('at')
        ? showPast(call, `/history/${kind}/${segment(call.args[0] ?? '')}`)
        : command.run(call),
  };
}

async function showPast(call: Call, path: string): Promise<void> {
  const at = call.flags.text('at');
  const view = await call.client().view('GET', path, at === undefined ? {} : moment(at, ''));
  if (call.flags.is('json')) return call.print(`${jsonText(view)}\n`);
  const state = isView(view['state']) ? jsonText(view['state']) : 'removed for good';
  return call.print(`${momentText(view)}\n${state}\n`);
}

const CHANGE_COLUMNS: readonly Column<View>[] = [
  ['MEMBER', (one) => text(one, 'path')],
  ['BEFORE', (one) => short(one['before'])],
  ['AFTER', (one) => short(one['after'])],
];

const diff: Command = {
  name: 'history diff',
  summary: 'Show what changed on an object between two moments',
  args: ['KIND/REF', 'FROM', '[TO]'],
  flags: {},
  examples: ['troupe history diff instance/web 1h', 'troupe history diff instance/web 4711 4720'],
  notes: `Without TO: until now. ${WHEN} ${NOTES}`,
  run: async (call) => {
    const [, from = '', to] = call.args;
    const until = to === undefined ? {} : moment(to, 'to_');
    const body = { ...moment(from, 'from_'), ...until };
    const view = await call.client().view('GET', `${pathOf(call)}/diff`, body);
    if (call.flags.is('json')) return call.print(`${jsonText(view)}\n`);
    const changes = views(view, 'changes');
    for (const name of ['from', 'to']) {
      const side = view[name];
      if (isView(side)) call.print(`${name.padEnd(5)}${momentText(side)}\n`);
    }
    if (changes.length === 0) return call.say('nothing has changed');
    return call.print(`\n${table(changes, CHANGE_COLUMNS)}`);
  },
};

const STEP_COLUMNS: readonly Column<View>[] = [
  ...EVENT_COLUMNS.slice(0, 3),
  ['OBJECT', (one) => `${text(one, 'kind')}/${text(one, 'id')}`],
  ...EVENT_COLUMNS.slice(4),
];

const why: Command = {
  name: 'history why',
  summary: 'Show which requests made an object what it is, and what followed from them',
  args: ['KIND/REF'],
  flags: {},
  examples: ['troupe history why instance/web'],
  notes: `Newest first. ${NOTES}`,
  run: async (call) => {
    const view = await call.client().view('GET', `${pathOf(call)}/why`);
    if (call.flags.is('json')) return call.print(`${jsonText(view)}\n`);
    call.print(`${text(view, 'kind')} ${text(view, 'id')}  ${momentText(view)}\n`);
    for (const cause of views(view, 'causes')) {
      const members = Array.isArray(cause['members']) ? cause['members'].join(', ') : '';
      call.print(`\n${momentText(cause)}\n  gave ${members}\n`);
      const events = views(cause, 'events');
      if (events.length > 0) call.print(table(events, STEP_COLUMNS));
    }
    const older = Array.isArray(view['older']) ? view['older'].map(textOf) : [];
    if (older.length > 0)
      call.print(`\nas they are for longer than is remembered: ${older.join(', ')}\n`);
  },
};

export const HISTORY_COMMANDS: readonly Command[] = [show, diff, why];

function pathOf(call: Call): string {
  const [address = ''] = call.args;
  const [, kind, ref] = /^([a-z]+)\/(.+)$/s.exec(address) ?? [];
  if (kind !== undefined && ref !== undefined) return `/history/${kind}/${segment(ref)}`;
  throw usageError(`${JSON.stringify(address)} should look like instance/web`);
}

const AGE_MS: Readonly<Record<string, number>> = {
  s: 1_000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
};

/** The members of a body that say when. Throws a usage error. */
function moment(said: string, prefix: '' | 'from_' | 'to_'): Record<string, number> {
  if (/^\d{1,15}$/.test(said)) return { [`${prefix}revision`]: Number(said) };
  const [, count, unit = ''] = /^(\d{1,6})([smhd])$/.exec(said) ?? [];
  const atMs =
    count === undefined ? Date.parse(said) : Date.now() - Number(count) * (AGE_MS[unit] ?? 0);
  if (Number.isFinite(atMs)) return { [`${prefix}time`]: atMs / 1000 };
  throw usageError(`${JSON.stringify(said)} is no revision, date or age such as 15m`);
}

function momentText(view: View): string {
  const request = text(view, 'request-id');
  const by = request === '' ? '' : `, request ${request}`;
  return `revision ${text(view, 'revision')}, ${dateTime(Number(view['time']) * 1000)}${by}`;
}

const MOST_SHOWN = 60;

function short(value: unknown): string {
  const line = typeof value === 'string' ? value : JSON.stringify(value);
  return line.length > MOST_SHOWN ? `${line.slice(0, MOST_SHOWN - 1)}…` : line;
}
