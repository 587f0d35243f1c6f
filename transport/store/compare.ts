// What a compare means, for who has the entry at hand: the in-memory store, and group commit when it
// finds out whose guard failed. Follows etcd's applyCompare: an absent key counts as revision, version
// and lease 0, and comparing the value of an absent key never holds.
import type { Compare, CompareOperator, Entry } from './store.ts';

/** Whether `compare` holds for the entry of its key (null: absent). */
export function compareHolds(compare: Compare, entry: Entry | null): boolean {
  switch (compare.target) {
    case 'create':
      return holds((entry?.createRevision ?? 0) - compare.than, compare.is);
    case 'mod':
      return holds((entry?.modRevision ?? 0) - compare.than, compare.is);
    case 'version':
      return holds((entry?.version ?? 0) - compare.than, compare.is);
    case 'value':
      return entry !== null && holds(Buffer.compare(entry.value, compare.than), compare.is);
    case 'lease':
      return ((entry?.lease ?? null) === compare.than) === (compare.is === '==');
  }
}

function holds(difference: number, is: CompareOperator): boolean {
  switch (is) {
    case '==':
      return difference === 0;
    case '!=':
      return difference !== 0;
    case '<':
      return difference < 0;
    case '>':
      return difference > 0;
  }
}
