// `troupe namespace`, `troupe key` and `troupe trust`: who may use the API, and in whose name.
import { randomBytes } from 'node:crypto';
import type { View } from '../client/client.ts';
import { eventsCommand } from './event-command.ts';
import type { Call, Command } from './command.ts';
import { segment } from './object-path.ts';
import { jsonText } from './screen-text.ts';
import { fields, metadataText, table, text, type Column } from './table.ts';

const COLUMNS: readonly Column<View>[] = [
  ['NAME', (one) => text(one, 'name')],
  ['KEYS', (one) => words(one['keys'])],
  ['TRUSTS', trustsOf],
  ['METADATA', metadataText],
];

const list: Command = {
  name: 'namespace list',
  summary: 'List the namespaces that you may act on',
  args: [],
  flags: {},
  examples: ['troupe namespace list'],
  run: async (call) => {
    const found = await call.client().list('/auth/namespaces');
    if (call.flags.is('json')) return call.print(`${jsonText(found)}\n`);
    return call.print(table(found, COLUMNS));
  },
};

const show: Command = {
  name: 'namespace show',
  summary: 'Show all about one namespace',
  args: ['NAMESPACE'],
  flags: {},
  examples: ['troupe namespace show lab'],
  run: async (call) => printNamespace(call, await call.client().view('GET', pathOf(call))),
};

const create: Command = {
  name: 'namespace create',
  summary: 'Make a namespace, with a first key',
  args: ['NAME'],
  flags: {
    'key-name': { type: 'string', value: 'NAME', help: 'of its first key (default: first)' },
    key: { type: 'string', value: 'SECRET', help: 'the key itself (default: a new one, printed)' },
  },
  examples: ['troupe namespace create lab'],
  notes: 'For the system namespace only.',
  run: async (call) => {
    const [name = ''] = call.args;
    const key = call.flags.text('key') ?? newKey();
    const keyName = call.flags.text('key-name') ?? 'first';
    const body = { namespace: name, key_name: keyName, key };
    const view = await call.client().view('POST', '/auth/namespaces', body);
    if (call.flags.is('json')) return call.print(`${jsonText({ ...view, key })}\n`);
    call.say(
      `namespace ${name} is made; log in with the key that follows, which is not shown again`,
    );
    return call.print(`${key}\n`);
  },
};

const remove: Command = {
  name: 'namespace delete',
  summary: 'Delete a namespace, with its artifacts',
  args: ['NAMESPACE'],
  flags: {},
  examples: ['troupe namespace delete lab'],
  notes: 'Its instances and networks have to be gone. For the system namespace only.',
  run: async (call) => {
    await call.client().call('DELETE', pathOf(call));
    call.say(`namespace ${call.args[0]} is deleted`);
  },
};

const addKey: Command = {
  name: 'key add',
  summary: 'Give a namespace a key, or replace the one of that name',
  args: ['NAMESPACE', 'NAME'],
  flags: {
    key: { type: 'string', value: 'SECRET', help: 'the key itself (default: a new one, printed)' },
    days: { type: 'string', value: 'DAYS', help: 'how long it is good (default: for ever)' },
  },
  examples: ['troupe key add lab laptop', 'troupe key add lab ci --days 30'],
  notes: 'Who is logged in with the old key of that name is not any more.',
  run: async (call) => {
    const key = call.flags.text('key') ?? newKey();
    const days = call.flags.number('days', 1);
    const end = days === undefined ? {} : { expires_at: Date.now() / 1000 + days * 86_400 };
    const body = { key_name: call.args[1] ?? '', key, ...end };
    await call.client().call('POST', `${pathOf(call)}/keys`, body);
    if (call.flags.is('json')) return call.print(`${jsonText({ name: call.args[1], key })}\n`);
    call.say(`namespace ${call.args[0]} has a key ${call.args[1]}, which is not shown again`);
    return call.print(`${key}\n`);
  },
};

const removeKey: Command = {
  name: 'key remove',
  summary: "Remove a namespace's key; who is logged in with it is not any more",
  args: ['NAMESPACE', 'NAME'],
  flags: {},
  examples: ['troupe key remove lab laptop'],
  run: async (call) => {
    await call.client().call('DELETE', `${pathOf(call)}/keys/${segment(call.args[1] ?? '')}`);
    call.say(`key ${call.args[1]} of namespace ${call.args[0]} is removed`);
  },
};

const trust: Command = {
  name: 'trust add',
  summary: 'Let another namespace act on this one',
  args: ['NAMESPACE', 'OTHER'],
  flags: {},
  examples: ['troupe trust add lab ci'],
  notes: 'OTHER may then manage its keys and trusts, use its images, and create in its name.',
  run: async (call) => {
    const body = { external_namespace: call.args[1] ?? '' };
    printNamespace(call, await call.client().view('POST', `${pathOf(call)}/trust`, body));
  },
};

const distrust: Command = {
  name: 'trust remove',
  summary: 'Let another namespace act on this one no more',
  args: ['NAMESPACE', 'OTHER'],
  flags: {},
  examples: ['troupe trust remove lab ci'],
  run: async (call) => {
    const path = `${pathOf(call)}/trust/${segment(call.args[1] ?? '')}`;
    printNamespace(call, await call.client().view('DELETE', path));
  },
};

function pathOf({ args }: Call): string {
  return `/auth/namespaces/${segment(args[0] ?? '')}`;
}

/** Of as much chance as anybody could want. */
function newKey(): string {
  return randomBytes(24).toString('base64url');
}

function printNamespace(call: Call, view: View): void {
  if (call.flags.is('json')) return call.print(`${jsonText(view)}\n`);
  return call.print(
    fields([
      ['name', text(view, 'name')],
      ['keys', words(view['keys'])],
      ['trusts', trustsOf(view)],
      ['metadata', metadataText(view)],
    ]),
  );
}

function trustsOf(view: View): string {
  return words((view['trust'] as View)['full']);
}

function words(list: unknown): string {
  return (list as readonly string[]).join(' ');
}

export const NAMESPACE_COMMANDS: readonly Command[] = [
  list,
  show,
  create,
  remove,
  addKey,
  removeKey,
  trust,
  distrust,
  eventsCommand('namespace'),
];
