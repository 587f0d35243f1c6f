// Images and other artifacts.
import type { AnswerOf, Operator } from '../operator.ts';
import type * as views from '../operations.ts';
import { Blobs, type Blob } from './blob.ts';
import { Handle, wishKey } from './handle.ts';
import { Metadata } from './metadata.ts';
import { eventsOf, type EventFilter } from './past-events.ts';

/** Of an upload; what is sent at once. */
const PIECE_BYTES = 4 * 1024 * 1024;

export class Artifact extends Handle<views.Artifact> {
  protected readonly kind = 'artifact';

  get id(): string {
    return this.view.uuid;
  }

  get metadata(): Metadata {
    return new Metadata(this.operator, '/artifacts/{artifact_ref}', this.id);
  }

  protected fetch(): Promise<views.Artifact> {
    return this.operator.call('GET /artifacts/{artifact_ref}', this.#here());
  }

  /** What has happened to it and its blobs, newest first. */
  pastEvents(filter: EventFilter = {}): Promise<readonly views.Event[]> {
    return eventsOf(this.operator, 'GET /artifacts/{artifact_ref}/events', this.#here(), filter);
  }

  /** Its versions, oldest first, each with its blob. */
  versions(): Promise<AnswerOf<'GET /artifacts/{artifact_ref}/versions'>> {
    return this.operator.call('GET /artifacts/{artifact_ref}/versions', this.#here());
  }

  /** The newest version's. Error: NotFoundError when there is none. */
  blob(): Promise<Blob> {
    return new Blobs(this.operator).get(this.view.blob_uuid ?? 'none');
  }

  /** All of the newest version's bytes, in memory; blob() reads them piece by piece. Error: NotFoundError when there is none. */
  async download(): Promise<Uint8Array> {
    const params = { blob_uuid: this.view.blob_uuid ?? 'none' };
    return this.operator.bytes('GET /blobs/{blob_uuid}/data', { params });
  }

  /** How many versions are kept. */
  async keep(maxVersions: number): Promise<this> {
    const body = { max_versions: maxVersions };
    await this.operator.call('POST /artifacts/{artifact_ref}/versions', { ...this.#here(), body });
    return this.refresh();
  }

  async removeVersion(index: number): Promise<this> {
    const params = { artifact_ref: this.id, index: String(index) };
    return this.saw(
      await this.operator.call('DELETE /artifacts/{artifact_ref}/versions/{index}', { params }),
    );
  }

  /** Lets every namespace use it; for artifacts of the system namespace. */
  async share(): Promise<this> {
    return this.saw(await this.operator.call('POST /artifacts/{artifact_ref}/share', this.#here()));
  }

  async unshare(): Promise<this> {
    return this.saw(
      await this.operator.call('POST /artifacts/{artifact_ref}/unshare', this.#here()),
    );
  }

  async delete(): Promise<this> {
    const view = await this.operator.call('DELETE /artifacts/{artifact_ref}', this.#here());
    return view === null ? this : this.saw(view);
  }

  #here() {
    return { params: { artifact_ref: this.id } };
  }
}

export interface CacheOptions {
  readonly namespace?: string;
  /** For all namespaces; for the system namespace only. */
  readonly shared?: boolean;
  /** `sha256:HEX` or `sha512:HEX`: what the bytes have to hash to. */
  readonly checksum?: string;
}

export interface UploadOptions {
  /** Called with the bytes that have arrived. */
  readonly onProgress?: (doneBytes: number) => void;
  readonly namespace?: string;
  /** For all namespaces; for the system namespace only. */
  readonly shared?: boolean;
  /** Default `image`. */
  readonly type?: 'image' | 'other';
  /** The URL that it stands for. */
  readonly sourceUrl?: string;
}

export class Artifacts {
  readonly #operator: Operator;

  constructor(operator: Operator) {
    this.#operator = operator;
  }

  /** Fetches an image from a URL, once for all who ask; waitUntil('created') says when it is there. */
  async cache(
    url: string,
    { namespace, shared = false, checksum }: CacheOptions = {},
  ): Promise<Artifact> {
    const given = namespace === undefined ? {} : { namespace };
    const body = { url, shared, ...given, ...(checksum === undefined ? {} : { checksum }) };
    const view = await this.#operator.call('POST /artifacts', { body, idempotencyKey: wishKey() });
    return new Artifact(this.#operator, view);
  }

  /** Brings bytes of one's own; there when it resolves. A piece that did not arrive is sent again. */
  async upload(
    name: string,
    bytes: Uint8Array | AsyncIterable<Uint8Array>,
    { onProgress, ...options }: UploadOptions = {},
  ): Promise<Artifact> {
    const upload = await this.#operator.call('POST /upload', { idempotencyKey: wishKey() });
    let doneBytes = 0;
    for await (const piece of pieces(bytes)) {
      doneBytes = await this.#append(upload.uuid, piece, doneBytes);
      onProgress?.(doneBytes);
    }
    return this.#convert(name, { upload_uuid: upload.uuid }, options);
  }

  /** Makes a blob that is there already a version: nothing is sent. Error: NotFoundError. */
  fromBlob(
    name: string,
    blobId: string,
    options: Omit<UploadOptions, 'onProgress'> = {},
  ): Promise<Artifact> {
    return this.#convert(name, { blob_uuid: blobId }, options);
  }

  /** All of a namespace, the caller's if none is named; their UUIDs. */
  deleteAll(namespace?: string): Promise<readonly string[]> {
    const body = { confirm: true, ...(namespace === undefined ? {} : { namespace }) };
    return this.#operator.call('DELETE /artifacts', { body });
  }

  /** By UUID or name. Error: NotFoundError. */
  async get(ref: string): Promise<Artifact> {
    const params = { artifact_ref: ref };
    return new Artifact(
      this.#operator,
      await this.#operator.call('GET /artifacts/{artifact_ref}', { params }),
    );
  }

  async list({ node }: { readonly node?: string } = {}): Promise<readonly Artifact[]> {
    const body = node === undefined ? {} : { node };
    const found = await this.#operator.call('GET /artifacts', { body });
    return found.map((view) => new Artifact(this.#operator, view));
  }

  async #convert(
    name: string,
    from: { readonly upload_uuid: string } | { readonly blob_uuid: string },
    { namespace, shared, type, sourceUrl }: UploadOptions,
  ): Promise<Artifact> {
    const body = {
      ...from,
      ...(namespace === undefined ? {} : { namespace }),
      ...(shared === undefined ? {} : { shared }),
      ...(type === undefined ? {} : { artifact_type: type }),
      ...(sourceUrl === undefined ? {} : { source_url: sourceUrl }),
    };
    const view = await this.#operator.call('POST /artifacts/upload/{artifact_name}', {
      params: { artifact_name: name },
      body,
      idempotencyKey: wishKey(),
    });
    return new Artifact(this.#operator, view);
  }

  /** Once more after cutting off what may have arrived of it. */
  async #append(uploadId: string, piece: Uint8Array, atBytes: number): Promise<number> {
    const params = { upload_uuid: uploadId };
    try {
      return await this.#operator.send('POST /upload/{upload_uuid}', piece, params);
    } catch {
      const cut = { ...params, offset: String(atBytes) };
      await this.#operator.call('POST /upload/{upload_uuid}/truncate/{offset}', { params: cut });
      return await this.#operator.send('POST /upload/{upload_uuid}', piece, params);
    }
  }
}

async function* pieces(bytes: Uint8Array | AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  const chunks = bytes instanceof Uint8Array ? [bytes] : bytes;
  for await (const chunk of chunks) {
    for (let at = 0; at < chunk.length; at += PIECE_BYTES) {
      yield chunk.subarray(at, at + PIECE_BYTES);
    }
  }
}
