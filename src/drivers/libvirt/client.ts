// The face of this folder: a client of libvirtd over its Unix socket, in plain TypeScript.
//
//   const libvirt = await connectLibvirt({ socketPath: '/run/libvirt/libvirt-sock' });
//   const domain = await libvirt.domains.define(buildDomainXml(spec));
//   await libvirt.domains.start(domain);
//
// It needs nothing but Node. It speaks libvirt's own RPC protocol, whose numbers and layouts are
// internal to libvirt but kept, because an old virsh has to work with a new libvirtd.
//
// A1  Every call has a deadline and takes an AbortSignal; every failure is a LibvirtError (errors.ts).
// A2  Calls run in parallel. After a lost connection the client dials again by itself; subscribers hear
//     `disconnected` and `connected`, and should list the domains again after each `connected`.
// A3  A deadline does not undo a call: `outcome` is `unknown` then, and the daemon may act yet.
import { BackupCalls } from './backup-calls.ts';
import { BlockCalls } from './block-calls.ts';
import { DomainCalls } from './domain-calls.ts';
import { GuestCalls } from './guest-calls.ts';
import { HostCalls } from './host-calls.ts';
import type { KeepaliveOptions } from './keepalive.ts';
import { Link, type LibvirtListener } from './link.ts';

export interface LibvirtOptions {
  readonly socketPath: string;
  /** The driver behind the daemon; `qemu:///system` unless given. */
  readonly uri?: string;
  /** Only ask, never change. libvirtd has a socket of its own for this. */
  readonly readonly?: boolean;
  /** Deadline of a call that names none; 30 s unless given. */
  readonly callTimeoutMs?: number;
  /** Deadline of (re)connecting, 30 s unless given: a fresh libvirtd probes QEMU for seconds first. */
  readonly connectTimeoutMs?: number;
  /**
   * Calls with the daemon at once, 4 unless given; others wait their turn. Must stay below libvirtd's
   * max_client_requests (5 unless configured): at that number libvirtd stops reading, pings included.
   */
  readonly maxInFlight?: number;
  /** How a silent daemon is found out; 5 pings, 5 s apart, unless given. */
  readonly keepalive?: KeepaliveOptions;
  /** Ends the first connecting; not the client that came of it. */
  readonly signal?: AbortSignal;
}

/** A connected client. close() it. */
export interface Libvirt {
  readonly host: HostCalls;
  readonly domains: DomainCalls;
  readonly block: BlockCalls;
  readonly backup: BackupCalls;
  readonly guest: GuestCalls;
  /** Whether a call would reach the daemon at this moment. */
  readonly connected: boolean;
  /**
   * Calls the listener with every domain event, and on `connected` and `disconnected`. Subscribe, then
   * list the domains: the other way round, what happens in between is missed.
   */
  subscribe(listener: LibvirtListener): () => void;
  /** Says good-bye; outstanding calls fail with `disconnected`, consoles end. Idempotent. */
  close(): Promise<void>;
}

/**
 * Connects, authenticates and registers for events. Rejects when the first attempt fails: `unreachable`,
 * `authentication-required`, `deadline`, `aborted`, or what the daemon said.
 */
export async function connectLibvirt(options: LibvirtOptions): Promise<Libvirt> {
  const link = await Link.open(
    {
      socketPath: options.socketPath,
      uri: options.uri ?? 'qemu:///system',
      readonly: options.readonly ?? false,
      callTimeoutMs: options.callTimeoutMs ?? 30_000,
      connectTimeoutMs: options.connectTimeoutMs ?? 30_000,
      maxInFlight: options.maxInFlight ?? 4,
      keepalive: options.keepalive ?? { intervalMs: 5000, misses: 5 },
    },
    options.signal,
  );
  return {
    host: new HostCalls(link),
    domains: new DomainCalls(link),
    block: new BlockCalls(link),
    backup: new BackupCalls(link),
    guest: new GuestCalls(link),
    get connected() {
      return link.connected;
    },
    subscribe: (listener) => link.subscribe(listener),
    close: () => link.close(),
  };
}
