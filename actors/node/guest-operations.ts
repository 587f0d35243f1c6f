// Agent operations as this machine carries them out: commands for one guest, one after the other, through whichever agent
// is in it.
//
// P1  What was asked for once is never begun again: asked again, by whoever decides for the operation by then, it is the
//     same run. What was meant for an earlier daemon of this machine is refused, since that one may have begun it.
// P2  An outcome is kept until it is no longer waited for (`end`), or KEPT_MS.
// P3  What a guest sends goes through the spool in pieces; only what is small is in the outcome.
import type { AgentCommand, AgentResult } from '../agent-operation/state.ts';
import type { GuestAgent } from '../instance/guest-agent.ts';
import type { Clock } from '../kernel/clock.ts';
import { codeOf, reasonOf, TroupeError } from '../kernel/errors.ts';
import type { Failure } from '../kernel/object.ts';
import type { Log } from '../kernel/ports.ts';

/** Where bytes that are to become a blob are kept until they are one; of this machine. */
export interface Spool {
  /** Keeps the bytes; resolves to the id under which they are. Error: `host/disk-full`. */
  keep(chunks: AsyncIterable<Uint8Array>, signal: AbortSignal): Promise<string>;
}

export interface GuestOperationsOptions {
  /** Of this daemon. */
  readonly boot: string;
  /** Error: `guest/lost`. */
  readonly agentOf: (instanceId: string) => GuestAgent;
  readonly spool: Spool;
  /** The bytes of a replica that is here. Error: `image/missing`. */
  readonly readBlob: (blobId: string) => AsyncIterable<Uint8Array>;
  readonly clock: Clock;
  readonly log: Log;
}

export interface GuestOperation {
  readonly operationId: string;
  readonly instanceId: string;
  /** Of the daemon that it is meant for. */
  readonly boot: string;
  readonly commands: readonly AgentCommand[];
}

/** Results of the commands that were answered, and what ended it before the last one, if anything did. */
export interface Outcome {
  readonly results: AgentResult[];
  /** Spooled here, under these ids. */
  readonly blobs: string[];
  readonly failure: Failure | null;
}

interface Run {
  readonly abort: AbortController;
  readonly done: Promise<Outcome>;
}

/** Longer output becomes a blob (contract: instances 12). */
const INLINE_BYTES = 10 * 1024;
const KEPT_MS = 3_600_000;
/** Under way or remembered; each instance has one at a time. */
const MOST_RUNS = 10_000;

export class GuestOperations {
  readonly #options: GuestOperationsOptions;
  readonly #runs = new Map<string, Run>();

  constructor(options: GuestOperationsOptions) {
    this.#options = options;
  }

  /**
   * The boot that what is begun on this guest now is meant for. Error: `object/not-ready` while its agent does not answer: a
   * daemon that has just begun has not found it yet.
   */
  bootFor(instanceId: string): string {
    const { agentOf, boot } = this.#options;
    try {
      agentOf(instanceId);
      return boot;
    } catch (error) {
      throw new TroupeError('object/not-ready', reasonOf(error), {}, error);
    }
  }

  /** The outcome; null when there is none within `waitMs`: ask again. Error: `guest/lost` (P1). */
  async run(operation: GuestOperation, waitMs: number): Promise<Outcome | null> {
    const { clock } = this.#options;
    const { done } = this.#runs.get(operation.operationId) ?? this.#begin(operation);
    const { promise, resolve } = Promise.withResolvers<null>();
    const timer = clock.after(waitMs, () => resolve(null));
    return await Promise.race([done, promise]).finally(() => timer.cancel());
  }

  /** Calls it off if it is under way, and forgets it. */
  end(operationId: string): void {
    this.#runs.get(operationId)?.abort.abort();
    this.#runs.delete(operationId);
  }

