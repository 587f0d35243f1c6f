// Compares what this node has reserved with what the instances say, and mends both ways: a reservation that nobody
// claims is given back, an instance that is placed here without one gets it.
//
// V1  The owner decides, wherever its actor runs: it is asked through the router. The copy of the store only says whom to ask, and
//     that somebody is gone for good, which it cannot take back.
// V2  An instance that agrees with its reservation is not asked. Per audit only so many are; the others wait for the next.
// V3  An owner that does not answer keeps what it has.
import type { Clock } from '../../actors/kernel/clock.ts';
import { unlessGone } from '../../actors/kernel/errors.ts';
import { diskOf } from '../../actors/instance/candidate.ts';
import { holdsPlace } from '../../actors/instance/place.ts';
import { instanceRef, type InstanceState } from '../../actors/instance/state.ts';
import type { Log, Random, Router } from '../../actors/kernel/ports.ts';
import { nodeRef, type NodeState } from '../../actors/node/state.ts';
import type { PlacementRecords } from './candidates.ts';
import { Repeating } from './repeating.ts';

const AUDIT_MS = 30_000;
/** Younger reservations are those of instances that are just being placed. */
const GRACE_MS = 30_000;
const MOST_ASKED = 100;

export interface ReservationAuditOptions {
  readonly node: string;
  readonly read: PlacementRecords;
  readonly router: Router;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  /** Between the end of one and the start of the next; default 30 s. */
  readonly everyMs?: number;
}

/** Runs until stopped; stop() waits for the one under way. */
export class ReservationAudit {
  readonly #options: ReservationAuditOptions;
  readonly #repeating: Repeating;

  constructor(options: ReservationAuditOptions) {
    this.#options = options;
    const { clock, log, random, everyMs = AUDIT_MS } = options;
    this.#repeating = new Repeating({
      clock,
      log,
      everyMs,
      trace: () => random.uuid(),
      failed: 'audit of reservations not finished',
      run: (trace) => this.#audit(trace),
    });
  }

  stop(): Promise<void> {
    return this.#repeating.stop();
  }

  async #audit(trace: string): Promise<void> {
    const { node, read } = this.#options;
    const state = read.nodes.get(node)?.state;
    if (state === undefined) return;
    await this.#giveBack(state, trace);
    await this.#takeIn(state, trace);
  }

  async #giveBack(state: NodeState, trace: string): Promise<void> {
    const { node, read, router, log } = this.#options;
    const instanceIds: string[] = [];
    let asked = 0;
    for (const [id, { grantedAtMs }] of Object.entries(state.reservations)) {
      const known = read.instances.get(id)?.state;
      if (known !== undefined && known.node === node && holdsPlace(known)) continue;
      if (known !== undefined && isGoneForGood(known)) instanceIds.push(id);
      else if (this.#isYoung(grantedAtMs) || ++asked > MOST_ASKED) continue;
      else if ((await this.#claims(id, trace)) === false) instanceIds.push(id);
    }
    if (instanceIds.length === 0) return;
    log('info', 'reservations that nobody claims are given back', { trace, instanceIds });
    await router.ask(nodeRef(node), { kind: 'release', instanceIds }, { trace });
  }

  async #takeIn({ reservations }: NodeState, trace: string): Promise<void> {
    const { node, read, router, log } = this.#options;
    const missing = [...read.instances.all()].filter(
      ({ id, state }) =>
        state.node === node && holdsPlace(state) && !Object.hasOwn(reservations, id),
    );
    const instances = [];
    for (const { id, state } of missing.slice(0, MOST_ASKED)) {
      if ((await this.#claims(id, trace)) !== true) continue;
      const { cpus, memoryMiB } = state;
      instances.push({ instanceId: id, cpus, memoryMiB, diskGiB: diskOf(state) });
    }
    if (instances.length === 0) return;
    log('info', 'instances placed here without a reservation are taken in', { trace, instances });
    await router.ask(nodeRef(node), { kind: 'adopt', instances }, { trace });
  }

  /** The wall clock may have been set back: what is from the future is old. */
  #isYoung(grantedAtMs: number): boolean {
    const ageMs = this.#options.clock.nowMs() - grantedAtMs;
    return ageMs >= 0 && ageMs < GRACE_MS;
  }

  /** Undefined: no answer. */
  async #claims(id: string, trace: string): Promise<boolean | undefined> {
    const { node, router, log } = this.#options;
    try {
      const message = { kind: 'claims-place', node } as const;
      const reply = await unlessGone(router.ask(instanceRef(id), message, { trace }));
      return reply?.value === true;
    } catch (error) {
      log('debug', 'not known whether a reservation is claimed', { trace, instance: id, error });
      return undefined;
    }
  }
}

/** There is no way back to a node from there. */
function isGoneForGood(state: InstanceState): boolean {
  const isAtRest = state.phase === 'deleted' || state.phase === 'error';
  return isAtRest && !holdsPlace(state);
}
