// Requests made from the API's own description: for each operation some that could be right and some that are hostile, always
// the same ones for a seed.
import type { Random } from '../../actors/kernel/ports.ts';
import type { View } from './api-world.ts';
import { seededRandom } from './kernel.ts';

export interface Operation {
  readonly method: string;
  /** As in the description: `/instances/{instance_ref}`. */
  readonly path: string;
  readonly isPublic: boolean;
  readonly isSystemOnly: boolean;
  /** Not there yet. */
  readonly isMissing: boolean;
  /** Of the body's members; undefined: none is taken. */
  readonly body: View | undefined;
  readonly takesBytes: boolean;
  /** That it declares. */
  readonly statuses: readonly number[];
}

export interface Shot {
  readonly operation: Operation;
  readonly method: string;
  readonly path: string;
  readonly body?: unknown;
  readonly raw?: string;
  readonly headers?: Readonly<Record<string, string>>;
}

const TEXTS = [
  '',
  'a',
  'lab',
  'other',
  'system',
  'floating',
  '__proto__',
  'constructor',
  '../x',
  '%2e%2e',
  '\u0000',
  '\n',
  '\r\nX-Injected: 1',
  '"',
  "'; drop table objects; --",
  '$(touch /tmp/pwned)',
  '<script>alert(1)</script>',
  '☃',
  '\u202e',
  'x'.repeat(300),
  'none',
  '-1',
  '1e3',
  'file:///etc/passwd',
  'sf://blob/x',
  'sf://label/other/x',
  'label:x',
  'null',
  '00000000-0000-4000-8000-000000000000',
];
const NUMBERS = [0, 1, -1, 2, 1.5, 1e21, -1e300, 2 ** 31, 2 ** 53, 128];

/** What a member of that name, or a variable of the path, could rightly be. */
const GOOD: Readonly<Record<string, readonly unknown[]>> = {
  address: ['10.20.0.9', '', null],
  base: ['http://images.test/fuzz', '', null],
  algorithm: ['sha512', 'sha256'],
  artifact_type: ['image', 'other'],
  bus: ['virtio', 'sata', 'usb'],
  confirm: [true],
  configdrive: ['none', 'openstack-disk'],
  cpus: [1, 2],
  event_type: ['audit', 'status', 'mutate'],
  external_namespace: ['system', 'fuzz'],
  hash: ['ab'.repeat(64), 'cd'.repeat(32)],
  index: ['1', '2'],
  key: ['fuzz', 'tags', 'affinity'],
  key_name: ['fuzz'],
  kind: ['instance', 'network'],
  label_name: ['fuzz', 'x'],
  label_namespace: ['lab', 'other', 'nowhere'],
  macaddress: [null, '02:00:00:12:34:56'],
  memory: [128, 256],
  model: ['virtio'],
  name: ['fuzz', 'web'],
  namespace: ['lab', 'lab', 'lab', 'other', 'system', null, null],
  netblock: ['10.9.0.0/24', '10.0.0.0/8', '192.168.7.0/29'],
  node: ['n1', 'n1', 'nowhere'],
  nvram_template: [null, ''],
  offset: ['0', '3', '100'],
  placed_on: ['n1', null],
  secure_boot: [false],
  side_channels: [['sf-agent'], []],
  size: [1, 2, '3'],
  url: ['http://images.test/fuzz', 'https://images.test/other'],
  value: ['text', '10.20.0.7', ['a'], { a: 1 }, 7],
};

/** Seldom left out, since nothing works without. */
const NEEDED =
  /^(blob_uuid|cpus|confirm|disk|memory|name|netblock|network_uuid|size|upload_uuid|url)$/;

/** Of what collection a variable or a member names one: `instance_ref`, `blob_uuid`. */
const REFERENCE = /^(\w+?)_(ref|uuid)$/;

export class ApiFuzzer {
  readonly #random: Random;
  /** By collection: the ids of what is there. */
  readonly #known = new Map<string, string[]>();
  readonly #theirs = new Map<string, string[]>();

  constructor(seed: number) {
    this.#random = seededRandom(seed);
  }

  /** Something that there is now; what is older than a dozen is forgotten. */
  know(collection: string, id: string): void {
    const ids = this.#known.get(collection) ?? [];
    this.#known.set(collection, ids);
    ids.push(id);
    if (ids.length > 12) ids.shift();
  }

  /** The other tenant's, which never is. */
  knowTheirs(collection: string, id: string): void {
    this.#theirs.set(collection, [...(this.#theirs.get(collection) ?? []), id]);
  }

