// The help pages: of everything, of a noun, of a command.
import type { Command, FlagSpec, FlagTable } from './command.ts';
import { COMMON_FLAGS, wordsOf } from './command-line.ts';
import { usageError } from './failure.ts';
import { didYouMean } from './suggestion.ts';

/** Throws a usage error when there is no such page. */
export function helpText(about: readonly string[], commands: readonly Command[]): string {
  const [noun] = about;
  if (noun === undefined) return overview(commands.filter(({ isHidden }) => isHidden !== true));
  const name = about.slice(0, 2).join(' ');
  const command = commands.find((one) => one.name === name || one.aliases?.includes(name));
  if (command !== undefined) return commandPage(command);
  const ofNoun = commands.filter((one) => one.name.startsWith(`${noun} `));
  if (ofNoun.length > 0 && about.length === 1) return nounPage(noun, ofNoun);
  const known = ofNoun.length > 0 ? wordsOf(commands, noun) : wordsOf(commands);
  throw usageError(`no help on \`${name}\`${didYouMean(about.at(-1) ?? '', known)}`);
}

function overview(commands: readonly Command[]): string {
  return `troupe - the command line of a Troupe private cloud

Usage: troupe NOUN VERB [ARGUMENT...] [--FLAG...]

${aligned(commands.map(({ name, args, summary }) => [[name, ...args].join(' '), summary]))}
  troupe help NOUN VERB says all about one of them.

Flags of all commands:
${flagLines(COMMON_FLAGS)}
A login is taken from flags, then variables, then the first of these files that there is:
.troupe/login.json here or in the checkout of this command, ~/.troupe, ~/.troupe/login.json, ~/.troupe.json,
/var/lib/troupe/login.json, and those of sf-client: ~/.shakenfist, /etc/sf/shakenfist.json. The variables
SHAKENFIST_API_URL, SHAKENFIST_NAMESPACE and SHAKENFIST_KEY stand in for ours.

Exit codes: 0 done, 1 refused or failed, 2 not understood, 130 left by Ctrl-C.
Example: troupe instance list
`;
}

function nounPage(noun: string, commands: readonly Command[]): string {
  const example = commands.find(({ args }) => args.length === 0)?.examples[0];
  return `Usage: troupe ${noun} VERB [ARGUMENT...] [--FLAG...]

${aligned(commands.map(({ name, args, summary }) => [[name, ...args].join(' '), summary]))}
  troupe help ${noun} VERB says all about one of them.

Example: ${example ?? commands[0]?.examples[0]}
`;
}

function commandPage({ name, aliases, summary, args, flags, examples, notes }: Command): string {
  const parts = [
    `Usage: troupe ${[name, ...args].join(' ')}${Object.keys(flags).length > 0 ? ' [--FLAG...]' : ''}`,
    `${summary}.${notes === undefined ? '' : ` ${notes}`}`,
    aliases === undefined ? '' : `Also: ${aliases.map((one) => `troupe ${one}`).join(', ')}`,
    Object.keys(flags).length > 0 ? `Flags:\n${flagLines(flags).trimEnd()}` : '',
    `Example${examples.length > 1 ? 's' : ''}:\n${examples.map((one) => `  ${one}`).join('\n')}`,
    'The flags of all commands (--json, --login, ...) are in `troupe help`.',
  ];
  return `${parts.filter((part) => part !== '').join('\n\n')}\n`;
}

function flagLines(flags: FlagTable): string {
  return aligned(Object.entries(flags).map(([name, spec]) => [flagText(name, spec), spec.help]));
}

function flagText(name: string, { short, value, isOn = false }: FlagSpec): string {
  const dashed = `${short === undefined ? '    ' : `-${short}, `}--${isOn ? 'no-' : ''}${name}`;
  return value === undefined ? dashed : `${dashed} ${value}`;
}

function aligned(rows: readonly (readonly [left: string, right: string])[]): string {
  const width = Math.max(...rows.map(([left]) => left.length));
  return rows.map(([left, right]) => `  ${left.padEnd(width)}  ${right}\n`).join('');
}
