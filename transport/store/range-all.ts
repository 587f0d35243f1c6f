// Reads a whole prefix page by page, as of one moment.
//
// R1  All pages are read at the revision of the first, so the listing is consistent however long it takes.
// R2  A page aims at 8 MiB: 5,000 entries of up to about 1.6 KiB, fewer when they are larger. The
//     first page is small, because nothing is known yet.
import type { Page, RangeRequest } from './store.ts';

const FIRST_PAGE = 500;
const LARGEST_PAGE = 5_000;
const SMALLEST_PAGE = 16;
const PAGE_BYTES = 8 * 1024 * 1024;

/** Errors as range(): store/compacted when the store forgets the moment while we read it. */
export async function* rangeAll(
  range: (request: RangeRequest) => Promise<Page>,
  request: Omit<RangeRequest, 'limit' | 'after'>,
): AsyncGenerator<Page, void, void> {
  let page = await range({ ...request, limit: FIRST_PAGE });
  // The store names its present revision, also with a page of an older one.
  const revision = request.revision || page.revision;
  yield { ...page, revision };
  while (page.more) {
    const after = page.entries.at(-1)?.key;
    if (after === undefined) return;
    page = await range({ ...request, after, revision, limit: nextLimit(page) });
    yield { ...page, revision };
  }
}

function nextLimit(page: Page): number {
  let sizeBytes = 0;
  for (const entry of page.entries) sizeBytes += entry.value.byteLength + entry.key.length + 64;
  const each = sizeBytes / Math.max(1, page.entries.length);
  return Math.max(SMALLEST_PAGE, Math.min(LARGEST_PAGE, Math.floor(PAGE_BYTES / each)));
}
