// Whether a blob has as many copies as are wanted, and if not, why no more are made and what to do about it.
//
// S1  It is an event when a blob begins to have too few, when that changes (how many there are or are wanted, or why), and
//     when it has enough again; never because somebody looks once more.
// S2  What is on its way is not missing: nothing is said of a blob that will have enough.
// S3  In a cluster of one machine nothing is said: there was never to be another copy.
import type { EventDraft } from '../kernel/kind.ts';
import { plainEqual } from '../kernel/equal.ts';
import { isGood, type CopiesPlan, type CopiesView, type NodeView } from './copies.ts';
import type { BlobState, Shortage } from './state.ts';

const GIB = 2 ** 30;
/** Named in a reason. */
const MOST_NAMES = 5;
const FEWER = 'or ask for fewer copies (troupe artifact copies)';

/** What is to be remembered of it, and said. */
export function shortageAfter(
  before: BlobState['shortage'],
  view: CopiesView,
  plan: CopiesPlan,
): { readonly shortage: BlobState['shortage']; readonly events: readonly EventDraft[] } {
  const shortage = shortageOf(view, plan);
  if (shortage === undefined || plainEqual(shortage, before)) {
    return { shortage: before, events: [] };
  }
  if (shortage === null) {
    const extra = { wanted: view.copies };
    return { shortage, events: [{ type: 'audit', message: 'enough copies again', extra }] };
  }
  const { copies, wanted } = shortage;
  const extra = { copies, wanted, reason: reasonOf(shortage, view, plan) };
  return { shortage, events: [{ type: 'audit', message: 'too few copies', extra }] };
}

/** Null: there are as many as are wanted. Undefined: nothing is to be said (S2, S3). */
export function shortageOf(view: CopiesView, plan: CopiesPlan): Shortage | null | undefined {
  const { copies: wanted, nodes, replicas } = view;
  if (nodes.length <= 1) return undefined;
  const passing = new Set(nodes.flatMap((one) => (one.takesMore ? [] : [one.node])));
  const stays = Object.entries(replicas).filter(
    ([node]) => !passing.has(node) && !plan.giveUp.includes(node),
  );
  if (stays.filter(([, one]) => isGood(one)).length >= wanted) return null;
  const there = stays.flatMap(([node, { phase }]) =>
    phase === 'verified' || phase === 'copying' ? [node] : [],
  );
  const copies = new Set([...there, ...plan.make]).size;
  return copies >= wanted ? undefined : { copies, wanted, why: whyShort(view, plan) };
}

function whyShort(view: CopiesView, plan: CopiesPlan): Shortage['why'] {
  if (!Object.values(view.replicas).some(isGood)) return 'source';
  if (fullNodes(view, plan).length > 0) return 'room';
  return failedNodes(view, plan).length > 0 ? 'failed' : 'nodes';
}

/** Could keep one, but for the room. */
function fullNodes(view: CopiesView, plan: CopiesPlan): string[] {
  return without(view, plan).flatMap(({ node, roomBytes }) =>
    roomBytes !== undefined && roomBytes < view.sizeBytes ? [node] : [],
  );
}

function failedNodes(view: CopiesView, plan: CopiesPlan): string[] {
  const { replicas } = view;
  return without(view, plan).flatMap(({ node }) =>
    replicas[node]?.phase === 'failed' ? [node] : [],
  );
}

/** Nodes that are there to keep one, and neither have one nor are to get one. */
function without({ nodes, replicas }: CopiesView, { make }: CopiesPlan): NodeView[] {
  return nodes.filter(({ node, isUp, takesMore }) => {
    const phase = replicas[node]?.phase;
    const has = phase === 'verified' || phase === 'copying' || make.includes(node);
    return isUp && takesMore && !has;
  });
}

function reasonOf({ copies, wanted, why }: Shortage, view: CopiesView, plan: CopiesPlan): string {
  const many = `${copies} of ${wanted} copies`;
  switch (why) {
    case 'room': {
      const size = `${Math.max(0.01, view.sizeBytes / GIB).toFixed(2)} GiB`;
      const full = names(fullNodes(view, plan));
      return `${many}: there is no room for ${size} on ${full}; free disk there, add a node that keeps blobs, ${FEWER}`;
    }
    case 'failed': {
      const failed = names(failedNodes(view, plan));
      return `${many}: no more could be made on ${failed}, where it is tried again later; put right what its events say, add a node that keeps blobs, ${FEWER}`;
    }
    case 'source': {
      const away = Object.entries(view.replicas).flatMap(([node, { awayUntilMs }]) =>
        awayUntilMs === null ? [] : [node],
      );
      const way = away.length > 0 ? `bring back ${names(away)}` : 'see its events';
      return `${many}, and none in reach to copy from; ${way}`;
    }
    case 'nodes':
      return `${many}: no other node is there that keeps blobs; bring one back, add one, ${FEWER}`;
  }
}

function names(nodes: readonly string[]): string {
  const sorted = nodes.toSorted();
  const more = sorted.length - MOST_NAMES;
  const named = sorted.slice(0, MOST_NAMES).join(', ');
  return more > 0 ? `${named} and ${more} more` : named;
}
