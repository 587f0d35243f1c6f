// What instances, networks and artifacts have in common on the command line: list, show, delete.
import type { View } from '../client/client.ts';
import type { Call, Command, FlagTable } from './command.ts';
import { objectPath, type Noun } from './object-path.ts';
import { jsonText } from './screen-text.ts';
import { isView, table, text, type Column } from './table.ts';
import { awaitGoal, nameOf, WAIT_FLAGS } from './wait.ts';

/** `namespace` after the verb says whose object is meant, as a safety check. */
export const DELETE_FLAGS: FlagTable = {
  ...WAIT_FLAGS,
  namespace: { type: 'string', value: 'NAME', help: 'refuse unless it belongs to this namespace' },
};

const ALL: FlagTable = {
  all: { type: 'boolean', short: 'a', help: 'deleted ones too, as long as they are remembered' },
};

/** `flags` that the noun has besides `--all`; artifacts have no `--all`. */
export function listCommand(noun: Noun, columns: readonly Column<View>[]): Command {
  const hasAll = noun !== 'artifact';
  return {
    name: `${noun} list`,
    summary: `List ${noun}s`,
    args: [],
    flags: hasAll ? ALL : {},
    examples: [`troupe ${noun} list`, `troupe ${noun} list --json`],
    run: async (call) => {
      const body = hasAll ? { all: call.flags.is('all') } : {};
      const found = await call.client().list(`/${noun}s`, body);
      if (call.flags.is('json')) return call.print(`${jsonText(found)}\n`);
      if (found.length === 0) return call.say(`no ${noun}s`);
      return call.print(table(found.toSorted(byOwnerAndName), columns));
    },
  };
}

export function showCommand(noun: Noun, describe: (view: View) => string): Command {
  return {
    name: `${noun} show`,
    summary: `Show all about one ${noun}`,
    args: ['REF'],
    flags: {},
    examples: [`troupe ${noun} show ${noun === 'artifact' ? 'UUID' : 'web'}`],
    notes: 'REF is a name or a UUID. What was deleted is found by its UUID for an hour.',
    run: async (call) => {
      const path = objectPath(noun, call.args[0] ?? '');
      printView(call, await call.client().view('GET', path), describe);
    },
  };
}

/** Deletes, waits until it is gone, and says so. */
export async function deleteObject(call: Call, noun: Noun): Promise<void> {
  const ref = call.args[0] ?? '';
  const namespace = call.flags.text('namespace');
  const body = namespace === undefined ? {} : { namespace };
  const view = await call.client().call('DELETE', objectPath(noun, ref), body);
  if (!isView(view)) {
    // The API says null of what has been deleted before.
    if (call.flags.is('json')) return call.print(`${jsonText(view)}\n`);
    return call.print(`${noun} ${ref} is deleted already\n`);
  }
  const last = await awaitGoal(call, { noun, goal: 'deleted', view });
  const isGone = text(last, 'state') === 'deleted' || call.flags.is('wait', true);
  const outcome = isGone ? 'is deleted' : `is being deleted (${text(last, 'state')})`;
  printView(call, last, (shown) => `${noun} ${nameOf(shown)} ${outcome}\n`);
}

/** As JSON when asked for, else described. */
export function printView(call: Call, view: View, describe: (view: View) => string): void {
  call.print(call.flags.is('json') ? `${jsonText(view)}\n` : describe(view));
}

function byOwnerAndName(a: View, b: View): number {
  const key = (view: View) =>
    ['namespace', 'name', 'source_url', 'uuid'].map((member) => text(view, member)).join('\u0000');
  return key(a) < key(b) ? -1 : 1;
}
