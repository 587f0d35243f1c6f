// What the guests of this machine used, one sample a minute: their `usage` events (contract: instances 10).
//
// U1  In memory alone: at a sample a minute for each guest the store would do little else. A daemon that was started
//     anew has none from before, and a machine that is gone takes its samples with it; what has to be kept for longer
//     is for a collector to take from the metrics.
// U2  The last KEPT samples of each guest. Those of one that runs no longer go when the last of them is as old as the
//     first of a running one would be.
import type { Clock } from '../../actors/kernel/clock.ts';
import type { Json, JsonObject } from '../../actors/kernel/json.ts';
import type { EventRecord, Log, Random } from '../../actors/kernel/ports.ts';
import { ulidFactory } from '../../actors/kernel/ulid.ts';
import type { DomainUsage, NicUsage } from '../drivers/hypervisor/usage.ts';
import { Repeating } from './repeating.ts';

const EVERY_MS = 60_000;
export const KEPT = 60;

export interface UsageSamplesOptions {
  readonly node: string;
  readonly usage: () => Promise<readonly DomainUsage[]>;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
}

/** Runs until stopped; stop() waits for the sample being taken. */
export class UsageSamples {
  readonly #options: UsageSamplesOptions;
  readonly #ulid: (nowMs: number) => string;
  readonly #repeating: Repeating;
  readonly #kept = new Map<string, EventRecord[]>();
  #latest: readonly DomainUsage[] = [];

  constructor(options: UsageSamplesOptions) {
    this.#options = options;
    this.#ulid = ulidFactory(options.random);
    this.#repeating = new Repeating({
      ...options,
      everyMs: EVERY_MS,
      run: (trace) => this.#take(trace),
      trace: () => options.random.uuid(),
      failed: 'what guests use is not counted',
    });
  }

  stop(): Promise<void> {
    return this.#repeating.stop();
  }

  /** The last sample: every guest that ran then. */
  get latest(): readonly DomainUsage[] {
    return this.#latest;
  }

  /** Oldest first; none of an instance that has not run here lately. */
  of(instanceId: string): readonly EventRecord[] {
    return this.#kept.get(instanceId) ?? [];
  }

  async #take(trace: string): Promise<void> {
    const { usage, clock, node } = this.#options;
    this.#latest = await usage();
    const atMs = clock.nowMs();
    for (const one of this.#latest) {
      const what = { type: 'usage', message: 'usage', extra: usageExtra(one) } as const;
      const event: EventRecord = { ...what, id: this.#ulid(atMs), atMs, node, trace };
      const before = this.#kept.get(one.instanceId) ?? [];
      this.#kept.set(one.instanceId, [...before, event].slice(-KEPT));
    }
    this.#forgetBefore(atMs - KEPT * EVERY_MS);
  }

  #forgetBefore(oldestMs: number): void {
    for (const [id, events] of this.#kept) {
      if ((events.at(-1)?.atMs ?? 0) < oldestMs) this.#kept.delete(id);
    }
  }
}

/** In the contract's words. */
export function usageExtra({ cpu, disks, nics, oom }: DomainUsage): JsonObject {
  return {
    'cpu usage': {
      'cpu time ns': cpu.totalNs,
      'system time ns': cpu.systemNs,
      'user time ns': cpu.userNs,
    },
    'disk usage': Object.fromEntries(
      disks.map((disk) => [
        disk.device,
        {
          'read requests': disk.readRequests,
          'read bytes': disk.readBytes,
          'write requests': disk.writeRequests,
          'write bytes': disk.writeBytes,
          // QEMU does not tell libvirt, which says so with this number.
          errors: -1,
          'actual bytes on disk': disk.usedBytes,
        },
      ]),
    ),
    'network usage': Object.fromEntries(nics.map((nic) => [nic.mac, nicExtra(nic)])),
    ...(oom === null ? {} : { oom_score: oom.score, oom_score_adj: oom.adjustment }),
  };
}

function nicExtra({ read, write }: NicUsage): Json {
  return {
    'read bytes': read.bytes,
    'read packets': read.packets,
    'read errors': read.errors,
    'read drops': read.drops,
    'write bytes': write.bytes,
    'write packets': write.packets,
    'write errors': write.errors,
    'write drops': write.drops,
  };
}
