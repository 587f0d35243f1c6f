// Who was admitted to the cluster, and who was removed from it: one record for each name that a node has, or had.
//
// A1  A name whose node was removed is nobody's until it is given again by an invitation for it, with another key.
// A2  Membership.join() compares the record it has read, and a removal writes it only while there is no such member
//     (src/daemon/node-removal.ts): in the store's order a node is removed or joins, never both.
// A3  A record without a key is that of the machine that made the cluster, which nobody admitted.
import { createHash } from 'node:crypto';
import type { Clock } from '../../actors/kernel/clock.ts';
import type { Log } from '../../actors/kernel/ports.ts';
import { decodeEnvelope, encodeEnvelope } from '../store/codec.ts';
import { follow, type Follow, type FollowObserver } from '../store/follow.ts';
import type { Keys } from '../store/keys.ts';
import type { Store } from '../store/store.ts';

export interface Admission {
  readonly node: string;
  /** keyDigest() of its public key; empty: not known (A3). */
  readonly key: string;
  readonly isRemoved: boolean;
}

export function admissionKey(keys: Keys, node: string): string {
  return keys.alloc('node', node);
}

export function encodeAdmission(admission: Admission): Uint8Array {
  return encodeEnvelope({ schema: 1, state: admission });
}

/** Null for what is no such record. */
export function decodeAdmission(value: Uint8Array): Admission | null {
  const decoded = decodeEnvelope(value);
  const state = decoded.ok ? (decoded.envelope.state as Partial<Admission> | null) : null;
  if (typeof state?.node !== 'string' || typeof state.key !== 'string') return null;
  return { node: state.node, key: state.key, isRemoved: state.isRemoved === true };
}

/** What the record knows a public key (SPKI, PEM) by. */
export function keyDigest(publicKey: string): string {
  return createHash('sha256').update(publicKey).digest('base64url');
}

/** Whether the node with this key (empty: it has none) may take part under the record's name. */
export function isWelcome(record: Admission | null, key: string): boolean {
  if (record === null) return true;
  return !record.isRemoved && (record.key === '' || key === '' || record.key === key);
}

export interface AdmissionsOptions {
  readonly store: Store;
  readonly keys: Keys;
  readonly clock: Clock;
  /** For the jitter of retries. */
  readonly random: () => number;
  readonly log: Log;
}

/** A copy of all records, followed until it is closed. */
export class Admissions {
  readonly #records = new Map<string, Admission>();
  readonly #listeners = new Set<(node: string) => void>();
  readonly #follow: Follow;

  constructor({ store, keys, clock, random, log }: AdmissionsOptions) {
    const observer: FollowObserver = {
      changes: (changes) => {
        for (const change of changes) {
          const parsed = keys.parse(change.key);
          const node = parsed?.area === 'alloc' ? parsed.item : '';
          const record = change.kind === 'put' ? decodeAdmission(change.entry.value) : null;
          if (record === null) this.#records.delete(node);
          else this.#records.set(node, record);
          if (record?.isRemoved) for (const listener of this.#listeners) listener(node);
        }
      },
      failed: (error) => log('error', 'admissions are not followed any more', { error }),
    };
    this.#follow = follow(store, keys.allocs('node'), observer, { clock, random });
  }

  /** Resolves once all that there were have been read. */
  ready(): Promise<void> {
    return this.#follow.ready();
  }

  isWelcome(node: string, key: string): boolean {
    return isWelcome(this.#records.get(node) ?? null, key);
  }

  /** Calls with each name that is removed from now on, perhaps again. */
  onRemoved(listener: (node: string) => void): void {
    this.#listeners.add(listener);
  }

  close(): Promise<void> {
    return this.#follow.close();
  }
}
