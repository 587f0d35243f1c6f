// What a daemon says of itself under its member key.
import { closed, decoder, nullable, Type, type Static } from '../../actors/kernel/schema.ts';

/** Unknown members are ignored: a newer daemon may say more of itself. */
export const Member = Type.Object({
  node: Type.String(),
  /** Random, kept in the data directory: tells a restart from a stranger of the same name. */
  installation: Type.String(),
  /** New for each start of the daemon. */
  bootId: Type.String(),
  version: Type.String(),
  /** Grows with every change of what is stored; a daemon cannot read what one with a higher number has written. */
  format: Type.Integer(),
  /** Base URL of its API. */
  api: Type.String(),
  /** Where its mesh listens; null: it has none, and the cluster is this daemon alone. */
  mesh: nullable(closed({ host: Type.String(), port: Type.Integer() })),
  /** VTEP address on the underlay. */
  vtep: Type.String(),
  /** Share of the shards that it wants to run; 0: none. */
  weight: Type.Number({ minimum: 0 }),
});
export type Member = Static<typeof Member>;

/** Error: `store/bad-value`. */
export const decodeMember = decoder('member', Member, 'store/bad-value');
