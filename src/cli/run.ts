// Runs one command line against the world that it is handed.
import { Client } from '../client/client.ts';
import type { Call, Command } from './command.ts';
import { readCommandLine } from './command-line.ts';
import { COMMANDS } from './commands.ts';
import { DONE, explained, printable } from './failure.ts';
import type { Flags } from './flags.ts';
import { helpText } from './help.ts';
import { findLogin } from './login.ts';
import { onScreen } from './screen-text.ts';
import type { World } from './world.ts';

/** Resolves to the exit code; whatever goes wrong has been told on standard error by then. */
export async function runCli(
  words: readonly string[],
  world: World,
  commands: readonly Command[] = COMMANDS,
): Promise<number> {
  const used = { loginSource: 'no login used' };
  try {
    const line = readCommandLine(aliased(words), commands);
    if (line.kind === 'help') {
      world.stdout.write(helpText(line.about, commands));
      return DONE;
    }
    const { command, args, flags } = line;
    await command.run(makeCall(world, { args, flags, login: line.login }, used));
    return DONE;
  } catch (error) {
    const failure = explained(error, used.loginSource);
    world.stderr.write(printable(failure));
    return failure.exitCode;
  }
}

/** `troupe --version` is what people try first. */
function aliased(words: readonly string[]): readonly string[] {
  return words[0] === '--version' ? ['version', ...words.slice(1)] : words;
}

interface Given {
  readonly args: readonly string[];
  readonly flags: Flags;
  readonly login: Flags;
}

function makeCall(
  world: World,
  { args, flags, login }: Given,
  used: { loginSource: string },
): Call {
  let client: Client | undefined;
  const logIn = () => {
    const { apiUrl, namespace, key, source } = findLogin(login, world);
    used.loginSource = source;
    return new Client({ apiUrl, namespace, key, signal: world.signal });
  };
  return {
    world,
    args,
    flags,
    client: () => (client ??= logIn()),
    print: (text) => void world.stdout.write(text),
    say: (text) => void world.stderr.write(`${onScreen(text)}\n`),
  };
}
