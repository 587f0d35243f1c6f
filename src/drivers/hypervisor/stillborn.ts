// Domains that libvirtd was killed in the middle of starting (a bug of libvirt, seen in 9.0).
//
// libvirtd writes a domain's status file before it has forked QEMU, with pid 0. Killed in those few
// milliseconds, the next libvirtd finds no process to connect to, and for ever keeps the domain's lock:
// it shows `paused (starting up)`, and every change of it fails with `cannot acquire state change lock`.
//
// S1  No QEMU of such a domain exists: the forked child gives up when libvirtd's side of its pipe closes.
// S2  The status file may be removed only while no libvirtd runs; whoever starts libvirtd does it.
import { readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { TroupeError } from '../../../actors/kernel/errors.ts';
import type { Libvirt } from '../libvirt/client.ts';
import { isLibvirtError } from '../libvirt/errors.ts';
import type { DomainRef } from '../libvirt/wire.ts';

const STILLBORN = /<domstatus state='paused' reason='starting up' pid='0'>/;

/**
 * Removes the status files of such domains from libvirt's run directory for QEMU (`/run/libvirt/qemu`);
 * returns their names. Call it before libvirtd is started. Quiet when there is no such folder.
 */
export async function removeStillborn(statusDir: string): Promise<readonly string[]> {
  const files = await readdir(statusDir).catch(() => []);
  const removed: string[] = [];
  for (const file of files.filter((name) => name.endsWith('.xml'))) {
    const path = join(statusDir, file);
    if (!STILLBORN.test(await readFile(path, 'utf8'))) continue;
    await rm(path);
    removed.push(file.slice(0, -'.xml'.length));
  }
  return removed;
}

/** The error, or one with the way out when it is this bug that a change of the domain failed on. */
export async function explainStillborn(
  libvirt: Libvirt,
  domain: DomainRef,
  error: unknown,
): Promise<unknown> {
  if (!isLibvirtError(error, 'operation-timeout')) return error;
  const { state, reason } = await libvirt.domains.state(domain);
  if (state !== 'paused' || reason !== 'starting-up') return error;
  return new TroupeError(
    'hypervisor/unavailable',
    `libvirtd was killed while it started domain ${domain.name}, and cannot get over it: stop libvirtd, remove ${domain.name}.xml from its run directory (/run/libvirt/qemu), start it again`,
    { domain: domain.name },
    error,
  );
}
