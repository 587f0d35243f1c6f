// What the daemon's own process takes.
import { readdirSync } from 'node:fs';
import { performance, type EventLoopUtilization } from 'node:perf_hooks';
import { one, type Family } from './exposition.ts';

/** A reader of the process; asked at each scrape. */
export class ProcessMeter {
  readonly #startedS = Math.round((Date.now() - performance.now()) / 1000);
  #before: EventLoopUtilization = performance.eventLoopUtilization();

  families(): Family[] {
    const { user, system } = process.cpuUsage();
    const { rss, heapUsed } = process.memoryUsage();
    return [
      one('process_cpu_seconds', (user + system) / 1_000_000),
      one('process_resident_memory_bytes', rss),
      one('process_start_time_seconds', this.#startedS),
      one('process_open_fds', openFiles()),
      one('nodejs_heap_used_bytes', heapUsed),
      one('nodejs_eventloop_utilization', this.#utilization()),
    ];
  }

  #utilization(): number {
    const now = performance.eventLoopUtilization();
    const { utilization } = performance.eventLoopUtilization(now, this.#before);
    this.#before = now;
    return Number(utilization.toFixed(4));
  }
}

/** Without the one that the look itself opens. */
function openFiles(): number {
  return readdirSync('/proc/self/fd').length - 1;
}
