// Our schemas as JSON Schema 2020-12, which OpenAPI 3.1 speaks.
import type { Json, JsonObject } from '../../../actors/kernel/json.ts';
import type { TSchema } from '../../../actors/kernel/schema.ts';

/** What the schema library's open record says, and nobody else has to know. */
const ANY_KEY = '^.*$';

/** Makes them portable, and collects those that are referred to by name. */
export class Schemas {
  readonly #names: ReadonlyMap<TSchema, string>;
  readonly #named: Record<string, JsonObject> = {};

  constructor(names: ReadonlyMap<TSchema, string>) {
    this.#names = names;
  }

  /** By name. */
  get components(): Readonly<Record<string, JsonObject>> {
    return this.#named;
  }

  of(schema: TSchema): JsonObject {
    const name = this.#names.get(schema);
    if (name === undefined) return this.#plain(schema);
    if (!Object.hasOwn(this.#named, name)) {
      // First: a view may hold another of its own sort.
      this.#named[name] = {};
      this.#named[name] = this.#plain(schema);
    }
    return { $ref: `#/components/schemas/${name}` };
  }

  #plain(schema: TSchema): JsonObject {
    const members = Object.entries(schema).flatMap(([key, value]) => this.#member(key, value));
    const plain = Object.fromEntries(members);
    // A tuple.
    if ('prefixItems' in plain) return { ...plain, items: false };
    return plain;
  }

  #member(key: string, value: unknown): [string, Json][] {
    if (key === 'items' && Array.isArray(value)) return [['prefixItems', this.#each(value)]];
    if (key === 'additionalItems') return [];
    if (key === 'properties') return [[key, this.#eachOf(value as Record<string, TSchema>)]];
    if (key === 'patternProperties') {
      const all = this.#eachOf(value as Record<string, TSchema>);
      const only = Object.keys(all).length === 1 ? all[ANY_KEY] : undefined;
      return only === undefined ? [[key, all]] : [['additionalProperties', only]];
    }
    if (Array.isArray(value) && isSchema(value[0])) return [[key, this.#each(value)]];
    if (isSchema(value)) return [[key, this.of(value)]];
    return [[key, value as Json]];
  }

  #each(schemas: readonly unknown[]): JsonObject[] {
    return schemas.map((one) => this.of(one as TSchema));
  }

  #eachOf(schemas: Readonly<Record<string, TSchema>>): JsonObject {
    return Object.fromEntries(Object.entries(schemas).map(([name, one]) => [name, this.of(one)]));
  }
}

function isSchema(value: unknown): value is TSchema {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
