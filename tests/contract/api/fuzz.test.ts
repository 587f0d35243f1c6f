// Thousands of seeded requests over all routes: no 5xx, errors in their one shape, nothing of another tenant's.
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Random } from '../../../actors/kernel/ports.ts';
import { openApiWorld, type ApiReply, type ApiWorld, type View } from '../../support/api-world.ts';
import { seededRandom } from '../../support/kernel.ts';

const test = suite('api: fuzz');
const SEED = Number(process.env['TROUPE_SEED'] ?? 1);
const REQUESTS = 3_000;
const AT_ONCE = 16;
const SECRET = 'what-only-the-other-tenant-knows';

let world: ApiWorld;
test.before(async () => {
  world = await openApiWorld();
});
test.after(() => world.close());

const MEMBERS = {
  list: ['all', 'node'],
  create: [
    'name',
    'cpus',
    'memory',
    'disk',
    'network',
    'ssh_key',
    'user_data',
    'placed_on',
    'namespace',
    'video',
    'uefi',
    'secure_boot',
    'nvram_template',
    'configdrive',
    'metadata',
    'side_channels',
  ],
  network: ['netblock', 'name', 'provide_dhcp', 'provide_nat', 'provide_dns', 'namespace'],
  artifact: ['url', 'shared', 'namespace'],
  object: ['namespace', 'length', 'limit', 'event_type', 'instance_ref', 'network_ref'],
  auth: ['namespace', 'key'],
} as const;

const TEXTS = [
  '',
  'a',
  'web',
  'front',
  'lab',
  'other',
  'system',
  'floating',
  '__proto__',
  'constructor',
  '../x',
  '\u0000',
  '\n',
  '"',
  '<a>',
  '☃',
  'x'.repeat(300),
  '10.0.0.0/24',
  '10.0.0.9',
  'none',
  'virtio',
  '-1',
  '1e3',
  'http://images.test/a',
  'file:///etc/passwd',
  'sf://blob/x',
  'label:x',
  'null',
];
const NUMBERS = [0, 1, -1, 2, 1.5, 1e21, -1e300, 2 ** 53, 128];

const KINDS = ['instances', 'networks', 'artifacts', 'interfaces'];
/** Nothing, and what is the other tenant's: known from the start. */
const OTHERS = 4;

class Fuzzer {
  readonly #random: Random;
  readonly objects = [{ kind: 'instances', id: 'nowhere' }];

  constructor(seed: number) {
    this.#random = seededRandom(seed);
  }

  /** Of the others' objects, which are the first ones, and the newest of our own. */
  know(kind: string, id: string): void {
    this.objects.push({ kind, id });
    if (this.objects.length > 40) this.objects.splice(OTHERS, 1);
  }

  /** Collection and reference, mostly of something that is there. */
  target(): { readonly kind: string; readonly ref: string } {
    const { kind, id } = this.pick(this.objects);
    const ref = encodeURIComponent(this.chance(0.8) ? id : this.pick(TEXTS));
    return { kind: this.chance(0.9) ? kind : this.pick(KINDS), ref };
  }

