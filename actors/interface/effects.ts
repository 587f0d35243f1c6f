// What an interface does to others: claims its MAC, reserves its address with the network, joins and
// leaves it, with its floating address, and keeps its instance informed. Every step may be repeated.
import { TroupeError, unlessGone } from '../kernel/errors.ts';
import type { Claims, EffectContext, Performers } from '../kernel/ports.ts';
import { instanceRef } from '../instance/state.ts';
import { FLOATING, networkRef } from '../network/state.ts';
import { editionOf, floatOwner } from './float.ts';
import type { InterfaceEffect } from './interface.ts';
import type { Float, InterfaceMessage, InterfaceState } from './state.ts';

type Context = EffectContext<InterfaceMessage>;

export function interfacePerformers(
  claims: Claims,
): Performers<InterfaceState, InterfaceMessage, InterfaceEffect> {
  return {
    reserve: async (state, context) => {
      const mac = state.requestedMac ?? state.macCandidate;
      if (mac === null) throw new TroupeError('actor/bad-snapshot', 'no MAC to claim is recorded');
      const isOurs = state.requestedMac !== null || (await claims.claim('mac', mac, context.self));
      if (!isOurs) return { kind: 'mac-taken', mac };
      return { kind: 'reserved', mac, ipv4: await reserveAddress(state, context) };
    },
    'tell-instance': tellInstance,
    attach: async (state, context) => {
      await context.ask(networkRef(state.networkId), {
        kind: 'attach',
        interfaceId: context.self.id,
        instanceId: state.instanceId,
        mac: state.mac ?? '',
        ipv4: state.ipv4,
        hostname: state.hostname,
        node: state.node ?? '',
      });
      return { kind: 'attached' };
    },
    ...floatPerformers,
    release: async (state, context) => {
      await unlessGone(
        context.ask(networkRef(state.networkId), { kind: 'release', owner: ownerOf(context) }),
      );
      // After its place: nobody is sent to an address that may be somebody else's.
      if (state.float !== null) await giveBack(state.float, context);
      return { kind: 'released' };
    },
    forget: async (state, context) => {
      // Only ours is freed, whether the claim was ever recorded as made or not.
      const mac = state.macCandidate;
      if (mac !== null) await claims.release('mac', mac, context.self);
      return { kind: 'forgotten' };
    },
  };
}

/** For effects that exist only with a float. */
const floatPerformers: Pick<
  Performers<InterfaceState, InterfaceMessage, InterfaceEffect>,
  'reserve-float' | 'join-float' | 'drop-float'
> = {
  'reserve-float': async ({ float }, context) => {
    if (float === null) return undefined;
    const address = await context.ask(networkRef(FLOATING), {
      kind: 'reserve',
      owner: floatOwner(context.self.id, float),
      user: ['networkinterface', context.self.id],
      type: 'floating',
      address: null,
    });
    if (typeof address === 'string') {
      return { kind: 'float-reserved', number: float.number, address };
    }
    throw new TroupeError('actor/bad-message', 'the floating pool answered no address');
  },
  'join-float': async (state, context) => {
    if (state.float !== null) await tellNetwork(state, state.float, context);
    return undefined;
  },
  'drop-float': async (state, context) => {
    const { float } = state;
    if (float === null) return undefined;
    await unlessGone(tellNetwork(state, float, context));
    await giveBack(float, context);
    return { kind: 'float-released', number: float.number };
  },
};

function tellNetwork(
  { networkId }: InterfaceState,
  float: Float,
  context: Context,
): Promise<unknown> {
  return context.ask(networkRef(networkId), {
    kind: 'float-changed',
    interfaceId: context.self.id,
    edition: editionOf(float),
    floating: float.phase === 'leaving' ? null : float.address,
  });
}

function giveBack(float: Float, context: Context): Promise<unknown> {
  const owner = floatOwner(context.self.id, float);
  return unlessGone(context.ask(networkRef(FLOATING), { kind: 'release', owner }));
}

async function tellInstance(
  state: InterfaceState,
  context: Context,
): Promise<InterfaceMessage | undefined> {
  const { phase, mac, ipv4, failure } = state;
  const message = {
    kind: 'interface-changed',
    interfaceId: context.self.id,
    phase,
    mac,
    ipv4,
    failure,
  } as const;
  const isWanted = await unlessGone(context.ask(instanceRef(state.instanceId), message));
  return isWanted === true || phase === 'deleted' ? undefined : { kind: 'delete' };
}

async function reserveAddress(state: InterfaceState, context: Context): Promise<string | null> {
  if (state.requested === 'none') return null;
  const address = await context.ask(networkRef(state.networkId), {
    kind: 'reserve',
    owner: ownerOf(context),
    user: ['instance', state.instanceId],
    type: 'instance',
    address: state.requested === 'auto' ? null : state.requested,
  });
  if (typeof address === 'string') return address;
  throw new TroupeError('actor/bad-message', `network ${state.networkId} answered no address`);
}

function ownerOf(context: Context): string {
  return `interface/${context.self.id}`;
}
