// From the words of a command line to a command, its arguments and its flags.
import { parseArgs } from 'node:util';
import type { Command, FlagTable } from './command.ts';
import { CliError, usageError } from './failure.ts';
import { Flags } from './flags.ts';
import { didYouMean } from './suggestion.ts';

/** Known to every command, before the noun or after the verb. */
export const COMMON_FLAGS: FlagTable = {
  json: { type: 'boolean', help: "print the API's JSON, for programs" },
  help: { type: 'boolean', short: 'h', help: 'say how to use this' },
  'api-url': { type: 'string', value: 'URL', help: 'the API (TROUPE_API_URL)' },
  namespace: { type: 'string', value: 'NAME', help: 'who logs in (TROUPE_NAMESPACE)' },
  key: {
    type: 'string',
    value: 'KEY',
    help: 'its key (TROUPE_KEY, which other users cannot see in the list of processes)',
  },
  login: {
    type: 'string',
    value: 'FILE',
    help: 'login file: JSON with apiurl, namespace and key (TROUPE_LOGIN)',
  },
};

export type CommandLine =
  | ({ readonly kind: 'run'; readonly command: Command } & Given)
  /** Help was asked for: about everything, a noun, or a command. */
  | { readonly kind: 'help'; readonly about: readonly string[] };

interface Given {
  readonly args: readonly string[];
  readonly flags: Flags;
  /** Common flags only; `--namespace` before the noun, or after a verb that has none of its own. */
  readonly login: Flags;
}

/** Throws a usage error (exit code 2) for what cannot be understood. */
export function readCommandLine(
  words: readonly string[],
  commands: readonly Command[],
): CommandLine {
  const { before, rest } = splitCommonFlags(words);
  const head = parse(before, COMMON_FLAGS, 'troupe help');
  const [first] = rest;
  if (first === undefined) {
    if (head.flags.is('help')) return { kind: 'help', about: [] };
    throw usageError('say what to do, as in `troupe instance list`');
  }
  if (first === 'help') {
    return { kind: 'help', about: rest.slice(1).filter((word) => !word.startsWith('-')) };
  }
  const found = findCommand(rest, commands);
  if (found === undefined) {
    if (head.flags.is('help') || rest.slice(1).some(isHelp))
      return { kind: 'help', about: [first] };
    throw unknownCommand(rest, commands);
  }
  const { command, length } = found;
  const page = `troupe help ${command.name}`;
  const tail = parse(rest.slice(length), { ...COMMON_FLAGS, ...command.flags }, page);
  if (head.flags.is('help') || tail.flags.is('help')) {
    return { kind: 'help', about: command.name.split(' ') };
  }
  checkArgs(command, tail.args, page);
  const own = { ...tail.values };
  if ('namespace' in command.flags) delete own['namespace'];
  const login = new Flags({ ...head.values, ...own });
  const flags = new Flags({ json: head.flags.is('json'), ...tail.values });
  return { kind: 'run', command, args: tail.args, flags, login };
}

/** Every first word, or every second word after `noun`. */
export function wordsOf(commands: readonly Command[], noun?: string): string[] {
  const names = commands.flatMap(({ name, aliases = [] }) => [name, ...aliases]);
  const split = names.map((name) => name.split(' '));
  const words =
    noun === undefined
      ? split.map(([first = '']) => first)
      : split.filter(([first]) => first === noun).map(([, second = '']) => second);
  return [...new Set(words)];
}

function isHelp(word: string): boolean {
  return word === '--help' || word === '-h';
}

function splitCommonFlags(words: readonly string[]) {
  let end = 0;
  for (let word = words[end]; word?.startsWith('-') === true; word = words[end]) {
    const spec = COMMON_FLAGS[word.replace(/^--/, '')];
    end += spec?.type === 'string' ? 2 : 1;
  }
  return { before: words.slice(0, end), rest: words.slice(end) };
}

function findCommand(words: readonly string[], commands: readonly Command[]) {
  for (const length of [2, 1]) {
    const name = words.slice(0, length).join(' ');
    const command = commands.find((one) => one.name === name || one.aliases?.includes(name));
    if (command !== undefined && words.length >= length) return { command, length };
  }
  return undefined;
}

function unknownCommand([first = '', second]: readonly string[], commands: readonly Command[]) {
  const verbs = wordsOf(commands, first);
  if (verbs.length === 0) {
    const near = didYouMean(first, wordsOf(commands));
    return usageError(`there is no command \`troupe ${first}\`${near}`);
  }
  const page = `troupe help ${first}`;
  if (second === undefined || second.startsWith('-')) {
    return usageError(`say what to do: \`troupe ${first}\` takes ${verbs.join(', ')}`, page);
  }
  const near = didYouMean(second, verbs);
  return usageError(`there is no command \`troupe ${first} ${second}\`${near}`, page);
}

function parse(args: readonly string[], table: FlagTable, page: string) {
  const options = Object.fromEntries(
    Object.entries(table).map(([name, { type, short, multiple = false }]) => [
      name,
      { type, multiple, ...(short === undefined ? {} : { short }) },
    ]),
  );
  try {
    const { values, positionals } = parseArgs({
      args: [...args],
      options,
      allowPositionals: true,
      allowNegative: true,
    });
    return { values, args: positionals, flags: new Flags(values) };
  } catch (error) {
    throw badFlag(error, table, page);
  }
}

/** Node's own messages go on with advice that does not fit here. */
function badFlag(error: unknown, table: FlagTable, page: string): CliError {
  const [sentence = ''] = (error as Error).message.split(/[.\n]/);
  const flag = /'--(?:no-)?([^']*)'/.exec(sentence)?.[1];
  const isUnknown = sentence.startsWith('Unknown option');
  const near = isUnknown && flag !== undefined ? didYouMean(flag, Object.keys(table)) : '';
  return usageError(`${sentence}${near.replace('`', '`--')}`, page);
}

function checkArgs({ name, args: wanted }: Command, args: readonly string[], page: string): void {
  const missing = wanted.slice(args.length).filter((arg) => !arg.startsWith('['));
  if (missing.length > 0) throw usageError(`\`troupe ${name}\` needs ${missing.join(' ')}`, page);
  if (wanted.at(-1)?.endsWith('...]') === true) return;
  if (args.length > wanted.length) {
    const extra = args.slice(wanted.length).join(' ');
    throw usageError(`\`troupe ${name}\` does not take ${JSON.stringify(extra)}`, page);
  }
  if (args.some((arg) => arg === '')) throw usageError('an argument is empty', page);
}
