// Snapshots of older schemas.

interface Schema1 {
  readonly nodes: readonly string[];
  readonly content: unknown;
  readonly generation: number;
}

interface Schema4 {
  readonly phase: string;
  readonly sinceMs: number;
  readonly transcode: object | null;
  readonly diskUsers: readonly string[];
}

/** One node fetched; what it kept counted. Which node a user needs a replica on was not known. */
export function replicasByNode(old: unknown): unknown {
  const { nodes, ...rest } = old as Schema1;
  const phase = rest.content === null ? 'copying' : 'verified';
  const { generation } = rest;
  const none = { failure: null, failures: 0, retryAtMs: null };
  const known = { awayUntilMs: null, isInUse: false, ...none };
  const replicas = Object.fromEntries(nodes.map((node) => [node, { phase, generation, ...known }]));
  return { ...rest, replicas, needs: {} };
}

/** No disk ever started from anything but the blob itself. */
export function withTranscodes(old: unknown): unknown {
  return { ...(old as object), diskUsers: [], transcode: null };
}

/** When it came was when it was created; transcodes were kept for as long as their blob. */
export function withTimes(old: unknown): unknown {
  const { phase, sinceMs, transcode, diskUsers } = old as Schema4;
  const fetchedAtMs = phase === 'created' ? sinceMs : null;
  const idleSinceMs = diskUsers.length === 0 ? sinceMs : null;
  const timed = transcode === null ? null : { ...transcode, idleSinceMs, dropAtMs: null };
  return { ...(old as object), fetchedAtMs, usedAtMs: null, isParentHeld: false, transcode: timed };
}

/** When a replica was last used was not known: as old as the blob, so that none is taken for new. */
export function withLastUse(old: unknown): unknown {
  const state = old as { readonly sinceMs: number; readonly replicas: Record<string, object> };
  const replicas = Object.fromEntries(
    Object.entries(state.replicas).map(([node, replica]) => [
      node,
      { ...replica, isWhole: false, usedAtMs: state.sinceMs },
    ]),
  );
  return { ...state, replicas };
}

/** Everybody waited for the whole replica. */
export function withLazyUsers(old: unknown): unknown {
  return { ...(old as object), lazyFrom: {} };
}

/** Nobody counted who had gone. */
export function withDepartures(old: unknown): unknown {
  return { ...(old as object), departures: 0 };
}

/** Nobody was told of too few copies: those that have too few say so at the next look. */
export function withShortage(old: unknown): unknown {
  return { ...(old as object), shortage: null };
}
