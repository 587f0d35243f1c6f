// Blobs: the bytes that versions of artifacts, and disks, are made of. Knowing the UUID of one is the right to read it.
import type { Operator } from '../operator.ts';
import type * as views from '../operations.ts';
import { Handle } from './handle.ts';
import { Metadata } from './metadata.ts';

/** What is asked for at once. */
const PIECE_BYTES = 4 * 1024 * 1024;

export interface Extent {
  /** Bytes to leave out; default 0. */
  readonly offset?: number;
  /** Bytes at most; default all there are. */
  readonly limit?: number;
}

export class Blob extends Handle<views.Blob> {
  protected readonly kind = 'blob';

  get id(): string {
    return this.view.uuid;
  }

  get metadata(): Metadata {
    return new Metadata(this.operator, '/blobs/{blob_uuid}', this.id);
  }

  protected fetch(): Promise<views.Blob> {
    return this.operator.call('GET /blobs/{blob_uuid}', { params: { blob_uuid: this.id } });
  }

  /** Its bytes in memory. */
  download(extent: Extent = {}): Promise<Uint8Array> {
    const { offset = 0, limit = 0 } = extent;
    const params = { blob_uuid: this.id };
    const query = { offset, limit };
    return this.operator.bytes('GET /blobs/{blob_uuid}/data', { params, query });
  }

  /** The same piece by piece, so that little is in memory however large it is. */
  async *pieces({ offset = 0, limit = Infinity }: Extent = {}): AsyncGenerator<Uint8Array> {
    const end = Math.min(this.view.size, offset + limit);
    for (let at = offset; at < end;) {
      const piece = await this.download({ offset: at, limit: Math.min(PIECE_BYTES, end - at) });
      if (piece.length === 0) throw new Error(`blob ${this.id} ended at ${at} of ${end} bytes`);
      yield piece;
      at += piece.length;
    }
  }
}

export class Blobs {
  readonly #operator: Operator;

  constructor(operator: Operator) {
    this.#operator = operator;
  }

  /** Error: NotFoundError. */
  async get(id: string): Promise<Blob> {
    const params = { blob_uuid: id };
    const view = await this.#operator.call('GET /blobs/{blob_uuid}', { params });
    return new Blob(this.#operator, view);
  }

  /** For the system namespace only. */
  async list({ node }: { readonly node?: string } = {}): Promise<readonly Blob[]> {
    const body = node === undefined ? {} : { node };
    const found = await this.#operator.call('GET /blobs', { body });
    return found.map((view) => new Blob(this.#operator, view));
  }

  /** The one with these bytes; null: there is none. */
  async find(
    algorithm: 'sha1' | 'sha256' | 'sha512' | 'xxh128',
    hash: string,
  ): Promise<Blob | null> {
    const params = { algorithm, hash };
    const view = await this.#operator.call('GET /blob_checksums/{algorithm}/{hash}', { params });
    return view === null ? null : new Blob(this.#operator, view);
  }
}
