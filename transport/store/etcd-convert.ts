// Between our types and etcd's messages.
//
// X1  Revisions are 64-bit on the wire and text in etcd3; we use numbers and check that they are
//     exact. At a million changes a second that holds for 285 years.
import {
  CompareResult,
  CompareTarget,
  type ICompare,
  type IEvent,
  type IKeyValue,
  type IRangeRequest,
  type IRequestOp,
  type IResponseOp,
  type ITxnRequest,
} from 'etcd3';
import type { Change, Compare, CompareOperator, Entry, Op, OpResult, Txn } from './store.ts';
import type { RangeRequest } from './store.ts';

const RESULTS: Record<CompareOperator, CompareResult> = {
  '==': CompareResult.Equal,
  '!=': CompareResult.NotEqual,
  '<': CompareResult.Less,
  '>': CompareResult.Greater,
};
const NO_LEASE = '0';

export function toTxnRequest(txn: Txn): ITxnRequest {
  return {
    compare: txn.compare.map(toCompare),
    success: txn.then.map(toRequestOp),
    failure: (txn.else ?? []).map(toRequestOp),
  };
}

export function toRangeRequest(request: RangeRequest): IRangeRequest {
  const { prefix, after, limit, revision, keysOnly } = request;
  return {
    // The key after `after` in byte order is itself with a zero byte.
    key: Buffer.from(after === undefined ? prefix : `${after}\0`),
    range_end: prefixEnd(prefix),
    limit: limit ?? 0,
    revision: revision ?? 0,
    keys_only: keysOnly ?? false,
  };
}

/** First key after all that start with `prefix`. UTF-8 never has a byte 0xff, so the last one can grow. */
export function prefixEnd(prefix: string): Buffer {
  const end = Buffer.from(prefix);
  end.writeUInt8(end.readUInt8(end.length - 1) + 1, end.length - 1);
  return end;
}

export function fromKeyValue(kv: IKeyValue): Entry {
  return {
    key: kv.key.toString(),
    value: kv.value,
    createRevision: fromRevision(kv.create_revision),
    modRevision: fromRevision(kv.mod_revision),
    version: fromRevision(kv.version),
    lease: kv.lease === NO_LEASE ? null : kv.lease,
  };
}

export function fromEvent(event: IEvent): Change {
  const revision = fromRevision(event.kv.mod_revision);
  if (event.type === 'Delete') return { kind: 'delete', key: event.kv.key.toString(), revision };
  const entry = fromKeyValue(event.kv);
  return { kind: 'put', key: entry.key, revision, entry };
}

/** The results of the branch that ran; `ops` is that branch. */
export function fromResponses(ops: readonly Op[], responses: readonly IResponseOp[]): OpResult[] {
  return ops.map((op, i) => {
    const response = responses[i];
    if (op.op === 'put') return { op: 'put' };
    if (op.op === 'get') {
      const kv = response?.response_range.kvs[0];
      return { op: 'get', entry: kv === undefined ? null : fromKeyValue(kv) };
    }
    return { op: op.op, deleted: Number(response?.response_delete_range.deleted ?? 0) };
  });
}

/** Throws on a number that JavaScript cannot hold exactly. */
export function fromRevision(text: string): number {
  const revision = Number(text);
  if (!Number.isSafeInteger(revision)) throw new RangeError(`revision ${text} is too large`);
  return revision;
}

/** Without copying: the bytes are written to the wire before anybody else runs. */
function toBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function toCompare(compare: Compare): ICompare {
  const head = { key: Buffer.from(compare.key), result: RESULTS[compare.is] };
  switch (compare.target) {
    case 'create':
      return { ...head, target: CompareTarget.Create, create_revision: compare.than };
    case 'mod':
      return { ...head, target: CompareTarget.Mod, mod_revision: compare.than };
    case 'version':
      return { ...head, target: CompareTarget.Version, version: compare.than };
    case 'value':
      return { ...head, target: CompareTarget.Value, value: toBuffer(compare.than) };
    case 'lease':
      return { ...head, target: CompareTarget.Lease, lease: compare.than ?? NO_LEASE };
  }
}

function toRequestOp(op: Op): IRequestOp {
  switch (op.op) {
    case 'put': {
      const [key, value] = [Buffer.from(op.key), toBuffer(op.value)];
      return { request_put: { key, value, lease: op.lease ?? NO_LEASE } };
    }
    case 'delete':
      return { request_delete_range: { key: Buffer.from(op.key) } };
    case 'delete-prefix': {
      const [key, range_end] = [Buffer.from(op.prefix), prefixEnd(op.prefix)];
      return { request_delete_range: { key, range_end } };
    }
    case 'get':
      return { request_range: { key: Buffer.from(op.key), keys_only: op.keysOnly ?? false } };
  }
}
