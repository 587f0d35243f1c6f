// A namespace's state and messages: who may use the API, and which objects belong together.
import { lifeMembers } from '../kernel/object.ts';
import type { Ref } from '../kernel/kind.ts';
import {
  closed,
  messageDecoder,
  nullable,
  oneOf,
  Type,
  type MessageOf,
  type Static,
} from '../kernel/schema.ts';

/** A key as kept: the secret itself is never stored. */
export const NamespaceKey = closed({
  /** scrypt of the secret with the salt, base64. */
  hash: Type.String(),
  salt: Type.String(),
  /** Made afresh whenever the key is set; tokens carry it, so they die with it. */
  nonce: Type.String(),
  /** When it ends, ms since the epoch; null: never. */
  expiresAtMs: nullable(Type.Number()),
});
export type NamespaceKey = Static<typeof NamespaceKey>;

export const NamespaceState = closed({
  phase: oneOf(['none', 'created', 'deleted', 'error']),
  /** By key name. */
  keys: Type.Record(Type.String(), NamespaceKey),
  /** Namespaces that may act on this one. */
  trusts: Type.Array(Type.String()),
  ...lifeMembers,
});
export type NamespaceState = Static<typeof NamespaceState>;

const MESSAGES = {
  /** Makes it unless it is there. */
  create: {},
  /** Makes it, with its first key if one is given; refused when it is there. */
  found: { key: Type.Optional(closed({ name: Type.String(), key: NamespaceKey })) },
  'set-key': { name: Type.String(), key: NamespaceKey },
  'remove-key': { name: Type.String() },
  /** Lets another namespace act on this one. */
  trust: { namespace: Type.String() },
  /** Quiet about one that is not trusted; the system always is. */
  untrust: { namespace: Type.String() },
  /** A key of it was used, or somebody tried: told, not kept. */
  used: {
    use: oneOf(['login', 'login refused', 'key used for changes']),
    extra: Type.Record(Type.String(), Type.Union([Type.String(), Type.Number()])),
  },
  /** The caller has seen that nothing is in it. */
  delete: {},
};
export type NamespaceMessage = MessageOf<typeof MESSAGES>;
export const decodeNamespaceMessage = messageDecoder('namespace', MESSAGES);

/** A namespace's id is its name. */
export function namespaceRef(name: string): Ref<NamespaceMessage> {
  return { kind: 'namespace', id: name };
}

/** In the system namespace, the key that a node's own administrator logs in with: each node's own, so that none makes another's worthless. */
export function bootstrapKey(node: string): string {
  return `bootstrap-${node}`;
}

/** The administrator's namespace. */
export const SYSTEM = 'system';
