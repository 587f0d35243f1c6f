// How a command ends when it does not end well: one sentence, where to look it up, the way out.
import { ApiError } from '../client/api-error.ts';
import { onScreen } from './screen-text.ts';

export const DONE = 0;
export const FAILED = 1;
export const USAGE = 2;
/** As a shell reports what Ctrl-C has ended. */
export const INTERRUPTED = 130;

export interface FailureHints {
  /** What the user can do about it. */
  readonly wayOut?: string;
  readonly requestId?: string;
  readonly exitCode?: number;
}

/** A command that was refused, failed or was left: what is printed, and the exit code. */
export class CliError extends Error {
  override readonly name = 'CliError';
  readonly exitCode: number;
  readonly hints: FailureHints;

  constructor(message: string, hints: FailureHints = {}) {
    super(message);
    this.hints = hints;
    this.exitCode = hints.exitCode ?? FAILED;
  }
}

/** The command line itself cannot be understood; `help` names the help page that says how. */
export function usageError(message: string, help = 'troupe help'): CliError {
  return new CliError(message, { wayOut: `see \`${help}\``, exitCode: USAGE });
}

/** Turns whatever was thrown into what is printed. `loginSource`: where the login in use is from. */
export function explained(error: unknown, loginSource: string): CliError {
  if (error instanceof CliError) return error;
  if (error instanceof ApiError) {
    const { requestId } = error;
    const wayOut = wayOutOf(error, loginSource);
    const hints = { requestId, ...(wayOut === undefined ? {} : { wayOut }) };
    return new CliError(sentenceOf(error), hints);
  }
  if (error instanceof Error && error.name === 'AbortError') {
    const text = 'interrupted: what the API had accepted by then goes on';
    return new CliError(text, { exitCode: INTERRUPTED });
  }
  // What the machine lacks, or a setting that cannot be: its message has the way out.
  if (error instanceof Error && error.name === 'TroupeError') return new CliError(error.message);
  const { code } = error as NodeJS.ErrnoException;
  if (code === 'EACCES' || code === 'EPERM') {
    return new CliError((error as Error).message, { wayOut: 'run it as root: sudo npx troupe …' });
  }
  const [, place = ''] = error instanceof Error ? (error.stack ?? '').split('\n') : [];
  return new CliError(`unexpected: ${String(error)}`, {
    wayOut: `this is a fault of the command line itself, ${place.trim()}`,
  });
}

export function printable({ message, hints }: CliError): string {
  const request = hints.requestId ? `  request ${hints.requestId}\n` : '';
  const wayOut = hints.wayOut === undefined ? '' : `  ${onScreen(hints.wayOut)}\n`;
  return `troupe: ${onScreen(message)}\n${request}${wayOut}`;
}

function sentenceOf(error: ApiError): string {
  return isLogin(error) && error.status !== 0 ? `login refused: ${error.message}` : error.message;
}

function wayOutOf(error: ApiError, loginSource: string): string | undefined {
  const { status, request } = error;
  if (status === 0) return `start it with \`npm start\`, or check the login (${loginSource})`;
  if (isLogin(error) || status === 401) return `check namespace and key (${loginSource})`;
  const noun = /^[A-Z]+ \/(instance|network|artifact)s\//.exec(request)?.[1];
  if (status === 404 && noun !== undefined) return `\`troupe ${noun} list\` shows what there is`;
  if (status === 503 || status === 504) return 'try again in a moment';
  if (status === 500) return 'this is a fault of the daemon; its log has more under the request id';
  return undefined;
}

function isLogin(error: ApiError): boolean {
  return error.request === 'POST /auth';
}
