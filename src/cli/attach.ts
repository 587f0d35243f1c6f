// Connects this terminal to an instance's serial console on its node.
//
// T1  The terminal is in raw mode only while attached, and is put back however that ends.
// T2  Ctrl-] is the only key that does not go to the guest.
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import type { View } from '../client/client.ts';
import type { Call } from './command.ts';
import { CliError } from './failure.ts';
import { objectPath } from './object-path.ts';
import { text } from './table.ts';
import { Telnet, telnetEscaped } from './telnet.ts';
import { nameOf } from './wait.ts';

const ESCAPE_KEY = 0x1d;
const CONNECT_MS = 5_000;
/** After the end of piped input: how long the guest may be silent before that is taken for the end. */
const QUIET_MS = 1_000;

/** Returns when the user leaves, the guest's console closes, or piped input has been answered. */
export async function attach(call: Call): Promise<void> {
  const { world } = call;
  const instance = await call.client().view('GET', objectPath('instance', call.args[0] ?? ''));
  const place = await consolePlace(call, instance);
  const socket = await open(place, instance, world.signal);
  const isTerminal = world.stdin.isTTY === true;
  call.say(
    `attached to ${nameOf(instance)}${isTerminal ? '; Ctrl-] ends it' : ''}. ` +
      'A console that stays silent may be attached elsewhere.',
  );
  try {
    if (isTerminal) world.stdin.setRawMode?.(true);
    await joined(call, socket);
  } finally {
    if (isTerminal) world.stdin.setRawMode?.(false);
    world.stdin.pause();
    socket.destroy();
  }
  // The guest's line is rarely at its start.
  world.stderr.write('\n');
  call.say(`${nameOf(instance)}: detached`);
}

interface Place {
  readonly host: string;
  readonly port: number;
}

/** Consoles listen on the instance's node; that is where the API is when the API's node is the same. */
async function consolePlace(call: Call, instance: View): Promise<Place> {
  const port = instance['console_port'];
  if (typeof port !== 'number') {
    const state = `${text(instance, 'state')}, power ${text(instance, 'power_state')}`;
    throw new CliError(`${nameOf(instance)} has no console to attach to (${state})`);
  }
  const client = call.client();
  const { node } = await client.view('GET', '/healthz');
  if (node !== instance['node']) return { host: text(instance, 'node'), port };
  return { host: new URL(client.apiUrl).hostname.replace(/^\[|\]$/g, ''), port };
}

async function open({ host, port }: Place, instance: View, signal: AbortSignal): Promise<Socket> {
  const socket = connect({ host, port, noDelay: true });
  try {
    await once(socket, 'connect', {
      signal: AbortSignal.any([signal, AbortSignal.timeout(CONNECT_MS)]),
    });
    return socket;
  } catch (error) {
    socket.destroy();
    if (signal.aborted) throw error;
    const why = (error as NodeJS.ErrnoException).code ?? (error as Error).message;
    throw new CliError(`the console of ${nameOf(instance)} at ${host} port ${port}: ${why}`, {
      wayOut: `run this on node ${text(instance, 'node')}, where consoles listen`,
    });
  }
}

/** Carries bytes both ways until one side ends it. */
function joined({ world }: Call, socket: Socket): Promise<void> {
  const { stdin, stdout, signal } = world;
  const telnet = new Telnet();
  let lastHeardAtMono = performance.now();
  return new Promise((resolve, reject) => {
    const end = () => {
      stdin.off('data', typed);
      signal.removeEventListener('abort', end);
      resolve();
    };
    const typed = (chunk: Buffer) => {
      const escape = stdin.isTTY === true ? chunk.indexOf(ESCAPE_KEY) : -1;
      socket.write(telnetEscaped(escape < 0 ? chunk : chunk.subarray(0, escape)));
      if (escape >= 0) end();
    };
    socket.on('data', (chunk: Buffer) => {
      lastHeardAtMono = performance.now();
      const { text: said, reply } = telnet.receive(chunk);
      if (reply.length > 0) socket.write(reply);
      if (said.length > 0) stdout.write(said);
    });
    socket.once('error', reject);
    socket.once('close', end);
    signal.addEventListener('abort', end);
    stdin.on('data', typed);
    stdin.once('end', () => {
      lastHeardAtMono = performance.now();
      whenQuiet(() => lastHeardAtMono).then(end, reject);
    });
  });
}

async function whenQuiet(lastHeardAtMono: () => number): Promise<void> {
  for (;;) {
    const restMs = lastHeardAtMono() + QUIET_MS - performance.now();
    if (restMs <= 0) return;
    await delay(restMs);
  }
}
