// The keys of a namespace: which of them count, and when the next of them ends.
import type { NamespaceKey, NamespaceState } from './state.ts';

/** A key that has ended is as good as none, everywhere. */
export function isLive({ expiresAtMs }: NamespaceKey, nowMs: number): boolean {
  return expiresAtMs === null || expiresAtMs > nowMs;
}

/** Undefined when there is none of that name, or it has ended. */
export function liveKey(
  { keys }: Pick<NamespaceState, 'keys'>,
  name: string,
  nowMs: number,
): NamespaceKey | undefined {
  const key = Object.hasOwn(keys, name) ? keys[name] : undefined;
  return key !== undefined && isLive(key, nowMs) ? key : undefined;
}

export function liveKeys(
  { keys }: Pick<NamespaceState, 'keys'>,
  nowMs: number,
): [name: string, key: NamespaceKey][] {
  return Object.entries(keys).filter(([, key]) => isLive(key, nowMs));
}

/** Null: none of them ends. */
export function nextExpiry({ keys }: Pick<NamespaceState, 'keys'>): number | null {
  const ends = Object.values(keys).flatMap(({ expiresAtMs }) => expiresAtMs ?? []);
  return ends.length === 0 ? null : Math.min(...ends);
}

/** Tells one setting of a key from another, in events: of the nonce, which tokens carry; nothing of the secret is in it. */
export function fingerprint({ nonce }: NamespaceKey): string {
  return nonce.slice(0, 8);
}
