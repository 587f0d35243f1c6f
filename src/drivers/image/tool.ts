// Runs the image tools under limits: what they read is hostile, and each has had its bugs.
//
// T1  Address space, CPU time, file size and core dumps are limited by the kernel, wall time by exec.
// T2  The tool dies with the daemon (parent-death signal), so that none goes on writing behind the next one.
// T3  Running out of disk and a missing tool are named the same whichever tool it was.
import { TroupeError, reasonOf } from '../../../actors/kernel/errors.ts';
import type { Exec, ExecResult } from '../exec.ts';
import { asDiskFull } from './disk-space.ts';

export interface ToolLimits {
  readonly timeoutMs: number;
  readonly cpuSeconds: number;
  readonly memoryBytes: number;
  /** Most bytes a file it writes may have; undefined: no limit but the disk. */
  readonly fileBytes?: number;
}

export interface ToolRun {
  readonly trace: string;
  readonly signal: AbortSignal;
  readonly limits: ToolLimits;
  readonly okCodes?: readonly number[];
  readonly cwd?: string;
  /** What comes on stdout, as it comes. */
  readonly onOutput?: (text: string) => void;
}

/** For reading a header or writing an empty image. */
export const QUICK: ToolLimits = { timeoutMs: 30_000, cpuSeconds: 20, memoryBytes: 2 ** 30 };
/** For going through a whole image. */
export const LONG: ToolLimits = {
  timeoutMs: 2 * 3600 * 1000,
  cpuSeconds: 3600,
  memoryBytes: 2 * 2 ** 30,
};

/** Debian package of each tool, for the sentence that says what is missing. */
const PACKAGES: Readonly<Record<string, string>> = {
  'qemu-img': 'qemu-utils',
  genisoimage: 'genisoimage',
  cp: 'coreutils',
  gzip: 'gzip',
  xz: 'xz-utils',
  zstd: 'zstd',
  bzip2: 'bzip2',
};

export type RunTool = (tool: string, args: readonly string[], run: ToolRun) => Promise<ExecResult>;

/** Errors: `host/tool-missing`, `host/disk-full`, `host/timeout`, `host/tool-failed`, `actor/stopped`. */
export function limitedTools(exec: Exec, dir: string): RunTool {
  return async (tool, args, run) => {
    const { limits, trace, signal, okCodes, cwd, onOutput } = run;
    const bounds = [`--as=${limits.memoryBytes}`, `--cpu=${limits.cpuSeconds}`, '--core=0'];
    if (limits.fileBytes !== undefined) bounds.push(`--fsize=${limits.fileBytes}`);
    const words = ['--pdeathsig', 'KILL', 'prlimit', ...bounds, tool, ...args];
    try {
      return await exec('setpriv', words, {
        trace,
        signal,
        timeoutMs: limits.timeoutMs,
        ...(okCodes === undefined ? {} : { okCodes }),
        ...(cwd === undefined ? {} : { cwd }),
        ...(onOutput === undefined ? {} : { onOutput }),
      });
    } catch (error) {
      throw asMissing(tool, asDiskFull(error, dir));
    }
  };
}

function asMissing(tool: string, error: unknown): unknown {
  if (!(error instanceof TroupeError) || error.code !== 'host/tool-failed') return error;
  if (!error.message.includes(`failed to execute ${tool}`)) return error;
  const debian = PACKAGES[tool] ?? tool;
  return new TroupeError(
    'host/tool-missing',
    `${tool} is not installed: apt-get install ${debian}`,
    { program: tool, package: debian },
    error,
  );
}

/** The last line a failed tool printed, without the command: fit for a sentence. */
export function lastWords(error: unknown): string {
  const lines = reasonOf(error).trim().split('\n');
  return (lines.at(-1) ?? '').replace(/^.*ended with [^:]*: /, '').replace(/^qemu-img: /, '');
}