  shot(operation: Operation): Shot {
    const { method, path, body, takesBytes } = operation;
    const at = path.replace(/\{(\w+)\}/g, (_, name: string) =>
      encodeURIComponent(this.#variable(name)),
    );
    const headers = this.#chance(0.1) ? { 'Idempotency-Key': this.#pick(['k1', 'k2', '?']) } : {};
    const shot = { operation, method, path: at + this.#query(), headers };
    if (takesBytes) return { ...shot, raw: this.#pick(['bytes', '{"a":1}', '\u0000'.repeat(99)]) };
    if (this.#chance(0.04)) return { ...shot, raw: this.#pick(['{', '[1]', '"x"', '7', 'null']) };
    if (body === undefined) return this.#chance(0.2) ? { ...shot, body: this.#hostile(0) } : shot;
    const sent = this.#chance(0.05) ? this.#hostile(0) : this.#ofSchema(body, '');
    for (let changes = this.#pick([0, 0, 0, 1, 1, 2]); changes > 0; changes--) this.#spoil(sent);
    return { ...shot, body: sent };
  }

  #query(): string {
    return this.#chance(0.1) ? `?offset=${encodeURIComponent(this.#pick(TEXTS))}&limit=-1` : '';
  }

  #variable(name: string): string {
    // An empty one would be another path.
    const hostile = () => this.#pick(TEXTS.slice(1));
    if (this.#chance(0.15)) return hostile();
    return this.#reference(name) ?? this.#goodText(name) ?? hostile();
  }

  #goodText(name: string): string | undefined {
    const texts = (GOOD[name] ?? []).filter((one) => typeof one === 'string' && one !== '');
    return texts.length === 0 ? undefined : (this.#pick(texts) as string);
  }

  #reference(name: string): string | undefined {
    const what = name === 'ref' || name === 'id' ? 'instance' : REFERENCE.exec(name)?.[1];
    const own = this.#known.get(`${what}s`) ?? [];
    const theirs = this.#theirs.get(`${what}s`) ?? [];
    const ids = own.length > 0 && (theirs.length === 0 || this.#chance(0.75)) ? own : theirs;
    return ids.length === 0 ? undefined : this.#pick(ids);
  }

  #ofSchema(schema: View, name: string): unknown {
    const reference = this.#reference(name);
    if (reference !== undefined) return reference;
    const good = Object.hasOwn(GOOD, name) ? GOOD[name] : undefined;
    const { anyOf, type, items, properties, enum: choices } = schema;
    if (Array.isArray(anyOf)) return this.#ofSchema(this.#pick(anyOf as View[]), name);
    if (type === 'object' && properties !== undefined) return this.#ofMembers(schema);
    if (good !== undefined) return this.#pick(good);
    if (type === 'object') return { tags: ['a'], other: this.#pick(TEXTS) };
    if (type === 'array') {
      const length = this.#pick([1, 1, 1, 2, 0]);
      return Array.from({ length }, () => this.#ofSchema(items as View, ''));
    }
    if (Array.isArray(choices)) return this.#pick(choices as unknown[]);
    if (type === 'boolean') return this.#chance(0.5);
    if (type === 'integer' || type === 'number') return this.#pick([1, 2, 3, 10]);
    if (type === 'string') return this.#pick(['fuzz', ...TEXTS]);
    return type === 'null' ? null : this.#hostile(1);
  }

  #ofMembers({ properties, required = [] }: View): View {
    const isChosen = (name: string) =>
      (required as string[]).includes(name) || this.#chance(NEEDED.test(name) ? 0.98 : 0.7);
    const chosen = Object.entries(properties as Record<string, View>).filter(([name]) =>
      isChosen(name),
    );
    return Object.fromEntries(chosen.map(([name, schema]) => [name, this.#ofSchema(schema, name)]));
  }

  /** Puts something hostile somewhere inside. */
  #spoil(value: unknown): void {
    if (typeof value !== 'object' || value === null) return;
    const keys = Object.keys(value);
    if (keys.length === 0 || this.#chance(0.1)) {
      return void Reflect.set(value, this.#pick(TEXTS), this.#hostile(1));
    }
    const key = this.#pick(keys);
    const inner: unknown = Reflect.get(value, key);
    if (typeof inner === 'object' && inner !== null && this.#chance(0.7)) return this.#spoil(inner);
    Reflect.set(value, key, this.#hostile(1));
  }

  #hostile(depth: number): unknown {
    const sorts = depth > 2 ? 4 : 6;
    switch (Math.floor(this.#random.number() * sorts)) {
      case 0:
        return this.#pick(TEXTS);
      case 1:
        return this.#pick(NUMBERS);
      case 2:
        return this.#chance(0.5);
      case 3:
        return null;
      case 4:
        return Array.from({ length: Math.floor(this.#random.number() * 3) }, () =>
          this.#hostile(depth + 1),
        );
      default:
        return { [this.#pick(TEXTS)]: this.#hostile(depth + 1), toString: 1 };
    }
  }

  #pick<T>(from: readonly T[]): T {
    return from[Math.floor(this.#random.number() * from.length)] as T;
  }

  #chance(probability: number): boolean {
    return this.#random.number() < probability;
  }
}

/** The operations of a description, its references put in place. `base` stands before every path. */
export function operationsOf(description: View, base: string): Operation[] {
  const paths = description['paths'] as Record<string, Record<string, View>>;
  return Object.entries(paths).flatMap(([path, item]) =>
    Object.entries(item).map(([method, one]): Operation => {
      const content = (one['requestBody'] as { content?: View } | undefined)?.content ?? {};
      const security = one['security'] as View[];
      const json = content['application/json'] as { schema: View } | undefined;
      return {
        method: method.toUpperCase(),
        path: base + path,
        isPublic: security.length === 0 || security.some((way) => Object.keys(way).length === 0),
        isSystemOnly: String(one['description']).startsWith('A token of the `system`'),
        isMissing: 'x-troupe-missing' in one,
        body: json === undefined ? undefined : (whole(json.schema, description) as View),
        takesBytes: 'application/octet-stream' in content,
        statuses: Object.keys(one['responses'] as View).map(Number),
      };
    }),
  );
}

function whole(value: unknown, description: View): unknown {
  if (Array.isArray(value)) return value.map((one) => whole(one, description));
  if (typeof value !== 'object' || value === null) return value;
  if ('$ref' in value) return whole(pointed(String(value.$ref), description), description);
  return Object.fromEntries(
    Object.entries(value).map(([key, one]) => [key, whole(one, description)]),
  );
}

function pointed(ref: string, description: View): unknown {
  const keys = ref.split('/').slice(1);
  return keys.reduce<unknown>((value, key) => (value as View | undefined)?.[key], description);
}
