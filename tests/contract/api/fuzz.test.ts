// Seeded requests to every operation that the API's description names, by several callers: no breakdown, errors in their one
// shape and of declared status, nothing of another tenant's told or changed. TROUPE_SEED chooses others.
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { ApiFuzzer, operationsOf, type Operation, type Shot } from '../../support/api-fuzzer.ts';
import {
  openApiWorld,
  type ApiReply,
  type ApiWorld,
  type Tenant,
  type View,
} from '../../support/api-world.ts';

const test = suite('api: fuzz');
const SEED = Number(process.env['TROUPE_SEED'] ?? 1);
const ROUNDS = 16;
const AT_ONCE = 16;
/** In everything of the other tenant's that is not public by its UUID; no request holds it. */
const CANARY = 'canary4d1f9';
/** No room, and not there yet, are answers and no breakdowns. */
const ANSWERS = [501, 507];

let world: ApiWorld;
let operations: Operation[];
test.before.each(async () => {
  world = await openApiWorld();
  operations = [];
  for (const base of ['', '/compat/0.4']) {
    const description = await world.ok('GET', `${base}/openapi.json`, { as: null });
    operations.push(...operationsOf(description, base));
  }
});
test.after.each(() => world.close());

type Caller = Tenant | null;
type Ask = readonly [caller: Caller, shot: Shot];

function check(caller: Caller, shot: Shot, { status, headers, json, text }: ApiReply): void {
  const { method, path, operation, body } = shot;
  const sent = JSON.stringify(body ?? shot.raw)?.slice(0, 500);
  const about = `seed ${SEED}: ${caller}: ${method} ${path} ${sent} -> ${status} ${text.slice(0, 300)}`;
  assert.ok(
    status < 500 || (ANSWERS.includes(status) && operation.statuses.includes(status)),
    about,
  );
  assert.match(String(headers['x-request-id']), /^[0-9a-f-]{36}$/, about);
  assert.is(headers['x-injected'], undefined, about);
  if (caller === null && !operation.isPublic) assert.is(status, 401, about);
  if (caller === 'lab' && operation.isSystemOnly) assert.is(status, 401, about);
  if (caller === null || caller === 'lab') {
    assert.not.ok(text.includes(CANARY) || JSON.stringify(headers).includes(CANARY), about);
  }
  if (status < 400 || headers['content-type'] !== 'application/json') return;
  const { error, status: told, ...rest } = json as View;
  assert.ok(typeof error === 'string' || typeof error === 'object', about);
  assert.is(told, status, about);
  assert.equal(rest, {}, about);
}

