// The processor time of the service's own processes (contract: nodes 1.5): this daemon, its etcd and libvirtd, the
// dnsmasqs of networks. Guests are not among them.
import { readFileSync } from 'node:fs';
import { cpuUsage } from 'node:process';
import { performance } from 'node:perf_hooks';
import { ownedProcesses, type Whose } from '../embedded/owned-process.ts';

export interface ProcessTime {
  readonly program: string;
  readonly cpuSeconds: number;
  readonly ageSeconds: number;
}

/** Younger ones have no average worth showing. */
const YOUNGEST_S = 60;
/** What the kernel counts in; the same on every Linux that Node runs on. */
const TICKS_PER_SECOND = 100;
const GUESTS = /^(qemu-system|swtpm)/;

/** Reads the process list: some milliseconds. */
export function serviceProcesses(whose: Whose): ProcessTime[] {
  const { user, system } = cpuUsage();
  const self = {
    program: 'troupe',
    cpuSeconds: (user + system) / 1_000_000,
    ageSeconds: performance.now() / 1000,
  };
  const uptime = Number(readFileSync('/proc/uptime', 'utf8').split(' ')[0]);
  const others = ownedProcesses(whose).flatMap(({ pid, program }) => {
    return GUESTS.test(program) ? [] : (timeOf(pid, program, uptime) ?? []);
  });
  return [self, ...others];
}

/** Undefined when it has ended meanwhile. */
function timeOf(pid: number, program: string, uptime: number): ProcessTime | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // The second field is the program's name, in brackets, and may hold anything.
    const fields = text
      .slice(text.lastIndexOf(')') + 2)
      .split(' ')
      .map(Number);
    const [user = 0, system = 0, startTicks = 0] = [fields[11], fields[12], fields[19]];
    return {
      program,
      cpuSeconds: (user + system) / TICKS_PER_SECOND,
      ageSeconds: uptime - startTicks / TICKS_PER_SECOND,
    };
  } catch {
    return undefined;
  }
}

/** Three members for each program; of several processes of one, the times together by the age of the oldest. */
export function processMetrics(processes: readonly ProcessTime[]): Record<string, number> {
  const metrics: Record<string, number> = {};
  const old = processes.filter(({ ageSeconds }) => ageSeconds >= YOUNGEST_S);
  for (const program of new Set(old.map((one) => one.program))) {
    const ofIt = old.filter((one) => one.program === program);
    const time = ofIt.reduce((sum, { cpuSeconds }) => sum + cpuSeconds, 0);
    const age = Math.max(...ofIt.map(({ ageSeconds }) => ageSeconds));
    const name = program.replaceAll(/[^A-Za-z0-9]/g, '_');
    metrics[`process_cpu_time_${name}`] = rounded(time);
    metrics[`process_age_${name}`] = rounded(age);
    metrics[`process_cpu_fraction_${name}`] = rounded(time / age);
  }
  return metrics;
}

function rounded(value: number): number {
  return Math.round(value * 10_000) / 10_000;
}
