// The bytes of a blob, from whichever nodes hold it, piece by piece.
//
// P1  At most two pieces are in memory: the one the client takes, and the next.
// P2  A node that does not give a piece is left out from then on; the next holder goes on at the same place.
import type { BlobState } from '../../../actors/blob/state.ts';
import { reasonOf, TroupeError } from '../../../actors/kernel/errors.ts';
import { PIECE_BYTES } from '../../../actors/node/machine-message.ts';
import type { ReadObject } from '../../read/collection.ts';
import { notFound, type ApiServices } from '../services.ts';
import { holdersOf } from './blob-view.ts';

export interface Extent {
  readonly offset: number;
  readonly lengthBytes: number;
}

/** Errors: 404 `blob missing`; while it is read, that of the last holder. */
export function blobPieces(
  services: ApiServices,
  { id, state }: ReadObject<BlobState>,
  extent: Extent,
  trace: string,
): AsyncIterable<Uint8Array> {
  const holders = nearestFirst(services.node, state);
  if (holders.length === 0) throw new TroupeError('api/not-found', 'blob missing');
  return new Reader(services, id, holders, trace).pieces(extent);
}

class Reader {
  readonly #services: ApiServices;
  readonly #blobId: string;
  readonly #trace: string;
  #holders: readonly string[];

  constructor(services: ApiServices, blobId: string, holders: readonly string[], trace: string) {
    this.#services = services;
    this.#blobId = blobId;
    this.#holders = holders;
    this.#trace = trace;
  }

  async *pieces({ offset, lengthBytes }: Extent): AsyncGenerator<Uint8Array> {
    const end = offset + lengthBytes;
    let next = this.#begin(offset, end);
    for (let position = offset; position < end;) {
      const bytes = await next;
      position += bytes.length;
      next = this.#begin(position, end);
      yield bytes;
    }
  }

  /** Reads ahead; what goes wrong with it is seen when it is waited for. */
  #begin(position: number, end: number): Promise<Uint8Array> {
    const lengthBytes = Math.min(PIECE_BYTES, end - position);
    if (lengthBytes <= 0) return Promise.resolve(new Uint8Array());
    const piece = this.#read({ offset: position, lengthBytes });
    piece.catch(() => undefined);
    return piece;
  }

  async #read(piece: Extent): Promise<Uint8Array> {
    const { bytes, log } = this.#services;
    for (;;) {
      const [holder, ...others] = this.#holders;
      if (holder === undefined) throw new TroupeError('image/missing', 'no holder gives its bytes');
      try {
        const got = await bytes.readReplica(holder, this.#blobId, piece, this.#trace);
        if (got.length > 0) return got;
        throw new TroupeError('image/damaged', 'it is shorter there than it should be');
      } catch (error) {
        const reason = reasonOf(error);
        const where = { kind: 'blob', id: this.#blobId, holder, reason, trace: this.#trace };
        log('warn', 'a holder gives no bytes of a blob', where);
        this.#holders = others;
        if (others.length === 0) throw error;
      }
    }
  }
}

/** This node's own replica needs no network. */
function nearestFirst(node: string, state: BlobState): string[] {
  const holders = holdersOf(state);
  return holders.includes(node) ? [node, ...holders.filter((one) => one !== node)] : holders;
}

/** All of a small blob. Error: 404. */
export async function blobBytes(
  services: ApiServices,
  blob: ReadObject<BlobState>,
  trace: string,
): Promise<Buffer> {
  const lengthBytes = blob.state.content?.sizeBytes;
  if (lengthBytes === undefined) throw notFound('blob');
  const pieces: Uint8Array[] = [];
  for await (const piece of blobPieces(services, blob, { offset: 0, lengthBytes }, trace)) {
    pieces.push(piece);
  }
  return Buffer.concat(pieces);
}
