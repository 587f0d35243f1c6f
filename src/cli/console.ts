// `troupe instance console`: the end of the serial console's log, what comes next, or the line itself.
import type { Call, Command } from './command.ts';
import { attach } from './attach.ts';
import { usageError } from './failure.ts';
import { objectPath } from './object-path.ts';
import { freshBytes } from './overlap.ts';
import { PlainText } from './plain-text.ts';
import { repeat } from './repeat.ts';

const LENGTH = 10_240;
/** Looked at each time while following; a guest that prints more between two looks loses the rest. */
const WINDOW = 128 * 1024;
const TRUSTED_OVERLAP = 64;

export const consoleCommand: Command = {
  name: 'instance console',
  aliases: ['instance consoledata'],
  summary: 'Show the serial console of an instance, or attach to it',
  args: ['REF'],
  flags: {
    length: { type: 'string', short: 'l', value: 'BYTES', help: `the last BYTES (${LENGTH})` },
    all: { type: 'boolean', short: 'a', help: 'everything that is kept' },
    follow: { type: 'boolean', short: 'f', help: 'go on with what comes, until Ctrl-C' },
    attach: { type: 'boolean', help: 'connect this terminal to it; Ctrl-] ends that' },
    raw: { type: 'boolean', help: 'keep control sequences also when this is no terminal' },
  },
  examples: [
    'troupe instance console web --follow',
    'troupe instance console web --attach',
    'troupe instance console web --all > web.log',
  ],
  notes:
    'What the guest prints goes to a terminal as it is. Files and pipes get plain text, unless --raw is given.',
  run: (call) => {
    const { flags } = call;
    const ways = ['all', 'length', 'attach'].filter((name) => flags.has(name));
    if (ways.length > 1) throw usageError(`--${ways.join(' and --')} exclude each other`);
    if (flags.is('attach')) return attach(call);
    const lengthBytes = flags.is('all') ? -1 : (flags.number('length', 1) ?? LENGTH);
    return flags.is('follow') ? follow(call, lengthBytes) : show(call, lengthBytes);
  },
};

async function show(call: Call, lengthBytes: number): Promise<void> {
  const bytes = await read(call, lengthBytes);
  if (bytes.length === 0) return call.say('the console is empty');
  writer(call)(bytes);
}

async function follow(call: Call, lengthBytes: number): Promise<void> {
  const write = writer(call);
  let known: Buffer | undefined;
  await repeat(call, async () => {
    if (known === undefined) {
      const first = await read(call, lengthBytes < 0 ? -1 : Math.max(lengthBytes, WINDOW));
      write(lengthBytes < 0 ? first : first.subarray(-lengthBytes));
      known = first.subarray(-WINDOW);
      return;
    }
    const latest = await read(call, WINDOW);
    const { items, isGap } = freshBytes(known, latest, TRUSTED_OVERLAP);
    if (isGap) call.say('the log was cleared, or more was printed between two looks than is kept');
    if (items.length > 0) write(items);
    known = latest;
  });
}

function read({ client, args }: Call, lengthBytes: number): Promise<Buffer> {
  const path = `${objectPath('instance', args[0] ?? '')}/consoledata`;
  return client().bytes(path, { length: lengthBytes });
}

/** To a terminal as it is, else as plain text. */
function writer({ world, flags }: Call): (bytes: Buffer) => void {
  const { stdout } = world;
  if (stdout.isTTY === true || flags.is('raw')) return (bytes) => stdout.write(bytes);
  const plain = new PlainText();
  return (bytes) => stdout.write(plain.add(bytes));
}
