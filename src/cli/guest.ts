// `troupe instance execute` and its like: what is done inside a guest, by the agent in it, and what its screen shows.
import { stat } from 'node:fs/promises';
import { basename, resolve } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { firstResult, operate } from './agent-operation.ts';
import { blobBytes, blobToFile, fileToBlob } from './blob-file.ts';
import type { Call, Command } from './command.ts';
import { CliError, usageError } from './failure.ts';
import { duration, size } from './format.ts';
import { objectPath } from './object-path.ts';
import { PlainText } from './plain-text.ts';
import { Progress } from './progress.ts';
import { jsonText } from './screen-text.ts';
import { text } from './table.ts';
import { patienceMs, WAIT_FLAGS } from './wait.ts';

/** What a shell reports of a process that a signal has ended is this and the signal's number. */
const SIGNALLED = 128;
const { timeout } = WAIT_FLAGS;
const TIMEOUT = timeout === undefined ? {} : { timeout };

const execute: Command = {
  name: 'instance execute',
  summary: "Run a line of the guest's shell, and end with its exit code",
  args: ['REF', 'COMMAND'],
  flags: WAIT_FLAGS,
  examples: ['troupe instance execute web uptime'],
  notes:
    'The agent in the guest runs it, as its own user. Output goes where it belongs; a terminal gets it as plain text.',
  run: async (call) => {
    const operation = await operate(call, 'execute', { command_line: call.args[1] ?? '' });
    if (call.flags.is('json')) call.print(`${jsonText(operation)}\n`);
    if (text(operation, 'state') !== 'complete') return;
    const result = firstResult(operation);
    if (!call.flags.is('json')) await printOutput(call, result);
    const code = result['return-code'];
    if (typeof code !== 'number') throw new CliError('the guest gave no exit code');
    if (code === 0) return;
    const exitCode = code < 0 ? SIGNALLED - code : code & 0xff || 1;
    throw new CliError(`the command in the guest ended with ${code}`, { exitCode });
  },
};

const upload: Command = {
  name: 'instance upload',
  aliases: ['instance upload-to-guest'],
  summary: 'Put a file into the guest',
  args: ['REF', 'FILE', 'DESTINATION'],
  flags: {
    mode: { type: 'string', value: 'MODE', help: "permissions: octal, or as `u+x` (the file's)" },
    ...WAIT_FLAGS,
  },
  examples: ['troupe instance upload web ./site.conf /etc/nginx/conf.d/site.conf'],
  run: async (call) => {
    const [ref = '', file = '', destination = ''] = call.args;
    const path = resolve(call.world.directory, file);
    const found = await stat(path).catch(() => undefined);
    if (found === undefined) throw new CliError(`there is no ${file}`);
    const progress = new Progress(call.world.stderr);
    const mode = modeOf(call) ?? found.mode;
    const blobId = await fileToBlob(call, path, `upload-to-${basename(ref)}`, progress).finally(
      () => progress.end(),
    );
    const body = { blob_uuid: blobId, path: destination, mode };
    const operation = await operate(call, 'put', body);
    if (call.flags.is('json')) return call.print(`${jsonText(operation)}\n`);
    call.say(`${size(found.size)} put into ${ref} as ${destination}`);
  },
};

const download: Command = {
  name: 'instance download',
  summary: 'Fetch a file from the guest',
  args: ['REF', 'SOURCE', 'FILE'],
  flags: TIMEOUT,
  examples: ['troupe instance download web /var/log/syslog ./syslog'],
  run: async (call) => {
    const [, source = '', file = ''] = call.args;
    const operation = await operate(call, 'get', { path: source });
    const blobId = text(firstResult(operation), 'content_blob');
    if (blobId === '') throw new CliError('the guest gave no content');
    await save(call, blobId, file);
  },
};

const screenshot: Command = {
  name: 'instance screenshot',
  summary: "Save a picture of the guest's screen",
  args: ['REF', 'FILE'],
  flags: {},
  examples: ['troupe instance screenshot web ./web.png'],
  notes: 'In whatever format QEMU makes: PNG or a portable pixmap.',
  run: async (call) => {
    const [ref = '', file = ''] = call.args;
    const path = `${objectPath('instance', ref)}/screenshot`;
    const blobId = await call.client().call('GET', path);
    if (typeof blobId !== 'string') throw new CliError('the API gave no picture');
    await save(call, blobId, file);
  },
};

const awaitAgent: Command = {
  name: 'instance await',
  summary: 'Wait until an instance runs and the agent in it is ready',
  args: ['REF'],
  flags: TIMEOUT,
  examples: ['troupe instance await web'],
  run: async (call) => {
    const path = objectPath('instance', call.args[0] ?? '');
    const { signal, pollMs, stderr } = call.world;
    const progress = new Progress(stderr);
    const startedAtMono = performance.now();
    try {
      for (;;) {
        const view = await call.client().view('GET', path);
        const [state, agent] = [text(view, 'state'), text(view, 'agent_state')];
        if (state === 'created' && agent.startsWith('ready')) return;
        checkHope(view['side_channels'], state);
        const waitedMs = performance.now() - startedAtMono;
        if (waitedMs >= patienceMs(call)) {
          throw new CliError(`still ${state}, its agent ${agent || 'unknown'}`);
        }
        progress.note(`${state}, agent ${agent || 'unknown'}`, duration(waitedMs));
        await delay(pollMs, undefined, { signal });
      }
    } finally {
      progress.end();
    }
  },
};

export const GUEST_COMMANDS: readonly Command[] = [
  execute,
  upload,
  download,
  screenshot,
  awaitAgent,
];

function checkHope(sideChannels: unknown, state: string): void {
  if (state.endsWith('error') || state.startsWith('delete')) {
    throw new CliError(`it will not be ready: the instance is ${state}`);
  }
  if (Array.isArray(sideChannels) && sideChannels.includes('sf-agent')) return;
  const wayOut = 'make it with `-s sf-agent`';
  throw new CliError('this instance has no side channel for an agent', { wayOut });
}

async function save(call: Call, blobId: string, file: string): Promise<void> {
  const progress = new Progress(call.world.stderr);
  const path = resolve(call.world.directory, file);
  const sizeBytes = await blobToFile(call, blobId, path, progress).finally(() => progress.end());
  if (call.flags.is('json')) return call.print(`${jsonText({ blob_uuid: blobId })}\n`);
  call.say(`${size(sizeBytes)} saved as ${file}`);
}

/** Both to where they belong; what was too long for the answer is fetched. */
async function printOutput(call: Call, result: Readonly<Record<string, unknown>>): Promise<void> {
  const progress = new Progress(call.world.stderr);
  const bytesOf = async (name: string) => {
    const blobId = text(result, `${name}_blob`);
    if (blobId === '') return Buffer.from(text(result, name));
    return await blobBytes(call, blobId, progress).finally(() => progress.end());
  };
  const { stdout, stderr } = call.world;
  const [output, errors] = [await bytesOf('stdout'), await bytesOf('stderr')];
  stdout.write(stdout.isTTY === true ? new PlainText().add(output) : output);
  stderr.write(stderr.isTTY === true ? new PlainText().add(errors) : errors);
}

/** Octal as people write permissions; symbolic as it is. */
function modeOf({ flags }: Call): number | string | undefined {
  const mode = flags.text('mode');
  if (mode === undefined) return undefined;
  if (/^[0-7]{1,6}$/.test(mode)) return parseInt(mode, 8);
  if (/^[ugoa]*[-+=]/.test(mode)) return mode;
  throw usageError(`--mode should be octal as 0644 or symbolic as u+x; found ${mode}`);
}
