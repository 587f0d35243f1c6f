// Snapshots of older schemas.

interface Schema1 {
  readonly nodes: readonly string[];
  readonly content: unknown;
  readonly generation: number;
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

/** Everybody waited for the whole replica. */
export function withLazyUsers(old: unknown): unknown {
  return { ...(old as object), lazyFrom: {} };
}

/** Nobody counted who had gone. */
export function withDepartures(old: unknown): unknown {
  return { ...(old as object), departures: 0 };
}
