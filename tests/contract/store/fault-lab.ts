// A real etcd behind a link that fails on command, and a client on either side of the fault.
import { systemClock } from '../../../actors/kernel/clock.ts';
import { EtcdStore } from '../../../transport/store/etcd-store.ts';
import { startEtcd, type TestEtcd } from '../../support/etcd.ts';
import { flakyLink, type FlakyLink } from '../../support/flaky-link.ts';

/** Deadline of a call of the client behind the link. */
export const CALL_TIMEOUT_MS = 1_500;

export interface FaultLab {
  readonly etcd: TestEtcd;
  readonly link: FlakyLink;
  /** Reaches etcd through the link. */
  readonly store: EtcdStore;
  /** Reaches etcd directly. */
  readonly direct: EtcdStore;
}

/** Runs `body` in a lab of its own and takes it down whatever happens. */
export async function inLab(body: (lab: FaultLab) => Promise<void>): Promise<void> {
  const etcd = await startEtcd(['--grpc-keepalive-min-time=200ms']);
  const link = await flakyLink(etcd.port);
  const store = new EtcdStore({
    hosts: [link.url],
    clock: systemClock,
    callTimeoutMs: CALL_TIMEOUT_MS,
    keepaliveTimeMs: 1_000,
    keepaliveTimeoutMs: 500,
  });
  const direct = new EtcdStore({ hosts: [etcd.url], clock: systemClock });
  // Our timers keep no process alive; the test has to.
  const alive = setInterval(() => undefined, 1_000);
  try {
    await body({ etcd, link, store, direct });
  } finally {
    await Promise.allSettled([store.close(), direct.close()]);
    await link.close();
    await etcd.stop();
    clearInterval(alive);
  }
}

/** How a call ended and how long that took. */
export async function timed(call: Promise<unknown>): Promise<{
  readonly code: string;
  readonly ambiguous: unknown;
  readonly tookMs: number;
}> {
  const startedAt = performance.now();
  try {
    await call;
    return { code: 'ok', ambiguous: undefined, tookMs: performance.now() - startedAt };
  } catch (error) {
    const { code, detail } = error as { code: string; detail: Record<string, unknown> };
    return { code, ambiguous: detail['ambiguous'], tookMs: performance.now() - startedAt };
  }
}
