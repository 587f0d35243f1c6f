// Every error that crosses a boundary (reply, frame, REST body, exit code) has a code from this
// table. `retry` tells supervisors and clients what to do; nobody parses messages.

/** What a client or supervisor does about an error: give up, try again later, or refresh its view first. */
export type Retry = 'never' | 'backoff' | 'after-refresh';

export const CODES = {
  'actor/stopped': { http: 503, retry: 'backoff' },
  'actor/overloaded': { http: 503, retry: 'backoff' },
  'actor/timeout': { http: 503, retry: 'backoff' },
  'actor/crashed': { http: 500, retry: 'never' },
  'actor/unknown-kind': { http: 404, retry: 'never' },
  'actor/bad-message': { http: 400, retry: 'never' },
  'actor/bad-snapshot': { http: 500, retry: 'never' },
  'object/not-found': { http: 404, retry: 'never' },
  'object/exists': { http: 409, retry: 'never' },
  'object/wrong-phase': { http: 409, retry: 'never' },
  'object/not-ready': { http: 406, retry: 'backoff' },
  'object/deadline': { http: 504, retry: 'never' },
  'object/nothing-to-cancel': { http: 409, retry: 'never' },
  'shard/not-owner': { http: 503, retry: 'after-refresh' },
  'store/unavailable': { http: 503, retry: 'backoff' },
  'store/compacted': { http: 503, retry: 'after-refresh' },
  'store/conflict': { http: 409, retry: 'after-refresh' },
  'store/too-large': { http: 413, retry: 'never' },
  'store/bad-value': { http: 500, retry: 'never' },
  'store/closed': { http: 503, retry: 'never' },
  'store/lease-lost': { http: 503, retry: 'never' },
  'node/is-member': { http: 409, retry: 'never' },
  'node/removed': { http: 403, retry: 'never' },
  'mesh/unreachable': { http: 503, retry: 'backoff' },
  'mesh/overloaded': { http: 503, retry: 'backoff' },
  'mesh/too-large': { http: 413, retry: 'never' },
  'mesh/foreign-error': { http: 500, retry: 'backoff' },
  'executor/stale-epoch': { http: 503, retry: 'never' },
  'executor/unknown-resource': { http: 404, retry: 'never' },
  'network/bad-netblock': { http: 400, retry: 'never' },
  'network/address-in-use': { http: 409, retry: 'never' },
  'network/address-outside': { http: 400, retry: 'never' },
  'network/no-free-address': { http: 507, retry: 'never' },
  'network/vni-exhausted': { http: 507, retry: 'never' },
  'network/not-ready': { http: 406, retry: 'backoff' },
  'network/in-use': { http: 403, retry: 'never' },
  'scheduler/no-node': { http: 507, retry: 'never' },
  'image/bad-url': { http: 400, retry: 'never' },
  'image/unreachable': { http: 502, retry: 'backoff' },
  'image/not-fetched': { http: 502, retry: 'never' },
  'image/refused': { http: 422, retry: 'never' },
  'image/damaged': { http: 422, retry: 'backoff' },
  'image/too-small-disk': { http: 400, retry: 'never' },
  'image/missing': { http: 404, retry: 'backoff' },
  'host/disk-full': { http: 507, retry: 'backoff' },
  'host/tool-missing': { http: 500, retry: 'never' },
  'host/tool-failed': { http: 500, retry: 'backoff' },
  'host/no-privilege': { http: 500, retry: 'never' },
  'host/port-in-use': { http: 500, retry: 'never' },
  'host/timeout': { http: 504, retry: 'backoff' },
  'host/locked': { http: 503, retry: 'backoff' },
  'hypervisor/unavailable': { http: 503, retry: 'backoff' },
  'hypervisor/refused': { http: 500, retry: 'never' },
  'hypervisor/segment-missing': { http: 503, retry: 'backoff' },
  'guest/lost': { http: 409, retry: 'never' },
  'guest/refused': { http: 409, retry: 'never' },
  'api/bad-request': { http: 400, retry: 'never' },
  'api/unauthenticated': { http: 401, retry: 'never' },
  'api/forbidden': { http: 403, retry: 'never' },
  'api/not-found': { http: 404, retry: 'never' },
  'api/conflict': { http: 409, retry: 'never' },
  'api/too-large': { http: 413, retry: 'never' },
  'api/upgrade-required': { http: 426, retry: 'never' },
  'api/not-implemented': { http: 501, retry: 'never' },
  'api/not-serving': { http: 503, retry: 'backoff' },
  'config/invalid': { http: 500, retry: 'never' },
} as const satisfies Record<string, { http: number; retry: Retry }>;

export type ErrorCode = keyof typeof CODES;
export type Detail = Readonly<Record<string, string | number | boolean>>;

/** An error with a public code. `message` says what was expected, what was found, and the way out. */
export class TroupeError extends Error {
  override readonly name = 'TroupeError';
  readonly code: ErrorCode;
  readonly detail: Detail;

  constructor(code: ErrorCode, message: string, detail: Detail = {}, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.code = code;
    this.detail = detail;
  }

  get retry(): Retry {
    return CODES[this.code].retry;
  }
}

/** True for text that is one of our codes; guards what comes from the wire or the store. */
export function isErrorCode(text: unknown): text is ErrorCode {
  return typeof text === 'string' && Object.hasOwn(CODES, text);
}

/** The code of a TroupeError, `actor/crashed` for anything else: what a boundary may show of it. */
export function codeOf(error: unknown): ErrorCode {
  return error instanceof TroupeError ? error.code : 'actor/crashed';
}

/** The message of whatever was thrown. */
export function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** Waits for an ask whose target may be gone, where that is as good as an answer. */
export async function unlessGone<T>(asked: Promise<T>): Promise<T | undefined> {
  try {
    return await asked;
  } catch (error) {
    if (error instanceof TroupeError && error.code === 'object/not-found') return undefined;
    throw error;
  }
}
