// What the pins of procedures share: a private libvirtd with an idle and a running domain.
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import * as assert from 'uvu/assert';
import { dial, type Connection } from '../../../src/drivers/libvirt/connection.ts';
import { buildDiskXml } from '../../../src/drivers/libvirt/domain-device-xml.ts';
import type { DomainSpec } from '../../../src/drivers/libvirt/domain-spec.ts';
import { buildDomainXml } from '../../../src/drivers/libvirt/domain-xml.ts';
import { isLibvirtError, type LibvirtReason } from '../../../src/drivers/libvirt/errors.ts';
import { PROCEDURES as P } from '../../../src/drivers/libvirt/procedures.ts';
import { openSession, type SessionOptions } from '../../../src/drivers/libvirt/session.ts';
import type { DomainRef } from '../../../src/drivers/libvirt/wire.ts';
import { startLibvirtd, type TestLibvirtd } from '../../support/libvirtd.ts';
import { tinySpec } from './domains.ts';

export interface Pinning {
  readonly daemon: TestLibvirtd;
  readonly connection: Connection;
  /** Another session, for streams. */
  readonly session: () => Promise<Connection>;
  /** A connection on which connect_open has not been called. */
  readonly dial: () => Promise<Connection>;
  /** A defined domain, and one that runs with a disk `vda` over a base image. */
  readonly idle: DomainRef;
  readonly running: DomainRef;
  readonly stop: () => Promise<void>;
}

/** A pin for each procedure of a table, and none besides. */
export type Pins<Table> = Record<keyof Table, (pinning: Pinning) => Promise<void>>;

export async function startPinning(): Promise<Pinning> {
  const daemon = await startLibvirtd();
  const options: SessionOptions = {
    socketPath: daemon.socketPath,
    uri: 'qemu:///system',
    readonly: false,
    callTimeoutMs: 20_000,
    connectTimeoutMs: 20_000,
    maxInFlight: 4,
    keepalive: false,
    events: false,
  };
  const opened: Connection[] = [];
  const keep = (connection: Connection) => {
    opened.push(connection);
    return connection;
  };
  const session = async () => keep(await openSession(options));
  const stop = async () => {
    for (const each of opened) each.close();
    await daemon.stop();
  };
  try {
    const connection = await session();
    const idle = await define(connection, {});
    const defined = await define(connection, runningSpec(daemon));
    const args = { domain: defined, flags: 0 };
    const { domain: running } = await connection.call(P.domainCreateWithFlags, args);
    const dialled = async () => keep(await dial(options));
    return { daemon, connection, session, dial: dialled, idle, running, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

async function define(connection: Connection, more: Partial<DomainSpec>): Promise<DomainRef> {
  const args = { xml: buildDomainXml(tinySpec(more)), flags: 1 };
  return (await connection.call(P.domainDefineXmlFlags, args)).domain;
}

function runningSpec(daemon: TestLibvirtd): Partial<DomainSpec> {
  return {
    disks: [{ path: overlay(daemon), format: 'qcow2', bus: 'virtio' }],
    hotplugPorts: 4,
    channels: [{ name: 'org.qemu.guest_agent.0' }],
    graphics: [{ kind: 'vnc', socket: join(daemon.directory, 'vnc') }],
    video: { model: 'vga' },
  };
}

function overlay({ directory }: TestLibvirtd): string {
  const base = join(directory, 'base.qcow2');
  const top = join(directory, 'disk.qcow2');
  execFileSync('qemu-img', ['create', '-q', '-f', 'qcow2', base, '8M']);
  // Something to copy, so that a job at 1 MiB/s is still running when it is asked about.
  execFileSync('qemu-io', ['-c', 'write -q 0 8M', base]);
  execFileSync('qemu-img', ['create', '-q', '-f', 'qcow2', '-b', base, '-F', 'qcow2', top]);
  return top;
}

/** The XML of a disk `vdb` with a file behind it. */
export function secondDisk({ directory }: TestLibvirtd): string {
  const path = join(directory, 'second.raw');
  if (!existsSync(path)) execFileSync('qemu-img', ['create', '-q', '-f', 'raw', path, '1M']);
  return buildDiskXml({ path, format: 'raw', bus: 'virtio', target: 'vdb' });
}

/** Asserts that libvirt itself refuses a call, for this reason and with this number. */
export async function refusal(
  call: Promise<unknown>,
  reason: LibvirtReason,
  code: number,
): Promise<void> {
  const error = await call.then(
    () => 'it was not refused',
    (failure: unknown) => failure,
  );
  if (!isLibvirtError(error)) throw new Error(`no error of libvirt: ${String(error)}`);
  assert.is(error.reason, reason, error.message);
  assert.is(error.code, code, error.message);
  assert.is(error.outcome, 'failed');
}

/** libvirt's version numbers as people write them. */
export function dotted(version: number): string {
  return [version / 1_000_000, (version / 1000) % 1000, version % 1000].map(Math.floor).join('.');
}
