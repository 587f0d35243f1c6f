// Labels: names that point at blobs of other artifacts, a version for each blob they were pointed at.
import type { Operator } from '../operator.ts';
import { Artifact } from './artifact.ts';

export class Labels {
  readonly #operator: Operator;

  constructor(operator: Operator) {
    this.#operator = operator;
  }

  /**
   * Points it at a blob; makes it if need be, and then `maxVersions` says how many versions are kept. `name` may begin with
   * a namespace and a slash. Error: NotFoundError.
   */
  async set(
    name: string,
    blobId: string,
    { maxVersions }: { readonly maxVersions?: number } = {},
  ): Promise<Artifact> {
    const more = maxVersions === undefined ? {} : { max_versions: maxVersions };
    const body = { blob_uuid: blobId, ...more };
    const { own, of } = named(name);
    const view =
      of === null
        ? await this.#operator.call('POST /label/{label_name}', { params: own, body })
        : await this.#operator.call('POST /label/{label_namespace}/{label_name}', {
            params: of,
            body,
          });
    return new Artifact(this.#operator, view);
  }

  /** Error: NotFoundError. */
  async get(name: string): Promise<Artifact> {
    const { own, of } = named(name);
    const view =
      of === null
        ? await this.#operator.call('GET /label/{label_name}', { params: own })
        : await this.#operator.call('GET /label/{label_namespace}/{label_name}', { params: of });
    return new Artifact(this.#operator, view);
  }

  /** The blobs that it pointed at may stay. Error: NotFoundError. */
  async delete(name: string): Promise<void> {
    const { own, of } = named(name);
    if (of === null) await this.#operator.call('DELETE /label/{label_name}', { params: own });
    else await this.#operator.call('DELETE /label/{label_namespace}/{label_name}', { params: of });
  }
}

function named(name: string) {
  const at = name.indexOf('/');
  const own = { label_name: name };
  if (at === -1) return { own, of: null };
  return { own, of: { label_namespace: name.slice(0, at), label_name: name.slice(at + 1) } };
}
