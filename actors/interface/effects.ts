// What an interface does to others: claims its MAC, reserves its address with the network, joins and
// leaves it, and keeps its instance informed. Every step may be repeated.
import { TroupeError, unlessGone } from '../kernel/errors.ts';
import type { Claims, EffectContext, Performers } from '../kernel/ports.ts';
import { instanceRef } from '../instance/state.ts';
import { networkRef } from '../network/state.ts';
import type { InterfaceEffect } from './interface.ts';
import type { InterfaceMessage, InterfaceState } from './state.ts';

type Context = EffectContext<InterfaceMessage>;

const MAC_TRIES = 32;

export function interfacePerformers(
  claims: Claims,
): Performers<InterfaceState, InterfaceMessage, InterfaceEffect> {
  return {
    reserve: async (state, context) => {
      const mac = state.requestedMac ?? (await claimMac(claims, context));
      const ipv4 = await reserveAddress(state, context);
      return { kind: 'reserved', mac, ipv4 };
    },
    'tell-instance': async (state, context) => {
      await context.ask(instanceRef(state.instanceId), {
        kind: 'interface-changed',
        interfaceId: context.self.id,
        phase: state.phase,
        mac: state.mac,
        ipv4: state.ipv4,
        failure: state.failure,
      });
      return undefined;
    },
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
    release: async (state, context) => {
      await unlessGone(
        context.ask(networkRef(state.networkId), { kind: 'release', owner: ownerOf(context) }),
      );
      return { kind: 'released' };
    },
    forget: async (state, context) => {
      if (state.mac !== null) await claims.release('mac', state.mac, context.self);
      return { kind: 'forgotten' };
    },
  };
}

/**
 * A MAC of our own: `02:00:00:` and three random octets (contract: networks 5.2). A crash between claim and record leaves
 * one claimed that nobody uses; it is found again below because the claim names this interface.
 */
async function claimMac(claims: Claims, context: Context): Promise<string> {
  for (let attempt = 0; attempt < MAC_TRIES; attempt++) {
    const tail = [0, 0, 0].map(() => Math.floor(context.random.number() * 256));
    const mac = [
      '02',
      '00',
      '00',
      ...tail.map((octet) => octet.toString(16).padStart(2, '0')),
    ].join(':');
    if (await claims.claim('mac', mac, context.self)) return mac;
  }
  throw new TroupeError('store/conflict', `no free MAC found in ${MAC_TRIES} random tries`);
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
