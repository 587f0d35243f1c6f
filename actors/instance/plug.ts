// Interfaces that an instance gets after it was built (contract: instances 8.2).
//
// G1  A plugged interface goes the way of all others: made, given its address, joined to its network on the instance's
//     node; only then is the domain wanted with it, so that a running guest gets it.
// G2  One that comes to nothing leaves the instance as it was: it is struck from the list, and deletes itself since
//     nobody wants it.
import { next, refuse, type EventDraft, type Step, type Wanted } from '../kernel/kind.ts';
import type { InstanceState, Nic } from './state.ts';

/** What can still be told apart on a PCI bus with everything else on it. */
export const MAX_NICS = 16;

/** Replies the interface's order. Asked again with the same interface: the same one. */
export function plug(state: InstanceState, asked: Nic): Step<InstanceState> {
  const known = state.nics.find((nic) => nic.interfaceId === asked.interfaceId);
  if (known !== undefined) return next(state, [], known.order);
  if (state.phase !== 'created') {
    const reason = `instance in invalid state for hot plug (${state.phase})`;
    return refuse(state, 'object/not-ready', reason);
  }
  if (state.nics.length >= MAX_NICS) {
    return refuse(state, 'api/bad-request', `instance can have at most ${MAX_NICS} networks`);
  }
  const order = Math.max(-1, ...state.nics.map((nic) => nic.order)) + 1;
  const extra = { interface: asked.interfaceId, network: asked.networkId, order };
  return next(
    { ...state, nics: [...state.nics, { ...asked, order }] },
    [{ type: 'audit', message: 'interface asked for', extra }],
    order,
  );
}

/** Of an instance that is created: those that are still on their way. */
export function isPlugging({ phase }: Nic): boolean {
  return phase === 'none' || phase === 'initial';
}

/** What brings them on. */
export function plugging({
  nics,
  node,
}: InstanceState): Wanted<'create-interfaces' | 'place-interfaces'>[] {
  const idsIn = (phase: Nic['phase']) =>
    nics.filter((nic) => nic.phase === phase).map((nic) => nic.interfaceId);
  const [made, placed] = [idsIn('none'), idsIn('initial')];
  return [
    ...(made.length === 0 ? [] : [{ name: 'create-interfaces', key: made.join() } as const]),
    ...(placed.length === 0
      ? []
      : [{ name: 'place-interfaces', key: [node ?? '', ...placed].join() } as const]),
  ];
}

/** It has joined its network: the guest gets it. */
export function plugged(state: InstanceState, nic: Nic): Step<InstanceState> {
  const { interfaceId, networkId, mac, ipv4, order } = nic;
  const extra = { interface: interfaceId, network: networkId, mac, ipv4, order };
  return next({ ...state, generation: state.generation + 1 }, [
    { type: 'audit', message: 'hot plugged interface', extra },
  ]);
}

/** G2; the reply says that it is not wanted. */
export function plugFailed(state: InstanceState, nic: Nic, reason: string): Step<InstanceState> {
  const failed: EventDraft = {
    type: 'audit',
    message: 'interface not plugged',
    extra: { interface: nic.interfaceId, reason },
  };
  const nics = state.nics.filter((one) => one.interfaceId !== nic.interfaceId);
  return next({ ...state, nics }, [failed], false);
}
