// What a store under test is opened by, and small things its tests share.
import type { Change, Compare, Op, Store, WatchObserver } from '../../../transport/store/store.ts';

export interface StoreHarness {
  /** A new client of the one store; the test closes it. */
  client(): Store;
  /** Forgets history before `revision`. */
  compact(revision: number): Promise<void>;
  close(): Promise<void>;
}

/** The store, and a prefix that no other test uses. */
export type Fresh = () => { harness: StoreHarness; store: Store; at: string };

/** What a collector keeps of an error: its code and detail, when it is one of ours. */
export interface End {
  readonly message: string;
  readonly code?: string;
  readonly detail?: unknown;
}

export interface Collector extends WatchObserver {
  readonly seen: Change[];
  /** The same changes, call by call. */
  readonly calls: (readonly Change[])[];
  readonly ends: End[];
  readonly links: boolean[];
}

/** An observer that keeps what it is told. */
export function collect(): Collector {
  const seen: Change[] = [];
  const calls: (readonly Change[])[] = [];
  const ends: End[] = [];
  const links: boolean[] = [];
  return {
    seen,
    calls,
    ends,
    links,
    changes(changes) {
      seen.push(...changes);
      calls.push(changes);
    },
    ended: (error) => void ends.push(error),
    link: (up) => void links.push(up),
  };
}

/** Resolves when `condition` holds; fails by name after 20 s. */
export async function eventually(
  what: string,
  condition: () => boolean | Promise<boolean>,
  timeoutMs = 20_000,
): Promise<void> {
  const endAt = performance.now() + timeoutMs;
  while (!(await condition())) {
    if (performance.now() > endAt) throw new Error(`waited ${timeoutMs} ms for: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

export function bytes(value: string): Uint8Array {
  return Uint8Array.from(Buffer.from(value));
}

export function text(value: Uint8Array | undefined): string | undefined {
  return value === undefined ? undefined : Buffer.from(value).toString();
}

export function put(key: string, value = 'v'): Op {
  return { op: 'put', key, value: bytes(value) };
}

/** Holds while the key is not there. */
export function absent(key: string): Compare {
  return { target: 'create', key, is: '==', than: 0 };
}
