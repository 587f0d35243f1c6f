// Waiting until an object is created or deleted, saying meanwhile how far it is.
//
// Leaving (Ctrl-C, --timeout) changes nothing about the object: the work goes on, and the message says so.
import { setTimeout as delay } from 'node:timers/promises';
import { ApiError } from '../client/api-error.ts';
import type { View } from '../client/client.ts';
import type { Call, FlagTable } from './command.ts';
import { failureReason, latestEvent } from './event-text.ts';
import { CliError, INTERRUPTED } from './failure.ts';
import { duration } from './format.ts';
import { objectPath, type Noun } from './object-path.ts';
import { Progress } from './progress.ts';
import { isOutage } from './repeat.ts';
import { text } from './table.ts';

/** The daemon gives up by itself well before; this is for when it never answers again. */
const PATIENCE_S = 3600;

export const WAIT_FLAGS: FlagTable = {
  wait: { type: 'boolean', isOn: true, help: 'return at once, while the work goes on' },
  timeout: { type: 'string', value: 'SECONDS', help: `wait at most this long (${PATIENCE_S})` },
};

export interface Expectation {
  readonly noun: Noun;
  readonly goal: 'created' | 'deleted';
  /** What the API answered to the request. */
  readonly view: View;
  /** More about how far it is than its state and latest event say. */
  readonly detail?: (view: View) => Promise<string | undefined>;
}

/** Resolves to the view once the goal is reached. Throws CliError with the object's own reason when it fails. */
export async function awaitGoal(call: Call, expectation: Expectation): Promise<View> {
  if (!call.flags.is('wait', true)) return expectation.view;
  const progress = new Progress(call.world.stderr);
  const wait = new Wait(call, expectation, progress);
  try {
    return await wait.run();
  } catch (error) {
    throw call.world.signal.aborted ? wait.left() : error;
  } finally {
    progress.end();
  }
}

/** How long a command may wait, from `--timeout`. */
export function patienceMs({ flags }: Call): number {
  return (flags.number('timeout', 1) ?? PATIENCE_S) * 1000;
}

/** How people call it: its name, where an image is from, or the UUID of what has neither. */
export function nameOf(view: View): string {
  return text(view, 'name') || text(view, 'source_url') || text(view, 'uuid');
}

class Wait {
  readonly #call: Call;
  readonly #expectation: Expectation;
  readonly #progress: Progress;
  readonly #startedAtMono = performance.now();
  #view: View;

  constructor(call: Call, expectation: Expectation, progress: Progress) {
    this.#call = call;
    this.#expectation = expectation;
    this.#progress = progress;
    this.#view = expectation.view;
  }

  async run(): Promise<View> {
    const { signal, pollMs } = this.#call.world;
    const timeoutMs = patienceMs(this.#call);
    for (;;) {
      const timeLeftMs = this.#startedAtMono + timeoutMs - performance.now();
      const isDone = await Promise.race([this.#look(), delay(timeLeftMs, false, { ref: false })]);
      if (isDone) return this.#view;
      if (performance.now() - this.#startedAtMono >= timeoutMs) throw this.#late(timeoutMs);
      await delay(pollMs, undefined, { signal });
    }
  }

  left(): CliError {
    return new CliError(`no longer waiting: ${this.#goingOn()}`, {
      wayOut: `\`troupe ${this.#expectation.noun} show ${this.#id()}\` says how far it is`,
      exitCode: INTERRUPTED,
    });
  }

  /** One look; whether the goal is reached. */
  async #look(): Promise<boolean> {
    try {
      return await this.#lookOnce();
    } catch (error) {
      if (!isOutage(error) || this.#call.world.signal.aborted) throw error;
      this.#note(`${error.message}; trying again`);
      return false;
    }
  }

  async #lookOnce(): Promise<boolean> {
    const { noun, goal, detail } = this.#expectation;
    const client = this.#call.client();
    const path = objectPath(noun, this.#id());
    try {
      this.#view = await client.view('GET', path);
    } catch (error) {
      if (!(error instanceof ApiError) || error.status !== 404) throw error;
      if (goal === 'deleted') return true;
      throw new CliError(`${this.#what()} is gone: somebody has deleted it`);
    }
    const state = text(this.#view, 'state');
    if (state === goal) return true;
    if (state.endsWith('error')) throw await this.#failed();
    if (state.startsWith('delete') && goal === 'created') {
      throw new CliError(`${this.#what()} is being deleted by somebody else`);
    }
    const more = (await detail?.(this.#view)) ?? (await latestEvent(client, path));
    this.#note(`${this.#what()}: ${state}${more === '' ? '' : `, ${more}`}`);
    return false;
  }

  async #failed(): Promise<CliError> {
    const { noun, goal } = this.#expectation;
    const path = objectPath(noun, this.#id());
    const { reason, requestId } = await failureReason(this.#call.client(), path, this.#view);
    const verb = goal === 'created' ? 'failed' : 'could not be deleted';
    return new CliError(`${this.#what()} ${verb}: ${reason}`, {
      ...(requestId === undefined ? {} : { requestId }),
      wayOut: `\`troupe ${noun} events ${this.#id()}\` tells how; \`troupe ${noun} delete ${this.#id()}\` removes it`,
    });
  }

  #late(timeoutMs: number): CliError {
    const state = text(this.#view, 'state');
    return new CliError(
      `${this.#what()} is still ${state} after ${duration(timeoutMs)}; ${this.#goingOn()}`,
      { wayOut: `\`troupe actor show ${this.#id()}\` says what it waits for` },
    );
  }

  #goingOn(): string {
    const { goal } = this.#expectation;
    return `${this.#what()} goes on being ${goal}`;
  }

  #note(line: string): void {
    this.#progress.note(line, duration(performance.now() - this.#startedAtMono));
  }

  #what(): string {
    return `${this.#expectation.noun} ${nameOf(this.#view)}`;
  }

  #id(): string {
    return text(this.#expectation.view, 'uuid');
  }
}
