// What `sf-agent` says of itself, as the state that clients see (contract: instances 2.3 and 12.1).
import type { AgentSeen } from '../../../actors/instance/state.ts';
import type { SfPacket } from './sf-frame.ts';

/** Monitored, and silent so far. */
export const UNKNOWN: AgentSeen = {
  state: 'not ready (no contact)',
  startedAtMs: null,
  bootedAtMs: null,
};

const OLDEST = [0, 3, 16] as const;

export function afterHello(packet: SfPacket, now: number): AgentSeen {
  const { message } = packet;
  const isTooOld = typeof message === 'string' && isOlder(message);
  const state = isTooOld ? 'not ready (agent too old)' : 'not ready (agent startup)';
  return { state, startedAtMs: now, bootedAtMs: bootTime(packet) };
}

/** One that we came to later has said hello to somebody else: its first word counts. */
export function afterRunning(seen: AgentSeen, packet: SfPacket, now: number): AgentSeen {
  const { result, message } = packet;
  const startedAtMs = seen.startedAtMs ?? now;
  const bootedAtMs = bootTime(packet) ?? seen.bootedAtMs;
  if (seen.state === 'not ready (agent too old)') return { ...seen, bootedAtMs };
  return { state: systemState(result === true, message), startedAtMs, bootedAtMs };
}

export function afterStop(seen: AgentSeen): AgentSeen {
  return { ...seen, state: 'not ready (agent stopped)' };
}

/** `word`: of the guest's service manager, so anything. */
function systemState(isRunning: boolean, word: unknown): string {
  if (word === 'degraded') return 'ready (degraded)';
  if (isRunning || word === 'running') return 'ready';
  const isWord = typeof word === 'string' && /^[\w -]{1,32}$/.test(word);
  return `not ready (${isWord ? word : 'unknown'})`;
}

/** `version 0.3.16`; what names no version is taken as it is. */
function isOlder(message: string): boolean {
  const match = /^version (\d{1,6})(?:\.(\d{1,6}))?(?:\.(\d{1,6}))?/.exec(message);
  if (match === null) return false;
  for (const [index, least] of OLDEST.entries()) {
    const part = Number(match[index + 1] ?? 0);
    if (part !== least) return part < least;
  }
  return false;
}

function bootTime(packet: SfPacket): number | null {
  const seconds = packet['system_boot_time'];
  const isTime = typeof seconds === 'number' && seconds > 0 && seconds < 1e11;
  return isTime ? Math.round(seconds * 1000) : null;
}