  /** Calls everything off, and waits for it. */
  async stop(): Promise<void> {
    const runs = [...this.#runs.values()];
    for (const { abort } of runs) abort.abort();
    await Promise.all(runs.map(({ done }) => done));
  }

  #begin(operation: GuestOperation): Run {
    const { boot, clock } = this.#options;
    const { operationId } = operation;
    if (operation.boot !== boot) {
      const reason = 'the daemon of its node was started again while it was being carried out';
      throw new TroupeError('guest/lost', reason);
    }
    if (this.#runs.size >= MOST_RUNS) {
      throw new TroupeError('actor/overloaded', 'this node carries out too many agent operations');
    }
    const abort = new AbortController();
    const run = { abort, done: this.#carryOut(operation, abort.signal) };
    this.#runs.set(operationId, run);
    void run.done.then(() =>
      clock.after(KEPT_MS, () => {
        if (this.#runs.get(operationId) === run) this.#runs.delete(operationId);
      }),
    );
    return run;
  }

  /** Never rejects. */
  async #carryOut(operation: GuestOperation, signal: AbortSignal): Promise<Outcome> {
    const { agentOf, log } = this.#options;
    const { instanceId, operationId, commands } = operation;
    const results: AgentResult[] = [];
    const blobs: string[] = [];
    try {
      for (const command of commands) {
        const work = { agent: agentOf(instanceId), blobs, signal };
        const result = await this.#answer(command, work);
        results.push(result);
        const { message } = result;
        if (typeof message === 'string') {
          return { results, blobs, failure: { code: 'guest/refused', reason: message } };
        }
      }
      return { results, blobs, failure: null };
    } catch (error) {
      const fields = { instance: instanceId, operation: operationId, code: codeOf(error), error };
      if (!signal.aborted) log('warn', 'agent operation failed', fields);
      return { results, blobs, failure: { code: codeOf(error), reason: reasonOf(error) } };
    }
  }

  /** What the guest refuses is an answer too. */
  async #answer(command: AgentCommand, work: Work): Promise<AgentResult> {
    try {
      return await this.#perform(command, work);
    } catch (error) {
      if (codeOf(error) !== 'guest/refused') throw error;
      const about = command.command === 'execute' ? executeFacts(command) : { path: command.path };
      return { result: false, message: reasonOf(error), ...about };
    }
  }

  async #perform(command: AgentCommand, work: Work): Promise<AgentResult> {
    const { agent, signal } = work;
    switch (command.command) {
      case 'execute': {
        const { returnCode, ...output } = await agent.execute(command.commandline, signal);
        return {
          ...executeFacts(command),
          result: returnCode === 0,
          'return-code': returnCode,
          ...(await this.#output('stdout', output.stdout, work)),
          ...(await this.#output('stderr', output.stderr, work)),
        };
      }
      case 'get-file': {
        const { path } = command;
        const { stat, chunks } = await agent.readFile(path, signal);
        const content = await this.#keep(chunks, work);
        return { result: true, path, stat_result: { ...stat }, content_blob: content };
      }
      case 'put-blob': {
        const { path, blob_uuid: blobId } = command;
        await agent.writeFile(path, this.#options.readBlob(blobId), signal);
        return { path };
      }
      case 'chmod': {
        const { path, mode } = command;
        await agent.changeMode(path, mode, signal);
        return { path };
      }
    }
  }

  async #output(name: string, bytes: Uint8Array, work: Work): Promise<AgentResult> {
    if (bytes.length <= INLINE_BYTES) return { [name]: new TextDecoder().decode(bytes) };
    return { [`${name}_blob`]: await this.#keep(once(bytes), work) };
  }

  async #keep(chunks: AsyncIterable<Uint8Array>, { blobs, signal }: Work): Promise<string> {
    const id = await this.#options.spool.keep(chunks, signal);
    blobs.push(id);
    return id;
  }
}

/** What one command needs, and where it says what it has spooled. */
interface Work {
  readonly agent: GuestAgent;
  readonly blobs: string[];
  readonly signal: AbortSignal;
}

function executeFacts(command: Extract<AgentCommand, { command: 'execute' }>): AgentResult {
  return { 'command-line': command.commandline };
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}
