// `troupe NOUN metadata`, `set-metadata` and `delete-metadata`, for everything that has metadata.
import type { View } from '../client/client.ts';
import type { Call, Command } from './command.ts';
import { usageError } from './failure.ts';
import { segment } from './object-path.ts';
import { jsonText } from './screen-text.ts';
import { fields, textOf } from './table.ts';

/** Noun, how its objects are named, and where they stand. */
const NOUNS: readonly (readonly [noun: string, arg: string, path: string])[] = [
  ['instance', 'REF', '/instances'],
  ['network', 'REF', '/networks'],
  ['interface', 'UUID', '/interfaces'],
  ['artifact', 'REF', '/artifacts'],
  ['blob', 'UUID', '/blobs'],
  ['node', 'NODE', '/nodes'],
  ['namespace', 'NAMESPACE', '/auth/namespaces'],
];

export const METADATA_COMMANDS: readonly Command[] = NOUNS.flatMap(([noun, arg, path]) => {
  const at = (call: Call, key?: string) => {
    const base = `${path}/${segment(call.args[0] ?? '')}/metadata`;
    return key === undefined ? base : `${base}/${segment(key)}`;
  };
  return [
    {
      name: `${noun} metadata`,
      summary: `Show the metadata of one ${noun}`,
      args: [arg],
      flags: {},
      examples: [`troupe ${noun} metadata ${arg}`],
      run: async (call) => {
        const found: View = await call.client().view('GET', at(call));
        if (call.flags.is('json')) return call.print(`${jsonText(found)}\n`);
        const pairs = Object.entries(found).map(([key, value]) => [key, textOf(value)] as const);
        return pairs.length === 0 ? call.say('no metadata') : call.print(fields(pairs));
      },
    },
    {
      name: `${noun} set-metadata`,
      summary: `Set a pair of one ${noun}'s metadata`,
      args: [arg, 'KEY', 'VALUE'],
      flags: { 'value-json': { type: 'boolean', help: 'VALUE is JSON, not text' } },
      examples: [
        `troupe ${noun} set-metadata ${arg} owner ops`,
        `troupe ${noun} set-metadata ${arg} tags ["db"] --value-json`,
      ],
      run: async (call) => {
        const [, key = '', value = ''] = call.args;
        const given = call.flags.is('value-json') ? parsed(value) : value;
        await call.client().call('PUT', at(call, key), { value: given });
        if (!call.flags.is('json')) call.say(`${key} is set`);
      },
    },
    {
      name: `${noun} delete-metadata`,
      summary: `Remove a pair of one ${noun}'s metadata`,
      args: [arg, 'KEY'],
      flags: {},
      examples: [`troupe ${noun} delete-metadata ${arg} owner`],
      run: async (call) => {
        const [, key = ''] = call.args;
        await call.client().call('DELETE', at(call, key));
        if (!call.flags.is('json')) call.say(`${key} is not there any more`);
      },
    },
  ] satisfies Command[];
});

function parsed(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    throw usageError(`VALUE should be JSON, as in '["db"]'; found ${JSON.stringify(text)}`);
  }
}