  pick<T>(from: readonly T[]): T {
    const at = Math.floor(this.#random.number() * from.length);
    return from[at] as T;
  }

  chance(probability: number): boolean {
    return this.#random.number() < probability;
  }

  value(depth = 0): unknown {
    const sorts = depth > 2 ? 4 : 7;
    switch (Math.floor(this.#random.number() * sorts)) {
      case 0:
        return this.pick(TEXTS);
      case 1:
        return this.pick(NUMBERS);
      case 2:
        return this.chance(0.5);
      case 3:
        return this.chance(0.5) ? null : this.pick(this.objects).id;
      case 4:
        return Array.from({ length: Math.floor(this.#random.number() * 3) }, () =>
          this.value(depth + 1),
        );
      case 5:
        return this.members(
          [
            'size',
            'base',
            'bus',
            'type',
            'network_uuid',
            'address',
            'macaddress',
            'model',
            'memory',
            'vdi',
            'float',
            'tags',
            'affinity',
            ...TEXTS.slice(0, 9),
          ],
          depth,
        );
      default:
        return {
          size: 1,
          network_uuid: 'front',
          model: 'virtio',
          [this.pick(TEXTS)]: this.value(depth + 1),
        };
    }
  }

  members(names: readonly string[], depth = 0): View {
    const chosen = names.filter(() => this.chance(0.3));
    return Object.fromEntries(chosen.map((name) => [name, this.value(depth + 1)]));
  }

  /** Seldom anything at all, mostly a good body with a value or two replaced somewhere inside. */
  body(names: readonly string[], good: View): unknown {
    if (this.chance(0.05)) return this.value();
    if (this.chance(0.1)) return this.members(names);
    const body = structuredClone(good);
    const changes = Math.floor(this.#random.number() * 3);
    for (let change = 0; change < changes; change++) this.#change(body, names);
    return body;
  }

  #change(inside: View | unknown[], names: readonly string[]): void {
    const keys = Object.keys(inside);
    const key =
      this.chance(0.2) || keys.length === 0 ? this.pick([...names, 'x']) : this.pick(keys);
    const before: unknown = Reflect.get(inside, key);
    const isDeep = typeof before === 'object' && before !== null && this.chance(0.7);
    if (isDeep) return this.#change(before as View, ['size', 'base', 'address']);
    Reflect.set(inside, key, this.value(1));
  }
}

const GOOD = {
  instance: {
    name: 'web',
    cpus: 1,
    memory: 1,
    disk: [{ size: 1 }, { size: 2, base: 'http://images.test/fuzz', bus: 'sata', type: 'disk' }],
    network: [{ network_uuid: 'front', macaddress: null, model: 'e1000', float: false }],
    ssh_key: 'ssh-ed25519 AAAA',
    user_data: 'I2Nsb3VkLWNvbmZpZwo=',
    placed_on: 'n1',
    namespace: 'lab',
    video: { model: 'qxl', memory: 65536, vdi: 'vnc' },
    uefi: true,
    secure_boot: true,
    configdrive: 'none',
    metadata: { tags: ['a'], affinity: { b: 1 }, other: { c: [1] } },
    side_channels: ['sf-agent'],
  },
  network: {
    netblock: '10.9.0.0/24',
    name: 'fuzzed',
    provide_dhcp: true,
    provide_nat: false,
    provide_dns: true,
  },
  artifact: { url: 'http://images.test/fuzz', shared: false, namespace: null },
  nothing: {},
  entry: { name: 'www', value: '10.20.0.9' },
  unconfirmed: { confirm: false, namespace: 'lab', clean_wait: true },
  pair: { key: 'k', value: { deep: [1] } },
  key: { key_name: 'fuzz', key: 'secret' },
} as const;
const POWER = ['poweron', 'poweroff', 'pause', 'unpause', 'reboothard', 'rebootsoft'] as const;
const OF_NAMESPACE = [
  '',
  '/keys',
  '/keys/fuzz',
  '/trust',
  '/trust/lab',
  '/metadata',
  '/events',
] as const;

interface Shot {
  readonly method: string;
  readonly path: string;
  readonly body: unknown;
}

function shot(fuzz: Fuzzer): Shot {
  const { kind, ref } = fuzz.target();
  const member = fuzz.pick([
    '',
    '',
    '/events',
    '/interfaces',
    '/metadata',
    '/consoledata',
    '/vdiconsolehelper',
    '/addresses',
    '/x',
  ]);
  const [method, path, names, good] = fuzz.pick<[string, string, readonly string[], View]>([
    ['GET', `/${kind}`, MEMBERS.list, GOOD.nothing],
    ['POST', '/instances', MEMBERS.create, GOOD.instance],
    ['POST', '/instances', MEMBERS.create, GOOD.instance],
    ['POST', '/networks', MEMBERS.network, GOOD.network],
    ['DELETE', fuzz.pick(['/instances']), ['confirm', 'namespace'], GOOD.nothing],
    ['POST', `/${kind}/${ref}/interfaces`, ['network'], GOOD.nothing],
    ['POST', '/artifacts', MEMBERS.artifact, GOOD.artifact],
    ['GET', `/${kind}/${ref}${member}`, MEMBERS.object, GOOD.nothing],
    ['GET', `/${kind}/${ref}${member}`, MEMBERS.object, GOOD.nothing],
    ['DELETE', `/${kind}/${ref}${fuzz.pick(['', '/consoledata'])}`, MEMBERS.object, GOOD.nothing],
    [
      fuzz.pick(['PUT', 'PATCH', 'OPTIONS', 'HEAD']),
      `/${kind}/${ref}`,
      MEMBERS.object,
      GOOD.nothing,
    ],
    [
      'GET',
      fuzz.pick(['/', '/healthz', '/readyz', '/metrics', '/stuck', `/actors/${ref}`]),
      [],
      GOOD.nothing,
    ],
    ['POST', `/actors/${kind}/${ref}/cancel`, [], GOOD.nothing],
    ['POST', `/${kind}/${ref}/metadata`, ['key', 'value'], GOOD.pair],
    ['POST', `/${kind}/${ref}/${fuzz.pick(['float', 'defloat', 'route'])}`, [], GOOD.nothing],
    [fuzz.pick(['POST', 'DELETE']), `/networks/${ref}/dns`, ['name', 'value'], GOOD.entry],
    [
      fuzz.pick(['GET', 'DELETE']),
      `/networks/${ref}/${fuzz.pick(['ping', 'route'])}/${ref}`,
      [],
      {},
    ],
    ['DELETE', '/networks', ['confirm', 'namespace', 'clean_wait'], GOOD.unconfirmed],
    [fuzz.pick(['PUT', 'DELETE']), `/${kind}/${ref}/metadata/${ref}`, ['value'], GOOD.pair],
    ['POST', `/${kind}/${ref}/${fuzz.pick(POWER)}`, [], GOOD.nothing],
    [
      fuzz.pick(['GET', 'POST', 'DELETE']),
      `/nodes${fuzz.pick(['', `/${ref}`, '/n1', '/n1/processmetrics'])}`,
      [],
      GOOD.nothing,
    ],
    [
      fuzz.pick(['GET', 'POST']),
      `/admin/${fuzz.pick(['locks', 'resources', 'rotatetokensecret'])}`,
      ['at_once'],
      GOOD.nothing,
    ],
    [
      fuzz.pick(['GET', 'POST', 'PUT', 'DELETE']),
      `/auth/namespaces/${fuzz.pick(['other', ref, 'fuzz'])}${fuzz.pick(OF_NAMESPACE)}`,
      ['key_name', 'key', 'expires_at', 'external_namespace', 'namespace'],
      GOOD.key,
    ],
  ]);
  return { method, path, body: fuzz.body(names, good) };
}

function check({ method, path, body }: Shot, { status, headers, json, text }: ApiReply): void {
  const about = `seed ${SEED}: ${method} ${path} ${JSON.stringify(body)} -> ${status} ${text.slice(0, 300)}`;
  // No room, and not there yet, are answers, not breakdowns.
  assert.ok(status < 500 || status === 507 || status === 501, about);
  assert.match(String(headers['x-request-id']), /^[0-9a-f-]{36}$/, about);
  assert.not.ok(text.includes(SECRET), about);
  const hasErrorShape =
    headers['content-type'] === 'application/json' && status !== 405 && method !== 'HEAD';
  if (status < 400 || !hasErrorShape) return;
  const { error, status: told, ...rest } = json as View;
  assert.type(error, 'string', about);
  assert.is(told, status, about);
  assert.equal(rest, {}, about);
}

test('whatever is sent, the answer is one of the API’s own', async () => {
  const fuzz = new Fuzzer(SEED);
  await world.network({ name: 'front', netblock: '10.20.0.0/24' });
  const theirs = await world.network({ name: SECRET }, 'other');
  const guest = await world.instance(
    { name: 'theirs', ssh_key: SECRET, network: [{ network_uuid: SECRET }] },
    'other',
  );
  const nics = guest['interfaces'] as View[];
  fuzz.know('networks', String(theirs['uuid']));
  fuzz.know('instances', String(guest['uuid']));
  fuzz.know('interfaces', String(nics[0]?.['uuid']));
  let [left, created] = [REQUESTS, 0];
  const worker = async () => {
    while (left-- > 0) {
      const one = shot(fuzz);
      const reply = await world.call(one.method, one.path, { body: one.body });
      check(one, reply);
      if (one.method !== 'POST' || reply.status !== 200) continue;
      created++;
      const { uuid } = (reply.json ?? {}) as View;
      if (typeof uuid === 'string') fuzz.know(one.path.split('/')[1] ?? '', uuid);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
  assert.is(
    (await world.ok('GET', `/instances/${String(guest['uuid'])}`, { as: 'other' }))['state'],
    'created',
  );
  const errors = world.lines.filter(
    ({ level, message }) => level === 'error' && message !== 'unreadable',
  );
  assert.equal(errors.slice(0, 3), []);
});

test('logins take any value', async () => {
  const fuzz = new Fuzzer(SEED + 1);
  for (let count = 0; count < 100; count++) {
    const body = fuzz.members(MEMBERS.auth);
    const { status, text } = await world.call('POST', '/auth', {
      as: null,
      body: { ...body, namespace: fuzz.pick([7, null, 'x', {}, []]) },
    });
    assert.ok(status === 400 || status === 404, text);
  }
});

test.run();
