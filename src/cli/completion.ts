// `troupe completion SHELL` prints what a shell needs to complete our command lines; `troupe complete` is what that asks.
//
// C1  Whatever goes wrong, nothing is suggested: a shell that waits for a Tab has no place for an error.
// C2  Names come from the API, within ASK_MS; commands and flags need none.
import { setTimeout as delay } from 'node:timers/promises';
import type { View } from '../client/client.ts';
import { COMMON_FLAGS } from './command-line.ts';
import type { Call, Command, FlagTable } from './command.ts';
import { usageError } from './failure.ts';
import { onScreen } from './screen-text.ts';
import { isView, text } from './table.ts';

const ASK_MS = 1_500;
const SHELLS: Readonly<Record<string, string>> = {
  bash: `# Completion of troupe for bash: source <(troupe completion bash)
_troupe() {
  local line
  COMPREPLY=()
  while IFS=$'\\t' read -r line _; do
    COMPREPLY+=("$(printf '%q' "$line")")
  done < <(troupe complete -- "\${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
}
complete -o default -F _troupe troupe
`,
  zsh: `#compdef troupe
# Completion of troupe for zsh: source <(troupe completion zsh)
_troupe() {
  local line
  local -a found
  for line in "\${(@f)$(troupe complete -- "\${(@)words[2,CURRENT]}" 2>/dev/null)}"; do
    found+=("\${\${line%%$'\\t'*}//:/\\\\:}:\${line#*$'\\t'}")
  done
  _describe troupe found || _files
}
compdef _troupe troupe
`,
};

/** What may stand at the cursor, and what it is. */
export type Suggestion = readonly [word: string, what: string];

/** Where the names of an argument come from. */
interface Names {
  readonly path: string;
  readonly name: (view: View) => string;
  readonly what: (view: View) => string;
}

const byName = (path: string): Names => ({
  path,
  name: (view) => text(view, 'name') || text(view, 'uuid'),
  what: (view) => text(view, 'state'),
});
const NAMES: Readonly<Record<string, Names>> = {
  instance: byName('/instances'),
  network: byName('/networks'),
  node: byName('/nodes'),
  namespace: byName('/auth/namespaces'),
  artifact: {
    path: '/artifacts',
    name: (view) => text(view, 'uuid'),
    what: (view) => text(view, 'source_url'),
  },
};
/** Arguments called otherwise than the noun of their command. */
const NOUN_OF: Readonly<Record<string, string>> = {
  NODE: 'node',
  NAMESPACE: 'namespace',
  OTHER: 'namespace',
  NETWORK: 'network',
  INSTANCE: 'instance',
};

export function completionCommands(all: () => readonly Command[]): readonly Command[] {
  const completion: Command = {
    name: 'completion',
    summary: 'Print what bash or zsh need to complete this command',
    args: ['SHELL'],
    flags: {},
    notes: 'In the file that your shell starts with: `source <(troupe completion bash)`.',
    examples: [
      'troupe completion bash > ~/.troupe-completion',
      'troupe completion zsh > ~/.zfunc/_troupe',
    ],
    run: ({ args: [shell = ''], print }) => {
      const script = Object.hasOwn(SHELLS, shell) ? SHELLS[shell] : undefined;
      if (script === undefined) {
        const known = Object.keys(SHELLS).join(' and ');
        throw usageError(`there is completion for ${known}, not for ${JSON.stringify(shell)}`);
      }
      print(script);
      return Promise.resolve();
    },
  };
  const complete: Command = {
    name: 'complete',
    summary: 'Say what may stand at the end of a command line',
    args: ['[WORD...]'],
    flags: {},
    examples: ['troupe complete -- instance sh'],
    isHidden: true,
    run: async (call) => {
      const found = await suggestions(call.args, all(), (names) => namesFrom(call, names));
      const lines = found.map(([word, what]) => `${onScreen(word)}\t${onScreen(what)}\n`);
      call.print(lines.join(''));
    },
  };
  return [completion, complete];
}

/** What may stand in place of the last of the words. */
export async function suggestions(
  words: readonly string[],
  commands: readonly Command[],
  ask: (names: Names) => Promise<readonly Suggestion[]>,
): Promise<readonly Suggestion[]> {
  const current = words.at(-1) ?? '';
  const before = withoutFlags(words.slice(0, -1), COMMON_FLAGS);
  if (before === 'value expected') return [];
  const shown = commands.filter(({ isHidden }) => isHidden !== true);
  const found = await candidates(before, current, shown, ask);
  const fitting = found.filter(([word]) => word.startsWith(current));
  return [...new Map(fitting)].toSorted(([a], [b]) => (a < b ? -1 : 1));
}

async function candidates(
  before: readonly string[],
  current: string,
  commands: readonly Command[],
  ask: (names: Names) => Promise<readonly Suggestion[]>,
): Promise<readonly Suggestion[]> {
  const [noun, verb] = before;
  if (noun === undefined) {
    if (current.startsWith('-')) return flagWords(COMMON_FLAGS);
    return commands.map(({ name, summary }) => {
      const [first = ''] = name.split(' ');
      return [first, first === name ? summary : `what can be done with ${first}s`];
    });
  }
  const single = commands.find(({ name }) => name === noun);
  const command = single ?? commands.find(({ name }) => name === `${noun} ${verb ?? ''}`);
  if (command === undefined) {
    if (verb !== undefined) return [];
    const ofNoun = commands.filter(({ name }) => name.startsWith(`${noun} `));
    return ofNoun.map(({ name, summary }) => [name.slice(noun.length + 1), summary]);
  }
  const flags = { ...COMMON_FLAGS, ...command.flags };
  const given = withoutFlags(before.slice(single === undefined ? 2 : 1), flags);
  if (given === 'value expected') return [];
  if (current.startsWith('-')) return flagWords(flags);
  const names = namesOf(noun, command.args[given.length]);
  return names === undefined ? [] : ask(names);
}

/** Without flags and their values; 'value expected' when the last of the words is a flag that takes one. */
function withoutFlags(words: readonly string[], flags: FlagTable): string[] | 'value expected' {
  const left: string[] = [];
  let isValue = false;
  for (const word of words) {
    if (isValue) {
      isValue = false;
    } else if (word.startsWith('-')) {
      isValue = !word.includes('=') && flagOf(word, flags)?.type === 'string';
    } else {
      left.push(word);
    }
  }
  return isValue ? 'value expected' : left;
}

function flagOf(word: string, flags: FlagTable) {
  const name = word.replace(/^-+/, '');
  if (word.startsWith('--')) return flags[name];
  return Object.values(flags).find(({ short }) => short === name);
}

function flagWords(flags: FlagTable): Suggestion[] {
  return Object.entries(flags).map(([name, { help, isOn = false }]) => [
    `--${isOn ? 'no-' : ''}${name}`,
    help,
  ]);
}

function namesOf(noun: string, arg: string | undefined): Names | undefined {
  const bare = arg?.replace(/[[\].]/g, '') ?? '';
  return NAMES[bare === 'REF' ? noun : (NOUN_OF[bare] ?? '')];
}

async function namesFrom(call: Call, { path, name, what }: Names): Promise<Suggestion[]> {
  try {
    const late = delay(ASK_MS, [], { ref: false });
    const found: readonly unknown[] = await Promise.race([call.client().list(path), late]);
    return found.filter(isView).map((view) => [name(view), what(view)]);
  } catch {
    // C1: no login, nobody there, not allowed.
    return [];
  }
}
