// What a request may be, checked before it is sent, by both implementations alike.
//
// L1  etcd's own limits hold everywhere: 128 compares and 128 operations per branch, 1.5 MiB per
//     request. Ours are never looser, so etcd has nothing left to refuse (it answers with text).
// L2  A request that can never work is refused with store/bad-value or store/too-large, and nothing
//     has happened.
import { TroupeError } from '../../actors/kernel/errors.ts';
import type { Compare, Op, RangeRequest, Txn, WatchRequest } from './store.ts';

/** Compares, and operations in each branch, of one transaction (etcd's --max-txn-ops). */
export const MAX_TXN_OPS = 128;
/** Bytes of one request (etcd's --max-request-bytes). */
export const MAX_REQUEST_BYTES = 1.5 * 1024 * 1024;
/** Bytes that wrap one compare or operation on the wire: tags, lengths, revision or lease id. */
const OP_OVERHEAD_BYTES = 64;

/** Throws unless etcd would take the transaction. */
export function checkTxn(txn: Txn): void {
  const otherwise = txn.else ?? [];
  for (const [what, count] of [
    ['compares', txn.compare.length],
    ['operations', txn.then.length],
    ['operations in else', otherwise.length],
  ] as const) {
    if (count <= MAX_TXN_OPS) continue;
    const message = `a transaction takes at most ${MAX_TXN_OPS} ${what}, this one has ${count}`;
    throw new TroupeError('store/too-large', message, { count, limit: MAX_TXN_OPS });
  }
  txn.compare.forEach(checkCompare);
  for (const branch of [txn.then, otherwise]) {
    branch.forEach(checkOp);
    checkWrittenOnce(branch);
  }
  const sizeBytes = txnBytes(txn);
  if (sizeBytes > MAX_REQUEST_BYTES) {
    const message = `a request takes at most ${MAX_REQUEST_BYTES} bytes, this one has ${sizeBytes}`;
    throw new TroupeError('store/too-large', message, { sizeBytes, limit: MAX_REQUEST_BYTES });
  }
}

/** Throws unless the listing makes sense. */
export function checkRange(request: RangeRequest): void {
  checkKey(request.prefix);
  if (request.limit !== undefined && request.limit < 1) refuse('limit', request.limit);
  if (request.revision !== undefined) checkRevision(request.revision);
  if (request.after !== undefined && !request.after.startsWith(request.prefix))
    refuse('after', request.after);
}

/** Throws unless the watch makes sense. */
export function checkWatch(request: WatchRequest): void {
  checkKey(request.prefix);
  checkRevision(request.fromRevision);
}

/** A TTL is more than nothing and at most a day. */
export function checkTtl(ttlMs: number): void {
  if (!(ttlMs > 0 && ttlMs <= 86_400_000)) refuse('TTL (ms)', ttlMs);
}

/** Keys are non-empty text that UTF-8 can carry. */
export function checkKey(key: string): void {
  if (key.length === 0) refuse('key', '(empty)');
  if (!key.isWellFormed()) refuse('key', key);
}

/** Upper bound of a transaction's bytes on the wire. */
export function txnBytes(txn: Txn): number {
  return sum(txn.compare, compareBytes) + sum(txn.then, opBytes) + sum(txn.else ?? [], opBytes);
}

/** Upper bound of a compare's bytes on the wire. */
export function compareBytes(compare: Compare): number {
  const value = compare.target === 'value' ? compare.than.byteLength : 0;
  return OP_OVERHEAD_BYTES + Buffer.byteLength(compare.key) + value;
}

/** Upper bound of an operation's bytes on the wire. */
export function opBytes(op: Op): number {
  // Twice for the end of the range.
  if (op.op === 'delete-prefix') return OP_OVERHEAD_BYTES + 2 * Buffer.byteLength(op.prefix);
  const value = op.op === 'put' ? op.value.byteLength : 0;
  return OP_OVERHEAD_BYTES + Buffer.byteLength(op.key) + value;
}

function sum<T>(all: readonly T[], size: (one: T) => number): number {
  return all.reduce((total, one) => total + size(one), 0);
}

function checkCompare(compare: Compare): void {
  checkKey(compare.key);
  if (compare.target === 'create' || compare.target === 'mod' || compare.target === 'version')
    checkRevision(compare.than);
  if (compare.target === 'lease' && compare.than !== null) checkLeaseId(compare.than);
}

function checkOp(op: Op): void {
  checkKey(op.op === 'delete-prefix' ? op.prefix : op.key);
  if (op.op === 'put' && typeof op.lease === 'string') checkLeaseId(op.lease);
}

/** etcd: "duplicate key given in txn request". Deleting twice is allowed, putting what is deleted is not. */
function checkWrittenOnce(branch: readonly Op[]): void {
  const put = new Set<string>();
  for (const op of branch) {
    if (op.op !== 'put') continue;
    if (put.has(op.key)) refuse('key, written twice in one transaction', op.key);
    put.add(op.key);
  }
  for (const op of branch) {
    if (op.op === 'delete' && put.has(op.key))
      refuse('key, put and deleted in one transaction', op.key);
    if (op.op !== 'delete-prefix') continue;
    for (const key of put) {
      if (key.startsWith(op.prefix)) refuse('key, put and deleted in one transaction', key);
    }
  }
}

/** Lease ids are etcd's positive 64-bit numbers, kept as decimal text. */
export function checkLeaseId(id: string): void {
  if (!/^[1-9]\d{0,18}$/.test(id)) refuse('lease id', id);
}

function checkRevision(revision: number): void {
  if (!Number.isSafeInteger(revision) || revision < 0) refuse('revision', revision);
}

function refuse(what: string, found: string | number): never {
  throw new TroupeError('store/bad-value', `the store takes no such ${what}: ${found}`, { found });
}
