// From an open socket to a session with a hypervisor: authentication, connect_open, keepalive, events.
import type { CallOptions } from './call-table.ts';
import { dial, type Connection, type ConnectionOptions } from './connection.ts';
import { clientError } from './errors.ts';
import { EVENTS } from './events.ts';
import type { KeepaliveOptions } from './keepalive.ts';
import { PROCEDURES } from './procedures.ts';

/** remote_auth_type. */
const AUTH_NONE = 0;
const AUTH_NAMES = new Map([
  [1, 'SASL'],
  [2, 'polkit'],
]);
const OPEN_READONLY = 1;
/** virDrvFeature numbers that the daemon itself answers. */
const FEATURE_PROGRAM_KEEPALIVE = 10;
const FEATURE_REMOTE_EVENT_CALLBACK = 14;
const CLOSE_TIMEOUT_MS = 1000;

export interface SessionOptions extends ConnectionOptions {
  readonly uri: string;
  readonly readonly: boolean;
  /** Deadline of everything until the session is up. */
  readonly connectTimeoutMs: number;
  /** `false` for a connection that carries a stream and may rightly be silent or unread. */
  readonly keepalive: KeepaliveOptions | false;
  /** Whether the daemon shall push domain events. */
  readonly events: boolean;
}

/** Opens a session; rejects with a LibvirtError and leaves no socket behind. */
export async function openSession(
  options: SessionOptions,
  signal?: AbortSignal,
): Promise<Connection> {
  const connection = await dial(options, signal);
  const limits = { timeoutMs: options.connectTimeoutMs, ...(signal && { signal }) };
  try {
    await authenticate(connection, options.socketPath, limits);
    const flags = options.readonly ? OPEN_READONLY : 0;
    await connection.call(PROCEDURES.connectOpen, { uri: options.uri, flags }, limits);
    if (options.keepalive !== false) await keepAlive(connection, options.keepalive, limits);
    if (options.events) await registerEvents(connection, limits);
    return connection;
  } catch (error) {
    connection.close();
    throw error;
  }
}

/** Says good-bye and ends the connection, within a second whatever the daemon does. */
export async function closeSession(connection: Connection): Promise<void> {
  try {
    await connection.call(PROCEDURES.connectClose, undefined, { timeoutMs: CLOSE_TIMEOUT_MS });
  } catch {
    // The good-bye is a courtesy; the socket's end tells the daemon the same.
  } finally {
    connection.close();
  }
}

async function authenticate(
  connection: Connection,
  socketPath: string,
  limits: CallOptions,
): Promise<void> {
  const { types } = await connection.call(PROCEDURES.authList, undefined, limits);
  const [type = AUTH_NONE] = types;
  if (types.includes(AUTH_NONE) || types.length === 0) return;
  const name = AUTH_NAMES.get(type) ?? `method ${type}`;
  throw clientError(
    'authentication-required',
    `libvirtd at ${socketPath} asks this user for ${name} authentication, which this client does ` +
      `not do: run as root, or set auth_unix_rw = "none" in its libvirtd.conf and give this user ` +
      `the socket by unix_sock_group`,
  );
}

/** Asking for the feature is what makes libvirtd send pings of its own. */
async function keepAlive(
  connection: Connection,
  options: KeepaliveOptions,
  limits: CallOptions,
): Promise<void> {
  const feature = FEATURE_PROGRAM_KEEPALIVE;
  const { supported } = await connection.call(
    PROCEDURES.connectSupportsFeature,
    { feature },
    limits,
  );
  if (supported) connection.startKeepalive(options);
}

async function registerEvents(connection: Connection, limits: CallOptions): Promise<void> {
  const feature = FEATURE_REMOTE_EVENT_CALLBACK;
  await connection.call(PROCEDURES.connectSupportsFeature, { feature }, limits);
  for (const { eventId } of Object.values(EVENTS)) {
    const args = { eventId, domain: null };
    await connection.call(PROCEDURES.connectDomainEventCallbackRegisterAny, args, limits);
  }
}
