// Which shard an address belongs to. Never changes once released: it decides who owns what.
import { hash } from 'node:crypto';
import type { Address } from '../../actors/kernel/kind.ts';

export const SHARDS = 256;

/** Uniform over the shards whatever the ids look like: the first byte of SHA-256 of `kind/id`. */
export function shardOf(address: Address): number {
  return Number.parseInt(hash('sha256', `${address.kind}/${address.id}`, 'hex').slice(0, 2), 16);
}
