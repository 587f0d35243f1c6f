// The only place that starts programs on the host.
//
// X1  No shell: a program and its arguments, so that no user text is ever parsed as a command.
// X2  Every run has a deadline, an output limit and the trace id in its environment (TROUPE_TRACE).
// X3  LC_ALL=C: nothing here depends on the operator's language.
// X4  A run ends when it is killed, even if something it started has left its group and keeps its pipes open.
import { spawn, type ChildProcess } from 'node:child_process';
import { existsSync } from 'node:fs';
import { TroupeError } from '../../actors/kernel/errors.ts';

export interface ExecOptions {
  readonly trace: string;
  /** Default 30 s. The program and what it started in its group are killed then. */
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
  /** Written to standard input, which is closed after it. */
  readonly input?: string;
  /** Exit codes that are answers rather than failures. Default: 0 only. */
  readonly okCodes?: readonly number[];
  /** Of stdout and stderr each; default 4 MiB. More is a failure. */
  readonly maxOutputBytes?: number;
  /** What comes on stdout, as it comes. */
  readonly onOutput?: (text: string) => void;
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string>>;
}

export interface ExecResult {
  readonly stdout: string;
  readonly stderr: string;
  readonly code: number;
}

export type Exec = (
  program: string,
  args: readonly string[],
  options: ExecOptions,
) => Promise<ExecResult>;

const DEFAULT_TIMEOUT_MS = 30_000;
const DEFAULT_OUTPUT_BYTES = 4 * 1024 * 1024;
/** How long a killed run's pipes may stay open. */
const PIPES_CLOSE_MS = 1000;
const SEARCH_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

/**
 * Runs a program to its end. Errors: `host/tool-missing`, `host/timeout`, `host/tool-failed` (with exit
 * code and the end of stderr), `actor/stopped` when `signal` aborted it.
 */
export const exec: Exec = (program, args, options) =>
  new Promise((resolve, reject) => {
    const run = new Run(program, args, options, resolve, reject);
    run.start();
  });

class Run {
  readonly #program: string;
  readonly #args: readonly string[];
  readonly #options: ExecOptions;
  readonly #resolve: (result: ExecResult) => void;
  readonly #reject: (error: Error) => void;
  #stdout = '';
  #stderr = '';
  readonly #printedBytes = { stdout: 0, stderr: 0 };
  #failure: TroupeError | undefined;

  constructor(
    program: string,
    args: readonly string[],
    options: ExecOptions,
    resolve: (result: ExecResult) => void,
    reject: (error: Error) => void,
  ) {
    this.#program = program;
    this.#args = args;
    this.#options = options;
    this.#resolve = resolve;
    this.#reject = reject;
  }

  start(): void {
    const { signal, timeoutMs = DEFAULT_TIMEOUT_MS, input = '' } = this.#options;
    if (signal?.aborted) return this.#reject(this.#error('actor/stopped', 'was called off'));
    const child = this.#spawn();
    if (child === undefined) return;
    const kill = (failure: TroupeError) => {
      if (this.#failure !== undefined) return;
      this.#failure = failure;
      killGroup(child);
      setTimeout(() => closePipes(child), PIPES_CLOSE_MS).unref();
    };
    const onAbort = () => kill(this.#error('actor/stopped', 'was called off'));
    const timer = setTimeout(
      () => kill(this.#error('host/timeout', `did not end within ${timeoutMs} ms`)),
      timeoutMs,
    );
    signal?.addEventListener('abort', onAbort, { once: true });
    this.#collect(child, 'stdout', kill);
    this.#collect(child, 'stderr', kill);
    // EPIPE when the program ends without reading its input: its exit code tells what matters.
    child.stdin?.on('error', () => undefined);
    child.stdin?.end(input);
    child.on('error', (cause: NodeJS.ErrnoException) => {
      this.#failure ??= this.#startFailure(cause);
      if (child.pid === undefined) this.#end(null, timer, onAbort);
    });
    child.on('close', (code) => this.#end(code, timer, onAbort));
  }

  /** Undefined when it could not even be tried: an argument list too long, or with a zero byte. */
  #spawn(): ChildProcess | undefined {
    const { cwd, env, trace } = this.#options;
    const base = { PATH: SEARCH_PATH, LC_ALL: 'C', HOME: '/root', TROUPE_TRACE: trace };
    try {
      const options = { cwd, detached: true, env: { ...base, ...env } };
      return spawn(this.#program, [...this.#args], options);
    } catch (cause) {
      const reason = cause instanceof Error ? cause.message : String(cause);
      this.#reject(this.#error('host/tool-failed', `could not be started: ${reason}`));
      return undefined;
    }
  }

  #collect(
    child: ChildProcess,
    stream: 'stdout' | 'stderr',
    kill: (failure: TroupeError) => void,
  ): void {
    const limit = this.#options.maxOutputBytes ?? DEFAULT_OUTPUT_BYTES;
    child[stream]?.setEncoding('utf8').on('data', (text: string) => {
      this.#printedBytes[stream] += Buffer.byteLength(text);
      if (this.#printedBytes[stream] > limit) {
        return kill(this.#error('host/tool-failed', `printed more than ${limit} bytes`));
      }
      if (stream === 'stderr') this.#stderr += text;
      else {
        this.#stdout += text;
        this.#options.onOutput?.(text);
      }
    });
  }

  #end(code: number | null, timer: NodeJS.Timeout, onAbort: () => void): void {
    clearTimeout(timer);
    this.#options.signal?.removeEventListener('abort', onAbort);
    if (this.#failure !== undefined) return this.#reject(this.#failure);
    if (code !== null && (this.#options.okCodes ?? [0]).includes(code)) {
      return this.#resolve({ stdout: this.#stdout, stderr: this.#stderr, code });
    }
    const said = this.#stderr.trim().slice(-2000) || this.#stdout.trim().slice(-2000);
    this.#reject(
      this.#error('host/tool-failed', `ended with ${code ?? 'a signal'}: ${said}`, code),
    );
  }

  #startFailure(cause: NodeJS.ErrnoException): TroupeError {
    const { cwd } = this.#options;
    if (cause.code === 'ENOENT' && cwd !== undefined && !existsSync(cwd)) {
      return this.#error('host/tool-failed', `could not be started: there is no directory ${cwd}`);
    }
    if (cause.code === 'ENOENT') {
      return this.#error(
        'host/tool-missing',
        'is not installed; `npm start` installs what is missing',
      );
    }
    return this.#error('host/tool-failed', `could not be started: ${cause.message}`);
  }

  #error(
    code: 'actor/stopped' | 'host/tool-missing' | 'host/timeout' | 'host/tool-failed',
    what: string,
    exit: number | null = null,
  ): TroupeError {
    const command = [this.#program, ...this.#args].join(' ').slice(0, 300);
    return new TroupeError(code, `${command}: ${what}`, {
      program: this.#program,
      ...(exit === null ? {} : { exit }),
    });
  }
}

function killGroup({ pid }: ChildProcess): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, 'SIGKILL');
  } catch (error) {
    // ESRCH: it ended by itself in between, which is what was wanted.
    if (!(error instanceof Error && 'code' in error && error.code === 'ESRCH')) throw error;
  }
}

function closePipes(child: ChildProcess): void {
  child.stdout?.destroy();
  child.stderr?.destroy();
}
