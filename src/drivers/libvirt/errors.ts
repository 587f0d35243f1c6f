// The one error class of this client, and libvirt's error numbers by name.
//
// E1  Every failure that a caller sees is a LibvirtError; nobody has to parse a message.
// E2  `code` is libvirt's own number when the daemon said it, and 0 when this client did.
// E3  `outcome` tells a caller who must not act twice whether the daemon may have acted.

/** Libvirt's error numbers (virErrorNumber) that a caller may want to tell apart. */
export const LIBVIRT_CODES = {
  'internal-error': 1,
  'no-memory': 2,
  'no-support': 3,
  'no-connect': 5,
  'invalid-argument': 8,
  'operation-failed': 9,
  'xml-error': 27,
  'domain-exists': 28,
  'operation-denied': 29,
  'xml-detail': 35,
  'system-error': 38,
  'rpc-error': 39,
  'no-domain': 42,
  'authentication-failed': 45,
  'operation-invalid': 55,
  'config-unsupported': 67,
  'operation-timeout': 68,
  'argument-unsupported': 74,
  'operation-aborted': 78,
  'no-domain-metadata': 80,
  'block-copy-active': 83,
  'operation-unsupported': 84,
  'agent-unresponsive': 86,
  'resource-busy': 87,
  'access-denied': 88,
  'cpu-incompatible': 91,
  'xml-invalid-schema': 92,
  'agent-unsynced': 97,
  'device-missing': 99,
} as const;

/** What this client itself can fail with. */
export type ClientReason =
  | 'unreachable' // nobody answers at the socket
  | 'authentication-required' // the daemon wants polkit or SASL
  | 'disconnected' // the connection went away, or is not up
  | 'deadline' // no reply in time
  | 'aborted' // the caller's signal
  | 'malformed' // the peer broke the protocol
  | 'invalid-value'; // the caller passed what the wire or XML cannot carry

/** A name for what went wrong; `daemon-error` for libvirt numbers that have no name here. */
export type LibvirtReason = keyof typeof LIBVIRT_CODES | 'daemon-error' | ClientReason;

/** `failed`: it did not happen. `not-sent`: the daemon never saw it. `unknown`: it may happen yet. */
export type LibvirtOutcome = 'failed' | 'not-sent' | 'unknown';

/** What libvirt reports with an error, as it came over the wire. */
export interface DaemonError {
  readonly code: number;
  readonly domain: number;
  readonly level: number;
  readonly message: string | null;
}

interface Fields extends DaemonError {
  readonly reason: LibvirtReason;
  readonly outcome: LibvirtOutcome;
  readonly procedure: string;
  readonly cause?: unknown;
}

/** Any failure of a call, stream or connection. Make one with daemonError() or clientError(). */
export class LibvirtError extends Error {
  override readonly name = 'LibvirtError';
  readonly reason: LibvirtReason;
  readonly outcome: LibvirtOutcome;
  /** libvirt's virErrorNumber, or 0 when the failure is this client's. */
  readonly code: number;
  /** libvirt's virErrorDomain: which part of it failed (10 is QEMU, 7 RPC). */
  readonly domain: number;
  /** 1 warning, 2 error. */
  readonly level: number;
  /** libvirt's name of the procedure, or '' outside a call. */
  readonly procedure: string;

  constructor(fields: Fields) {
    const { cause } = fields;
    super(fields.message ?? fields.reason, cause === undefined ? undefined : { cause });
    this.reason = fields.reason;
    this.outcome = fields.outcome;
    this.code = fields.code;
    this.domain = fields.domain;
    this.level = fields.level;
    this.procedure = fields.procedure;
  }
}

const NAMES: ReadonlyMap<number, LibvirtReason> = new Map(
  Object.entries(LIBVIRT_CODES).map(([name, code]) => [code, asReason(name)]),
);

function asReason(name: string): LibvirtReason {
  // Object.entries widens the key; it comes from the table itself.
  return name as keyof typeof LIBVIRT_CODES;
}

/** An error that the daemon reported in its reply to `procedure`. */
export function daemonError(error: DaemonError, procedure = ''): LibvirtError {
  const reason = NAMES.get(error.code) ?? 'daemon-error';
  return new LibvirtError({ ...error, reason, outcome: 'failed', procedure });
}

/** An error that this client found. */
export function clientError(
  reason: ClientReason,
  message: string,
  more: { outcome?: LibvirtOutcome; procedure?: string; cause?: unknown } = {},
): LibvirtError {
  const { outcome = 'not-sent', procedure = '', cause } = more;
  return new LibvirtError({
    code: 0,
    domain: 0,
    level: 2,
    message,
    reason,
    outcome,
    procedure,
    cause,
  });
}

/** Whether `error` is a LibvirtError, and (when given) for that reason. */
export function isLibvirtError(error: unknown, reason?: LibvirtReason): error is LibvirtError {
  return error instanceof LibvirtError && (reason === undefined || error.reason === reason);
}
