// Gives guests the chance to end in order before they are ended: presses the power button of each, and waits.
import type { Log } from '../../actors/kernel/ports.ts';
import { reasonOf } from '../../actors/kernel/errors.ts';
import { connectLibvirt, type Libvirt } from '../drivers/libvirt/client.ts';
import type { DomainRef } from '../drivers/libvirt/wire.ts';

export interface ShutDownOptions {
  /** libvirtd's read-write socket. */
  readonly socketPath: string;
  /** How long guests may take, ms; who is still running then is left running. */
  readonly timeoutMs: number;
  readonly log: Log;
  /** Told how many guests are waited for; not called when there is none. */
  readonly onWaiting: (guests: number) => void;
}

/** Resolves when no guest runs or time is up. Never rejects: what is left is ended by force afterwards. */
export async function shutDownGuests(options: ShutDownOptions): Promise<void> {
  const { socketPath, log } = options;
  try {
    const libvirt = await connectLibvirt({ socketPath, connectTimeoutMs: 3_000 });
    try {
      await pressButtons(libvirt, options);
    } finally {
      await libvirt.close();
    }
  } catch (error) {
    log('warn', 'guests were not asked to shut down', { reason: reasonOf(error) });
  }
}

async function pressButtons(libvirt: Libvirt, options: ShutDownOptions): Promise<void> {
  const running = new Set<string>();
  const { promise: allOff, resolve } = Promise.withResolvers<void>();
  // Listening before asking: a guest may be off before the list is back.
  libvirt.subscribe((event) => {
    if (event.kind !== 'lifecycle' || event.event !== 'stopped') return;
    running.delete(event.domain.uuid);
    if (running.size === 0) resolve();
  });
  const active = await awake(libvirt);
  for (const { uuid } of active) running.add(uuid);
  if (running.size === 0) return;
  options.onWaiting(running.size);
  await Promise.all(active.map((domain) => press(libvirt, domain, options.log)));
  const timer = setTimeout(resolve, options.timeoutMs);
  await allOff;
  clearTimeout(timer);
}

/** Who is paused cannot hear the button. */
async function awake(libvirt: Libvirt): Promise<DomainRef[]> {
  const active = await libvirt.host.listDomains(['active']);
  const states = await Promise.all(active.map((domain) => libvirt.domains.state(domain)));
  return active.filter((_, index) => states[index]?.state === 'running');
}

async function press(libvirt: Libvirt, domain: DomainRef, log: Log): Promise<void> {
  try {
    await libvirt.domains.shutdown(domain, { by: 'acpi' });
  } catch (error) {
    log('warn', 'a guest was not asked to shut down', {
      domain: domain.name,
      reason: reasonOf(error),
    });
  }
}