/** Makes all the requests, several at once, and remembers what they make. */
async function fire(fuzzer: ApiFuzzer, asks: Iterable<Ask>): Promise<Record<string, number>> {
  const seen: Record<string, number> = {};
  const queue = asks[Symbol.iterator]();
  const worker = async () => {
    for (let next = queue.next(); next.done !== true; next = queue.next()) {
      const [as, shot] = next.value;
      const { method, path, operation, body, raw, headers = {} } = shot;
      const sent = { ...(raw === undefined ? { body } : { raw }), headers };
      const reply = await world.call(method, path, { as, ...sent }).catch((error: unknown) => {
        const about = `seed ${SEED}: ${as}: ${method} ${path} ${JSON.stringify(sent).slice(0, 500)}`;
        throw new Error(`${about}: ${String(error)}`, { cause: error });
      });
      check(as, shot, reply);
      for (const what of [reply.status, `${method} ${operation.path} ${reply.status}`]) {
        seen[what] = (seen[what] ?? 0) + 1;
      }
      const { uuid } = (reply.json ?? {}) as View;
      const collection = operation.path.replace('/compat/0.4', '').split('/')[1] ?? '';
      if (method !== 'POST' || typeof uuid !== 'string') continue;
      fuzzer.know(plural(collection), uuid);
      for (const nic of interfacesOf(reply.json)) fuzzer.know('interfaces', nic);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
  const errors = world.lines.filter(({ level }) => level === 'error');
  assert.equal(errors.slice(0, 3), []);
  return seen;
}

function deletesAll({ method, path }: Operation): boolean {
  return method === 'DELETE' && !path.includes('{');
}

function interfacesOf(view: unknown): string[] {
  const { interfaces } = view as { interfaces?: { uuid: string }[] };
  return (interfaces ?? []).map(({ uuid }) => uuid);
}

/** More of these, so that there is something to try the others on. */
function makes({ method, path }: Operation): boolean {
  return method === 'POST' && !path.includes('{') && !path.endsWith('/auth');
}

/** As fuzzers call what a variable names: uploads and labels have a collection in the singular. */
function plural(collection: string): string {
  return collection.endsWith('s') ? collection : `${collection}s`;
}

/** The other tenant's: one of everything, with the canary in it. Where each is shown. */
async function theirs(fuzzer: ApiFuzzer): Promise<string[]> {
  const as = 'other';
  const network = await world.network({ name: CANARY }, as);
  const guest = await world.instance(
    {
      name: CANARY,
      ssh_key: CANARY,
      metadata: { secret: CANARY },
      network: [{ network_uuid: CANARY }],
    },
    as,
  );
  const [nic] = guest['interfaces'] as View[];
  const url = `http://images.test/${CANARY}`;
  const image = await world.ok('POST', '/artifacts', { as, body: { url } });
  const upload = await world.ok('POST', '/upload', { as });
  await world.call('POST', `/upload/${String(upload['uuid'])}`, { as, raw: 'bytes' });
  const pair = { as, body: { value: CANARY } } as const;
  await world.ok('PUT', '/auth/namespaces/other/metadata/secret', pair);
  const key = { key_name: CANARY, key: CANARY };
  await world.ok('POST', '/auth/namespaces/other/keys', { as, body: key });
  fuzzer.knowTheirs('networks', String(network['uuid']));
  fuzzer.knowTheirs('instances', String(guest['uuid']));
  fuzzer.knowTheirs('interfaces', String(nic?.['uuid']));
  fuzzer.knowTheirs('artifacts', String(image['uuid']));
  const ids = { networks: network, instances: guest, artifacts: image };
  const shown = Object.entries(ids).map(([kind, { uuid }]) => `/${kind}/${String(uuid)}`);
  for (const path of shown) await world.settled(path, 'created', as);
  const blob = (await world.ok('GET', shown[2] ?? '', { as }))['blob_uuid'];
  fuzzer.knowTheirs('blobs', String(blob));
  return [...shown, `/interfaces/${String(nic?.['uuid'])}`, '/auth/namespaces/other'];
}

/** What may change without the other tenant's doing: who uses a blob. */
async function views(paths: readonly string[]): Promise<View[]> {
  const all = await Promise.all(paths.map((path) => world.ok('GET', path, { as: 'other' })));
  return all.map((view) => ({ ...view, blobs: null }));
}

test('strangers and another tenant get no breakdown, no word of a tenant’s data, and change none of it', async () => {
  const fuzzer = new ApiFuzzer(SEED);
  const paths = await theirs(fuzzer);
  await world.network({ name: 'front', netblock: '10.20.0.0/24' });
  const before = await views(paths);
  assert.ok(before.every((view) => JSON.stringify(view).includes(CANARY) || 'macaddr' in view));
  function* asks(): Generator<Ask> {
    for (let round = 0; round < ROUNDS; round++) {
      for (const operation of operations) {
        if (operation.isMissing && round > 1) continue;
        // Seldom: they leave little to try the others on.
        if (round % 8 !== 6 && deletesAll(operation)) continue;
        yield [round % 8 === 7 ? null : 'lab', fuzzer.shot(operation)];
        for (let more = makes(operation) ? 2 : 0; more > 0; more--)
          yield ['lab', fuzzer.shot(operation)];
      }
    }
  }
  const seen = await fire(fuzzer, asks());
  assert.equal(await views(paths), before);
  // A fuzzer whose requests are all refused would find nothing.
  assert.ok((seen[200] ?? 0) > 800, `${seen[200]} requests succeeded`);
  for (const made of ['instances', 'networks', 'artifacts', 'upload']) {
    assert.ok((seen[`POST /${made} 200`] ?? 0) > 2, made);
  }
});

test('owner and administrator get no breakdown either, whatever they do', async () => {
  const fuzzer = new ApiFuzzer(SEED + 1);
  await theirs(fuzzer);
  function* asks(): Generator<Ask> {
    for (let round = 0; round < ROUNDS / 2; round++) {
      for (const operation of operations) {
        const { method, path, isMissing } = operation;
        // What ends the test: the namespace, its keys, its tokens and its machine are still needed.
        const ends =
          /^(POST|PUT|DELETE) .*(\/admin\/.*|\/nodes\/\{node\}(\/drain)?|\/auth\/namespaces\/\{\w+\}(\/keys.*)?)$/;
        if (round % 8 !== 6 && deletesAll(operation)) continue;
        if (isMissing || ends.test(`${method} ${path}`)) continue;
        yield [round % 2 === 0 ? 'other' : 'system', fuzzer.shot(operation)];
      }
    }
  }
  const seen = await fire(fuzzer, asks());
  assert.ok((seen[200] ?? 0) > 200, `${seen[200]} requests succeeded`);
});

test('every operation is fuzzed that the table has', () => {
  const paths = new Set(operations.map(({ method, path }) => `${method} ${path}`));
  assert.ok(paths.size > 150, String(paths.size));
  assert.ok(paths.has('POST /instances') && paths.has('POST /compat/0.4/instances'));
});

test('logins take any value', async () => {
  const login = operations.find(({ path }) => path === '/auth');
  if (login === undefined) throw new Error('there is no POST /auth');
  const fuzzer = new ApiFuzzer(SEED + 2);
  for (let count = 0; count < 100; count++) {
    const { body, raw } = fuzzer.shot(login);
    const secretless = typeof body === 'object' && body !== null ? { ...body, key: 7 } : body;
    const sent = raw === undefined ? { body: secretless } : { raw };
    const { status, text } = await world.call('POST', '/auth', { as: null, ...sent });
    assert.ok(status === 400 || status === 404, text);
  }
});

test.run();
