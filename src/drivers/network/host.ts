// How the driver runs programs: on the host, or inside a router namespace; in batches; with errors that say what to do.
//
// H1  A batch is one process however many lines it has, and stops at the first line that fails.
// H2  Whatever is read through the host is read in the host's own network namespace: no direct look at
//     /proc/sys, so that an `exec` that enters a namespace makes that namespace the host.
import { codeOf, reasonOf, TroupeError } from '../../../actors/kernel/errors.ts';
import type { Exec, ExecOptions, ExecResult } from '../exec.ts';

/** Who asked, and when to give up. */
export interface Errand {
  readonly trace: string;
  readonly signal?: AbortSignal;
}

const NAMESPACES = '/run/netns';
/** Calls are local and quick; this is for a machine that is nearly stuck. */
const TIMEOUT_MS = 20_000;

export function namespacePath(namespace: string): string {
  return `${NAMESPACES}/${namespace}`;
}

export class Host {
  readonly #exec: Exec;

  constructor(exec: Exec) {
    this.#exec = exec;
  }

  /** Runs a program on the host. Errors: those of exec, `host/no-privilege`. */
  async run(
    program: string,
    args: readonly string[],
    errand: Errand,
    extra: Pick<ExecOptions, 'input' | 'okCodes'> = {},
  ): Promise<ExecResult> {
    try {
      const { trace, signal } = errand;
      const bound = signal === undefined ? {} : { signal };
      return await this.#exec(program, args, { trace, timeoutMs: TIMEOUT_MS, ...bound, ...extra });
    } catch (error) {
      throw explained(error, extra.input ?? '');
    }
  }

  /** Runs a program inside a router namespace; without `ip netns exec`, which would also give it mounts of its own. */
  runInside(
    namespace: string | null,
    command: readonly [string, ...string[]],
    errand: Errand,
    extra: Pick<ExecOptions, 'input' | 'okCodes'> = {},
  ): Promise<ExecResult> {
    const [program, ...args] = command;
    if (namespace === null) return this.run(program, args, errand, extra);
    const enter = [`--net=${namespacePath(namespace)}`, '--', program, ...args];
    return this.run('nsenter', enter, errand, extra);
  }

  /** `ip` lines in one process, on the host (null) or in a namespace. */
  async ip(namespace: string | null, lines: readonly string[], errand: Errand): Promise<string> {
    const inside = namespace === null ? [] : ['-n', namespace];
    const input = lines.map((line) => `${line}\n`).join('');
    const result = await this.run('ip', [...inside, '-d', '-j', '-batch', '-'], errand, { input });
    return result.stdout;
  }

  async bridge(lines: readonly string[], errand: Errand): Promise<void> {
    const input = lines.map((line) => `${line}\n`).join('');
    await this.run('bridge', ['-batch', '-'], errand, { input });
  }

  /** Writes a value into files of /proc/sys/net as seen from the host (null) or a namespace. */
  async setting(
    namespace: string | null,
    names: readonly string[],
    value: string,
    errand: Errand,
  ): Promise<void> {
    const files = names.map((name) => `/proc/sys/${name.replaceAll('.', '/')}`);
    await this.runInside(namespace, ['tee', ...files], errand, { input: `${value}\n` });
  }
}

const ADVICE: readonly (readonly [RegExp, 'host/no-privilege' | 'host/tool-failed', string])[] = [
  [
    /Operation not permitted|must be run as root|Permission denied/,
    'host/no-privilege',
    'run the daemon as root, or with CAP_NET_ADMIN and CAP_SYS_ADMIN',
  ],
  [
    /Unknown device type|Operation not supported/,
    'host/tool-failed',
    'the kernel lacks a device type or protocol: load it with `modprobe vxlan bridge veth tun nf_tables`, or use a kernel that has it',
  ],
];

/** A tool's failure with the line of a batch that failed, and the way out where there is a known one. */
function explained(error: unknown, input: string): unknown {
  if (codeOf(error) !== 'host/tool-failed') return error;
  const reason = reasonOf(error);
  const number = /Command failed -:([0-9]+)/.exec(reason)?.[1];
  const line = number === undefined ? '' : ` (${input.split('\n')[Number(number) - 1] ?? ''})`;
  const known = ADVICE.find(([pattern]) => pattern.test(reason));
  if (known === undefined && line === '') return error;
  const [, code, advice] = known ?? ['', 'host/tool-failed' as const, undefined];
  const wayOut = advice === undefined ? '' : `; ${advice}`;
  return new TroupeError(code, `${reason}${line}${wayOut}`, {}, error);
}
