// Connects this terminal to an instance's serial console, wherever that is, over the API.
//
// T1  The terminal is in raw mode only while attached, and is put back however that ends.
// T2  Ctrl-] is the only key that does not go to the guest.
import { setTimeout as delay } from 'node:timers/promises';
import { openSocket, type SocketClosed } from '../client/socket.ts';
import type { Call } from './command.ts';
import { CliError } from './failure.ts';
import { objectPath } from './object-path.ts';
import { text } from './table.ts';
import { nameOf } from './wait.ts';

const ESCAPE_KEY = 0x1d;
/** After the end of piped input: how long the guest may be silent before that is taken for the end. */
const QUIET_MS = 1_000;
/** What a socket takes at a time; larger input is sent in parts. */
const PART_BYTES = 16 * 1024;
/** Closes that say that the console has ended as consoles do. */
const ENDED = [1000, 4010];

/** Returns when the user leaves, the guest's console closes, or piped input has been answered. */
export async function attach(call: Call): Promise<void> {
  const { world } = call;
  const instance = await call.client().view('GET', objectPath('instance', call.args[0] ?? ''));
  if (typeof instance['console_port'] !== 'number') {
    const state = `${text(instance, 'state')}, power ${text(instance, 'power_state')}`;
    throw new CliError(`${nameOf(instance)} has no console to attach to (${state})`);
  }
  const line = new Line(call);
  await line.open(String(instance['uuid']));
  const isTerminal = world.stdin.isTTY === true;
  call.say(`attached to ${nameOf(instance)}${isTerminal ? '; Ctrl-] ends it' : ''}`);
  let how: SocketClosed;
  try {
    if (isTerminal) world.stdin.setRawMode?.(true);
    how = await line.joined();
  } finally {
    if (isTerminal) world.stdin.setRawMode?.(false);
    world.stdin.pause();
    line.close();
  }
  // The guest's line is rarely at its start.
  world.stderr.write('\n');
  const why = how.reason === '' ? '' : `: ${how.reason}`;
  if (!ENDED.includes(how.code))
    throw new CliError(`the console of ${nameOf(instance)} was lost${why}`);
  call.say(`${nameOf(instance)}: detached${why}`);
}

class Line {
  readonly #call: Call;
  readonly #ended = Promise.withResolvers<SocketClosed>();
  #socket: WebSocket | undefined;
  #lastHeardAtMono = performance.now();

  constructor(call: Call) {
    this.#call = call;
  }

  async open(instance: string): Promise<void> {
    const { world } = this.#call;
    this.#socket = await openSocket(
      this.#call.client().sockets,
      { purpose: 'console', instance },
      {
        message: (bytes) => {
          this.#lastHeardAtMono = performance.now();
          world.stdout.write(bytes);
        },
        closed: (how) => this.#ended.resolve(how),
      },
    );
  }

  /** Carries bytes both ways until one side ends it. */
  async joined(): Promise<SocketClosed> {
    const { stdin, signal } = this.#call.world;
    const leave = () => this.#ended.resolve({ code: 1000, reason: '' });
    const typed = (chunk: Buffer) => {
      const escape = stdin.isTTY === true ? chunk.indexOf(ESCAPE_KEY) : -1;
      this.#send(escape < 0 ? chunk : chunk.subarray(0, escape));
      if (escape >= 0) leave();
    };
    signal.addEventListener('abort', leave);
    stdin.on('data', typed);
    stdin.once('end', () => void this.#quiet().then(leave));
    try {
      return await this.#ended.promise;
    } finally {
      stdin.off('data', typed);
      signal.removeEventListener('abort', leave);
    }
  }

  close(): void {
    this.#socket?.close();
  }

  #send(bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length; at += PART_BYTES) {
      this.#socket?.send(new Uint8Array(bytes.subarray(at, at + PART_BYTES)));
    }
  }

  async #quiet(): Promise<void> {
    this.#lastHeardAtMono = performance.now();
    for (;;) {
      const restMs = this.#lastHeardAtMono + QUIET_MS - performance.now();
      if (restMs <= 0) return;
      await delay(restMs);
    }
  }
}
