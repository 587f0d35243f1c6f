// An interface's state and messages: one NIC of one instance on one network.
import type { Ref } from '../kernel/kind.ts';
import { lifeMembers } from '../kernel/object.ts';
import { setbackMember } from '../kernel/setback.ts';
import {
  closed,
  messageDecoder,
  nullable,
  oneOf,
  Type,
  type MessageOf,
  type Static,
} from '../kernel/schema.ts';

export const InterfaceState = closed({
  phase: oneOf(['none', 'initial', 'created', 'delete-wait', 'deleted', 'error']),
  networkId: Type.String(),
  instanceId: Type.String(),
  namespace: Type.String(),
  /** The instance's name: what DHCP and DNS call it. */
  hostname: Type.String(),
  /** Position on the instance, from 0. */
  order: Type.Integer(),
  model: Type.String(),
  /** What was asked for: 'auto', 'none' or an address. */
  requested: Type.String(),
  /** Asked for by the caller, else null. */
  requestedMac: nullable(Type.String()),
  /** To be claimed, and how many before it were another's; recorded first, so that no claim is ever lost. */
  macCandidate: nullable(Type.String()),
  macTries: Type.Integer(),
  /** Ours. */
  mac: nullable(Type.String()),
  ipv4: nullable(Type.String()),
  floating: nullable(Type.String()),
  /** Where the instance was placed; null until then. */
  node: nullable(Type.String()),
  ...setbackMember,
  ...lifeMembers,
});
export type InterfaceState = Static<typeof InterfaceState>;

const MESSAGES = {
  create: {
    networkId: Type.String(),
    instanceId: Type.String(),
    namespace: Type.String(),
    hostname: Type.String(),
    order: Type.Integer(),
    model: Type.String(),
    requested: Type.String(),
    requestedMac: nullable(Type.String()),
  },
  /** MAC and address are ours. */
  reserved: { mac: Type.String(), ipv4: nullable(Type.String()) },
  /** The candidate is another interface's. */
  'mac-taken': { mac: Type.String() },
  /** The instance has a node: join the network there. */
  place: { node: Type.String() },
  attached: {},
  /** Replies the phase it is in afterwards: asked again until that is `deleted`. */
  delete: {},
  released: {},
  forgotten: {},
};
export type InterfaceMessage = MessageOf<typeof MESSAGES>;
export const decodeInterfaceMessage = messageDecoder('interface', MESSAGES);

export function interfaceRef(id: string): Ref<InterfaceMessage> {
  return { kind: 'interface', id };
}
