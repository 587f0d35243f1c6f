// Turns libvirt's events into reports about domains that changed by themselves.
//
// E1  Why a domain stopped is put into the ledger in the event's own turn: libvirtd forgets it when it
//     restarts.
// E2  A change is looked at in the instance's turn, after whatever is being done to it, and is told only
//     when it differs from what was last told or returned: our own doing is no news.
// E3  What happened while libvirtd was away is not replayed by anyone, so after each reconnect every
//     domain of ours is looked at and told.
import type { DomainReport } from '../../../actors/instance/ports.ts';
import { plainEqual } from '../../../actors/kernel/equal.ts';
import { reasonOf } from '../../../actors/kernel/errors.ts';
import type { Log } from '../../../actors/kernel/ports.ts';
import type { LibvirtEvent } from '../libvirt/link.ts';
import type { Lifecycle } from '../libvirt/names.ts';
import type { DomainRecords } from './domain-record.ts';
import { stopReason } from './observe.ts';
import { weighReason } from './power.ts';
import type { Turns } from '../turns.ts';

export type ChangeListener = (instanceId: string, report: DomainReport) => void;

export interface DomainWatchOptions {
  readonly records: DomainRecords;
  readonly turns: Turns;
  readonly log: Log;
  /** What is now; undefined when there is no such domain of ours. */
  readonly look: (instanceId: string) => Promise<DomainReport | undefined>;
}

export class DomainWatch {
  readonly #options: DomainWatchOptions;
  readonly #listeners = new Set<ChangeListener>();
  readonly #told = new Map<string, DomainReport>();
  /** Looks that wait for their turn; the value says whether to tell even when nothing differs. */
  readonly #due = new Map<string, boolean>();

  constructor(options: DomainWatchOptions) {
    this.#options = options;
  }

  /** Calls the listener with every change from now on; returns what ends that. */
  subscribe(listener: ChangeListener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Looks at the domains of ours that are meant, and tells of them, changed or not. */
  lookAgain(isMeant: (instanceId: string) => boolean): void {
    for (const { instanceId } of this.#options.records.list())
      if (isMeant(instanceId)) this.#lookAgain(instanceId, true);
  }

  /** What is reported with a domain has changed, though libvirt tells nothing of it. */
  changed(instanceId: string): void {
    this.#lookAgain(instanceId, false);
  }

  /** Takes one event of the libvirt client. */
  hear(event: LibvirtEvent): void {
    const { records, log } = this.#options;
    if (event.kind === 'disconnected') {
      return log('warn', 'the connection to libvirtd is lost: guests run on, trying again', {
        reason: event.error.message,
      });
    }
    if (event.kind === 'connected') return this.lookAgain(() => true);
    const instanceId = event.domain.uuid;
    if (records.get(instanceId) === undefined) return;
    switch (event.kind) {
      case 'lifecycle':
        this.#recordReason(instanceId, event.event, event.detail); // E1
        return this.#lookAgain(instanceId, false);
      case 'reboot':
        return this.#lookAgain(instanceId, true);
      case 'io-error':
      case 'control-error':
        log('warn', `libvirt reports ${event.kind} of a domain`, { ...event, domain: instanceId });
        return this.#lookAgain(instanceId, false);
      case 'watchdog':
      case 'block-job':
      case 'device-added':
      case 'device-removed':
      case 'device-removal-failed':
      case 'agent':
        return;
    }
  }

  /** What a caller was just given counts as told. */
  remember(instanceId: string, report: DomainReport): void {
    this.#told.set(instanceId, report);
  }

  forget(instanceId: string): void {
    this.#told.delete(instanceId);
  }

  #recordReason(instanceId: string, event: Lifecycle, detail: string): void {
    const { records } = this.#options;
    const recorded = records.get(instanceId)?.offReason ?? 'none';
    if (event === 'started') records.update(instanceId, { offReason: 'none' });
    // Somebody on this host ends QEMU; `stopped` follows and looks like the guest's own shutdown.
    if (event === 'shutdown' && detail === 'host')
      records.update(instanceId, { offReason: 'lost' });
    if (event === 'stopped') {
      records.update(instanceId, { offReason: weighReason(stopReason(detail), recorded) });
    }
  }

  #lookAgain(instanceId: string, always: boolean): void {
    const waiting = this.#due.get(instanceId);
    this.#due.set(instanceId, always || waiting === true);
    if (waiting !== undefined) return;
    const { turns, log } = this.#options;
    turns
      .run(instanceId, () => this.#look(instanceId))
      .catch((error: unknown) =>
        // libvirtd went away again: the next `connected` looks at everything.
        log('warn', 'could not look at a domain after an event', {
          instance: instanceId,
          reason: reasonOf(error),
        }),
      );
  }

  async #look(instanceId: string): Promise<void> {
    const always = this.#due.get(instanceId) === true;
    this.#due.delete(instanceId);
    const report = await this.#options.look(instanceId);
    if (report === undefined) return this.forget(instanceId);
    const told = this.#told.get(instanceId);
    if (!always && told !== undefined && isSame(told, report)) return;
    this.#told.set(instanceId, report);
    for (const listener of this.#listeners) listener(instanceId, report);
  }
}

function isSame(a: DomainReport, b: DomainReport): boolean {
  return (
    a.power === b.power &&
    a.offReason === b.offReason &&
    a.consolePort === b.consolePort &&
    a.vdiPort === b.vdiPort &&
    a.vdiTlsPort === b.vdiTlsPort &&
    plainEqual(a.agent ?? null, b.agent ?? null)
  );
}
