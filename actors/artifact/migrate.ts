// Snapshots of older schemas.

interface Schema4 {
  readonly fetching: object | null;
  readonly adding: readonly object[];
}

/** Nothing was added but by fetching it first. */
export function withAdditions(old: unknown): unknown {
  return { ...(old as object), adding: [], addFailure: null, dropped: [], drops: 0 };
}

/** No source was asked again. */
export function withChecks(old: unknown): unknown {
  return { ...(old as object), checking: null, checks: 0 };
}

/** Nobody looked whether bytes were there already; all had as many copies as the cluster wants. */
export function withTwins(old: unknown): unknown {
  return { ...(old as object), settling: [], minCopies: null };
}

/** Everything on its way was fetched for its artifact, whoever else fetched it. */
export function withOrigins(old: unknown): unknown {
  const state = old as Schema4;
  const isSought = false;
  const fetching = state.fetching === null ? null : { ...state.fetching, isSought };
  return { ...state, fetching, adding: state.adding.map((one) => ({ ...one, isSought })) };
}
