// An object's metadata: pairs of a key and any JSON value.
import type { Operation, Operator } from '../operator.ts';

/** Kinds of objects that have metadata, by how their paths begin. */
type Described =
  | '/instances/{instance_ref}'
  | '/networks/{network_ref}'
  | '/interfaces/{interface_uuid}'
  | '/artifacts/{artifact_ref}'
  | '/blobs/{blob_uuid}'
  | '/nodes/{node}'
  | '/auth/namespaces/{namespace}';

export class Metadata {
  readonly #operator: Operator;
  readonly #path: Described;
  readonly #variable: string;
  readonly #id: string;

  constructor(operator: Operator, path: Described, id: string) {
    this.#operator = operator;
    this.#path = path;
    this.#variable = /\{(\w+)\}/.exec(path)?.[1] ?? '';
    this.#id = id;
  }

  async all(): Promise<Readonly<Record<string, unknown>>> {
    return (await this.#call('GET', '', {})) as Readonly<Record<string, unknown>>;
  }

  async set(key: string, value: unknown): Promise<void> {
    await this.#call('PUT', '/{key}', { key }, { value });
  }

  async remove(key: string): Promise<void> {
    await this.#call('DELETE', '/{key}', { key });
  }

  #call(
    method: string,
    tail: string,
    more: Readonly<Record<string, string>>,
    body?: object,
  ): Promise<unknown> {
    const at = `${method} ${this.#path}/metadata${tail}` as Operation;
    const params = { [this.#variable]: this.#id, ...more } as never;
    return this.#operator.call(at, { params, ...(body === undefined ? {} : { body }) });
  }
}
