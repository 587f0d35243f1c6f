// What a machine that joins says, and what it is told.
import { decoder, nullable, Type, type Static } from '../../actors/kernel/schema.ts';

/** What a node can be called. */
export const NODE_NAME = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/;

/** Unknown members are ignored: a newer node may say more. */
export const Application = Type.Object({
  /** What it will be called. */
  node: Type.String({ pattern: NODE_NAME.source }),
  /** PEM. */
  publicKey: Type.String({ maxLength: 4096 }),
  /** By which the others will reach it. */
  address: Type.String({ pattern: '^[0-9A-Za-z.:-]{1,253}$' }),
  /** Signature of claimOf() by that key, base64: a public key is known to whoever has spoken with its machine. */
  proof: Type.String({ maxLength: 1024 }),
});
export type Application = Static<typeof Application>;
export const decodeApplication = decoder('application', Application, 'api/bad-request');

/** What a machine signs: who it wants to be, by which invitation. */
export function claimOf(
  guest: string,
  { node, publicKey, address }: Omit<Application, 'proof'>,
): Buffer {
  return Buffer.from(JSON.stringify(['troupe join', guest, node, publicKey, address]));
}

/** Unknown members are ignored: a newer node may say more. */
export const Admitted = Type.Object({
  /** The node's, PEM. */
  certificate: Type.String(),
  cluster: Type.String(),
  /** Settings that all nodes share. */
  settings: Type.Record(Type.String(), Type.Union([Type.String(), Type.Number()])),
  etcd: Type.Object({
    endpoints: Type.Array(Type.String(), { minItems: 1 }),
    /** PEM; null: the cluster's authority signs for it, and it takes the node's certificate. */
    ca: nullable(Type.String()),
    certificate: nullable(Type.String()),
    key: nullable(Type.String()),
  }),
});
export type Admitted = Static<typeof Admitted>;
export const decodeAdmitted = decoder('answer', Admitted, 'config/invalid');
