// What to do to a domain so that its power matches what is wanted: a pure decision (see invariant H2 of
// actors/instance/ports.ts).
//
// W1  A guest is started once per `powerOns`, and again only when it was lost: its QEMU died or was ended
//     from outside, or the host rebooted under it. A guest that shut itself down, or was stopped on request, stays off.
// W2  A reboot is done at most once per count: the count is recorded before it is done, so a crash of the
//     daemon in between costs one reboot that the user asks for again, never an unasked second one.
// W3  Off is the end of every reboot asked for before: what starts later starts fresh.
import type { DomainSpec } from '../../../actors/instance/ports.ts';
import type { DomainRecord } from './domain-record.ts';

export type OffReason = 'guest' | 'requested' | 'lost';

/** What libvirt says about a domain, in the words of this driver. */
export type Observed =
  | { readonly power: 'on' }
  | { readonly power: 'paused'; readonly byItself: boolean }
  | { readonly power: 'crashed' }
  /** `unknown`: libvirtd was restarted since, and does not remember. */
  | { readonly power: 'off'; readonly reason: OffReason | 'unknown' };

export type Step =
  | 'start'
  | 'start-paused'
  | 'suspend'
  | 'resume'
  | 'destroy'
  /** Pulls the reset line. */
  | 'reset'
  /** Presses the power button and starts the guest again when it has shut down. */
  | 'reboot';

export interface Situation {
  readonly observed: Observed;
  readonly record: DomainRecord;
  readonly wanted: Pick<DomainSpec, 'power' | 'powerOns' | 'hardReboots' | 'softReboots'>;
  /** Of now (boot-id.ts). */
  readonly bootId: string;
  /** False: it was resumed after an I/O error a moment ago, and another try has to wait. */
  readonly mayRetryIo: boolean;
}

/** The steps, in order, from what is to what is wanted; none when they match. */
export function planPower(situation: Situation): readonly Step[] {
  const { observed, wanted } = situation;
  if (wanted.power === 'off') return observed.power === 'off' ? [] : ['destroy'];
  const start = wanted.power === 'paused' ? 'start-paused' : 'start';
  switch (observed.power) {
    case 'off':
      return isStartDue(situation) ? [start] : [];
    case 'crashed':
      return isNewPowerOn(situation) || isNewHardReboot(situation) ? ['destroy', start] : [];
    case 'on':
      return [...reboots(situation), ...(wanted.power === 'paused' ? ['suspend' as const] : [])];
    case 'paused':
      return [...resumption(situation, observed.byItself), ...reboots(situation)];
  }
}

/** Why the domain is off: libvirt's word, else what was recorded, else what can be inferred. */
export function offReason(
  reason: OffReason | 'unknown',
  record: DomainRecord,
  bootId: string,
): OffReason | null {
  if (reason !== 'unknown') return weighReason(reason, record.offReason);
  if (record.offReason !== 'none') return record.offReason;
  if (record.startedFor === 0) return null;
  if (record.bootId !== bootId) return 'lost';
  // Nobody saw it stop, and a libvirtd started since does not know. Had its QEMU died while no libvirtd
  // ran, the next libvirtd would have noticed and said so; what is left is a guest's own shutdown.
  return 'guest';
}

/**
 * The better of libvirt's reason for a stop and the one recorded since the last start. A QEMU that the
 * host told to end (SIGTERM, as at the host's own shutdown) ends like one whose guest shut down; only the
 * event before it tells the difference, which is recorded as lost.
 */
export function weighReason(seen: OffReason, recorded: DomainRecord['offReason']): OffReason {
  return seen === 'guest' && recorded === 'lost' ? 'lost' : seen;
}

function isStartDue(situation: Situation): boolean {
  const { observed, record, bootId } = situation;
  if (isNewPowerOn(situation)) return true;
  return observed.power === 'off' && offReason(observed.reason, record, bootId) === 'lost';
}

function isNewPowerOn({ record, wanted }: Situation): boolean {
  return wanted.powerOns > record.startedFor;
}

function isNewHardReboot({ record, wanted }: Situation): boolean {
  return wanted.hardReboots > record.hardReboots;
}

function reboots(situation: Situation): Step[] {
  // A reset makes a wish for a gentler reboot moot.
  if (isNewHardReboot(situation)) return ['reset'];
  return situation.wanted.softReboots > situation.record.softReboots ? ['reboot'] : [];
}

function resumption({ wanted, mayRetryIo }: Situation, byItself: boolean): Step[] {
  if (wanted.power === 'paused') return [];
  return byItself && !mayRetryIo ? [] : ['resume'];
}
