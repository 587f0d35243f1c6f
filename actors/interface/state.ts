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

/** A floating address of the interface, from the wish to the giving back: see float.ts. */
export const Float = closed({
  /** Which float of the interface it is; part of its holder's name at the pool, and used once. */
  number: Type.Integer(),
  phase: oneOf(['reserving', 'held', 'leaving']),
  /** Null until the pool has given one. */
  address: nullable(Type.String()),
  /** When it came to its phase, ms since the epoch. */
  sinceMs: Type.Number(),
  /** Asked for along with the interface, which fails without it. */
  isRequired: Type.Boolean(),
});
export type Float = Static<typeof Float>;

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
  float: nullable(Float),
  /** How many floats there were. */
  floats: Type.Integer(),
  /** Why the last one that came to nothing did. */
  floatFailure: nullable(
    closed({ number: Type.Integer(), code: Type.String(), reason: Type.String() }),
  ),
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
    /** Whether it comes with a floating address. */
    float: Type.Boolean(),
  },
  /** MAC and address are ours. */
  reserved: { mac: Type.String(), ipv4: nullable(Type.String()) },
  /** The candidate is another interface's. */
  'mac-taken': { mac: Type.String() },
  /** The instance has a node: join the network there. */
  place: { node: Type.String() },
  attached: {},
  /** Replies the number of the float; its outcome is in the state. Refused while there is one. */
  float: {},
  'float-reserved': { number: Type.Integer(), address: Type.String() },
  /** Quiet when there is none. */
  defloat: {},
  'float-released': { number: Type.Integer() },
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
