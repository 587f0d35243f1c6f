// Whether this machine's host name resolves: libvirt looks it up at every start of a domain (virGetHostname), and waits for
// a DNS that does not answer, ten seconds by default (resolv.conf(5)).
import { lookup } from 'node:dns/promises';
import { hostname } from 'node:os';
import type { Clock } from '../../actors/kernel/clock.ts';
import { reasonOf } from '../../actors/kernel/errors.ts';

const SLOW_MS = 1_000;

export interface NameService {
  readonly name: string;
  /** Rejects when it does not resolve. */
  readonly lookup: (name: string) => Promise<unknown>;
}

const OWN: NameService = { name: hostname(), lookup };

/** What to tell the operator; null when all is well. May take as long as a lookup does. */
export async function nameTrouble(
  clock: Pick<Clock, 'monoMs'>,
  { name, lookup: find }: NameService = OWN,
): Promise<string | null> {
  const begunAtMono = clock.monoMs();
  const failure = await find(name).then(
    () => null,
    (error: unknown) => reasonOf(error),
  );
  const tookMs = clock.monoMs() - begunAtMono;
  if (tookMs < SLOW_MS) return null;
  const seconds = Math.round(tookMs / 1_000);
  const how = failure === null ? `resolves after ${seconds} s` : `does not resolve in ${seconds} s`;
  return `the host name ${name} ${how}${failure === null ? '' : ` (${failure})`}: every start of an instance waits for that; add the line "127.0.1.1 ${name}" to /etc/hosts`;
}
