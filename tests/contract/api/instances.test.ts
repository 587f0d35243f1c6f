// Listing, showing and deleting instances, their interfaces, events, metadata and console (contract: instances 7 to
// 11, conventions 7 to 12).
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import {
  CONSOLE_AUTHORITY,
  openApiWorld,
  refusedByMachine,
  type ApiWorld,
  type View,
} from '../../support/api-world.ts';

const test = suite('api: instances');
let world: ApiWorld;
test.before(async () => {
  world = await openApiWorld();
  await world.network({ name: 'front', netblock: '10.20.0.0/24' });
});
test.after(() => world.close());

const NOT_FOUND = { error: 'instance not found', status: 404 };

async function made(body: View, as: 'lab' | 'other' = 'lab'): Promise<string> {
  const { uuid } = await world.instance(body, as);
  await world.settled(`/instances/${String(uuid)}`, 'created', as);
  return String(uuid);
}

async function gone(body: View): Promise<string> {
  const uuid = await made(body);
  await world.ok('DELETE', `/instances/${uuid}`);
  await world.settled(`/instances/${uuid}`, 'deleted');
  return uuid;
}

async function listed(as: 'lab' | 'other' | 'system', body: object = {}): Promise<string[]> {
  return (await world.ok<View[]>('GET', '/instances', { as, body })).map((view) =>
    String(view['uuid']),
  );
}

test('is found by UUID and by name, and shown alike in the list', async () => {
  const uuid = await made({ name: 'both-ways', network: [{ network_uuid: 'front' }] });
  const byId = await world.ok('GET', `/instances/${uuid}`);
  assert.equal(await world.ok('GET', '/instances/both-ways'), byId);
  const inList = (await world.ok<View[]>('GET', '/instances')).find(
    (view) => view['uuid'] === uuid,
  );
  assert.equal(inList, byId);
  assert.is((byId['interfaces'] as View[]).length, 1);
});

test('a name is exact, and needs the caller’s own namespace', async () => {
  await made({ name: 'Exact' });
  for (const ref of ['exact', 'Exac', 'Exact%20']) {
    assert.equal((await world.call('GET', `/instances/${ref}`)).json, NOT_FOUND);
  }
  assert.equal((await world.call('GET', '/instances/Exact', { as: 'other' })).json, NOT_FOUND);
  assert.is((await world.ok('GET', '/instances/Exact', { as: 'system' }))['name'], 'Exact');
});

test('another tenant’s instance reads like a missing one, on every route', async () => {
  const uuid = await made({ name: 'private', network: [{ network_uuid: 'front' }] });
  const paths = ['', '/interfaces', '/events', '/metadata', '/consoledata'];
  for (const path of paths) {
    const reply = await world.call('GET', `/instances/${uuid}${path}`, { as: 'other' });
    assert.is(reply.status, 404, path);
    assert.equal(reply.json, NOT_FOUND, path);
  }
  for (const path of ['', '/consoledata']) {
    const reply = await world.call('DELETE', `/instances/${uuid}${path}`, { as: 'other' });
    assert.equal(reply.json, NOT_FOUND, path);
  }
  assert.is((await world.ok('GET', `/instances/${uuid}`))['state'], 'created');
});

test('what counts as a UUID is looked up verbatim', async () => {
  const uuid = await made({ name: 'verbatim' });
  const forms = [uuid.toUpperCase(), uuid.replaceAll('-', ''), `{${uuid}}`, `urn:uuid:${uuid}`];
  for (const form of forms) {
    const path = `/instances/${encodeURIComponent(form)}`;
    assert.equal((await world.call('GET', path)).json, NOT_FOUND, form);
  }
  const hexName = 'abcdef0123456789abcdef0123456789';
  await made({ name: hexName });
  assert.equal((await world.call('GET', `/instances/${hexName}`)).json, NOT_FOUND);
});

test('an ambiguous name is a 400 that says in whose namespace', async () => {
  await Promise.all([made({ name: 'twin' }), made({ name: 'twin' })]);
  const error = 'multiple instances have the name "twin" in namespace "lab"';
  assert.equal((await world.call('GET', '/instances/twin')).json, { error, status: 400 });
  assert.equal((await world.call('DELETE', '/instances/twin')).json, { error, status: 400 });
});

test('system sees a name in all namespaces, or in the one it asks for', async () => {
  const theirs = await made({ name: 'shared-name' }, 'other');
  const ours = await made({ name: 'shared-name' });
  const path = '/instances/shared-name';
  assert.is((await world.call('GET', path, { as: 'system' })).status, 400);
  const inOther = await world.ok('GET', path, { as: 'system', body: { namespace: 'other' } });
  assert.is(inOther['uuid'], theirs);
  assert.is(
    (await world.ok('GET', path, { body: { namespace: 'other' } }))['uuid'],
    ours,
    'ignored for a tenant',
  );
});

test('a deleted one is readable by UUID, found by no name and in no ambiguity', async () => {
  const uuid = await gone({ name: 'phoenix' });
  assert.is((await world.ok('GET', `/instances/${uuid}`))['state'], 'deleted');
  assert.equal((await world.call('GET', '/instances/phoenix')).json, NOT_FOUND);
  const again = await made({ name: 'phoenix' });
  assert.is((await world.ok('GET', '/instances/phoenix'))['uuid'], again);
});

test('a list has one’s own active instances, with all also the deleted ones', async () => {
  const [ours, theirs] = [await made({ name: 'listed' }), await made({ name: 'theirs' }, 'other')];
  const deleted = await gone({ name: 'unlisted' });
  assert.equal(
    (await listed('lab')).filter((uuid) => [ours, theirs, deleted].includes(uuid)),
    [ours],
  );
  const all = await listed('lab', { all: true });
  assert.equal(
    [ours, theirs, deleted].map((uuid) => all.includes(uuid)),
    [true, false, true],
  );
  const everybodys = await listed('system');
  assert.equal(
    [ours, theirs, deleted].map((uuid) => everybodys.includes(uuid)),
    [true, true, false],
  );
});

test('states that are listed and found by name are the contract’s active ones', async () => {
  const uuid = await made({ name: 'walker' });
  const state = world.read.instances.get(uuid)?.state;
  const active = [
    'initial',
    'preflight',
    'creating',
    'created',
    'delete-wait',
    'error',
    'initial-error',
  ];
  for (const phase of [...active, 'created-error', 'deleted', 'delete-wait-error']) {
    world.put('instance', uuid, { ...state, phase });
    const isActive = phase !== 'deleted' && phase !== 'delete-wait-error';
    assert.is((await listed('lab')).includes(uuid), isActive, phase);
    assert.is((await world.call('GET', '/instances/walker')).status, isActive ? 200 : 404, phase);
  }
});

test('delete answers with the view as it is, may be repeated, and ends in a 404', async () => {
  const uuid = await made({ name: 'short-lived' });
  const view = await world.ok('DELETE', '/instances/short-lived');
  assert.is(view['uuid'], uuid);
  assert.ok(['created', 'delete-wait', 'deleted'].includes(String(view['state'])));
  await world.settled(`/instances/${uuid}`, 'deleted');
  const again = await world.call('DELETE', `/instances/${uuid}`);
  assert.is(again.status, 404);
  assert.equal(again.json, NOT_FOUND);
});

test('many deletes at once all answer, with the view or that it is gone', async () => {
  const uuid = await made({ name: 'popular', network: [{ network_uuid: 'front' }] });
  const replies = await Promise.all(
    Array.from({ length: 20 }, () => world.call('DELETE', `/instances/${uuid}`)),
  );
  for (const { status } of replies) assert.ok(status === 200 || status === 404, String(status));
  assert.is(replies[0]?.status, 200);
  await world.settled(`/instances/${uuid}`, 'deleted');
});

test('the namespace of a delete is a safety check', async () => {
  const uuid = await made({ name: 'safe' });
  const error = async (namespace: string, as: 'lab' | 'system' = 'lab') =>
    (await world.call('DELETE', `/instances/${uuid}`, { as, body: { namespace } })).json;
  assert.equal(await error('nowhere'), { error: 'namespace not found', status: 404 });
  assert.equal(await error('other', 'system'), { error: 'instance not in namespace', status: 404 });
  await world.ok('DELETE', `/instances/${uuid}`, { body: { namespace: 'lab' } });
});

test('interfaces are listed in attachment order, also once deleted', async () => {
  await world.network({ name: 'back', netblock: '10.40.0.0/24' });
  const network = [{ network_uuid: 'back' }, { network_uuid: 'front', model: 'e1000' }];
  const uuid = await made({ name: 'two-legs', network });
  const interfaces = await world.ok<View[]>('GET', `/instances/${uuid}/interfaces`);
  assert.equal(
    interfaces.map((one) => [one['order'], one['model'], one['state']]),
    [
      [0, 'virtio', 'created'],
      [1, 'e1000', 'created'],
    ],
  );
  await world.ok('DELETE', `/instances/${uuid}`);
  await world.settled(`/instances/${uuid}`, 'deleted');
  const after = await world.ok<View[]>('GET', `/instances/${uuid}/interfaces`);
  assert.equal(
    after.map((one) => one['state']),
    ['deleted', 'deleted'],
  );
});

test('one interface is shown to who owns its network and its instance', async () => {
  const uuid = await made({ name: 'one-leg', network: [{ network_uuid: 'front' }] });
  const [nic] = (await world.ok('GET', `/instances/${uuid}`))['interfaces'] as View[];
  const path = `/interfaces/${String(nic?.['uuid'])}`;
  assert.equal(await world.ok('GET', path), nic);
  assert.equal(await world.ok('GET', path, { as: 'system' }), nic);
  const notFound = { error: 'interface not found', status: 404 };
  assert.equal((await world.call('GET', path, { as: 'other' })).json, notFound);
  assert.equal((await world.call('GET', '/interfaces/nonsense')).json, notFound);
});

test('an interface whose network is forgotten is not found, nor is the list it is in', async () => {
  const network = await world.network({ name: 'fleeting', netblock: '10.50.0.0/24' });
  const uuid = await made({ name: 'orphan', network: [{ network_uuid: 'fleeting' }] });
  const [nic] = (await world.ok('GET', `/instances/${uuid}`))['interfaces'] as View[];
  const change = { kind: 'network', id: String(network['uuid']), revision: 0, snapshot: null };
  world.read.apply([change], world.read.revision, false);
  const notFound = { error: 'interface network not found', status: 404 };
  assert.equal((await world.call('GET', `/interfaces/${String(nic?.['uuid'])}`)).json, notFound);
  assert.equal((await world.call('GET', `/instances/${uuid}/interfaces`)).json, notFound);
});

test('one that failed before it ever ran is off once it is deleted', async () => {
  world.machine.before = (resource, spec) => {
    if (resource === 'domain' && spec !== null) throw refusedByMachine('no');
  };
  const { uuid } = await world.instance({ name: 'never-ran' });
  const path = `/instances/${String(uuid)}`;
  assert.is((await world.settled(path, 'error'))['power_state'], 'initial');
  world.machine.before = () => undefined;
  await world.ok('DELETE', path);
  assert.is((await world.settled(path, 'deleted'))['power_state'], 'off');
});

test('the viewer’s file says where the screen is, how it is shown, and who vouches for it', async () => {
  const uuid = await made({
    name: 'screen',
    video: { model: 'qxl', memory: 65536, vdi: 'spiceconcurrent' },
  });
  const file = async (id: string) => await world.call('GET', `/instances/${id}/vdiconsolehelper`);
  const { status, headers, text } = await file(uuid);
  assert.is(status, 200);
  assert.is(headers['content-type'], 'application/x-virt-viewer');
  const ca = CONSOLE_AUTHORITY.replaceAll('\n', '\\n');
  const where = 'host=n1\nport=31002\ntls-port=31003\n';
  assert.is(text, `[virt-viewer]\ntype=spice\n${where}delete-this-file=1\nca=${ca}\n`);
  // A machine without SPICE shows by VNC what was asked for otherwise.
  world.machine.hasSpice = false;
  assert.match((await file(uuid)).text, 'type=vnc\n');
  world.machine.hasSpice = true;
  const plain = await made({ name: 'vnc', video: { model: 'vga', memory: 16384, vdi: 'vnc' } });
  assert.match((await file(plain)).text, /type=vnc\nhost=n1\nport=31002\ndelete/);
  await world.ok('POST', `/instances/${uuid}/poweroff`);
  assert.match((await file(uuid)).text, /type=spice\nhost=n1\ndelete/, 'off: no ports');
  await world.ok('DELETE', `/instances/${uuid}`);
  await world.settled(`/instances/${uuid}`, 'deleted');
  assert.is((await file(uuid)).status, 200, 'no state required');
});

test('anybody with a token may read the authority of the consoles', async () => {
  const reply = await world.call('GET', '/admin/cacert', { as: 'other' });
  assert.equal([reply.status, reply.text], [200, CONSOLE_AUTHORITY]);
  assert.is((await world.call('GET', '/admin/cacert', { as: null })).status, 401);
});

test('what an instance used lately is asked of its machine, and told among its events', async () => {
  const uuid = await made({ name: 'measured' });
  const usage = { type: 'usage', message: 'usage', node: 'n1', trace: 'minute' } as const;
  const at = (id: string, atMs: number) => ({ ...usage, id, atMs, extra: { 'cpu usage': {} } });
  const later = `7ZZZZZZZZZ${'0'.repeat(16)}`;
  world.machine.usageEvents.set(uuid, [at('0'.repeat(26), 1_000), at(later, Date.now() + 60_000)]);
  const path = `/instances/${uuid}/events`;
  const types = async (body: View) =>
    (await world.ok<View[]>('GET', path, { body })).map(({ type }) => type);
  const all = await types({ limit: -1 });
  assert.is(all[0], 'usage');
  assert.is(all.at(-1), 'usage', 'by time');
  assert.ok(all.length > 2);
  assert.equal(await types({ event_type: 'usage' }), ['usage', 'usage']);
  assert.equal(await types({ event_type: 'usage', limit: 1 }), ['usage']);
  assert.not((await types({ event_type: 'audit' })).includes('usage'));
  world.machine.usageFailure = new Error('away');
  assert.equal(
    await types({ event_type: 'usage' }),
    [],
    'a machine that is away keeps back nothing else',
  );
  assert.is((await types({ limit: -1 })).length, all.length - 2);
  world.machine.usageFailure = undefined;
});

test('events come newest first, by type, and as many as asked for', async () => {
  const uuid = await made({ name: 'eventful' });
  const path = `/instances/${uuid}/events`;
  const events = await world.ok<View[]>('GET', path);
  const times = events.map((event) => Number(event['timestamp']));
  assert.equal(
    times,
    times.toSorted((a, b) => b - a),
  );
  assert.equal(Object.keys(events[0] ?? {}).sort(), [
    'duration',
    'extra',
    'fqdn',
    'message',
    'timestamp',
    'type',
  ]);
  assert.is(events[0]?.['fqdn'], 'n1');
  const audits = await world.ok<View[]>('GET', path, { body: { event_type: 'audit' } });
  assert.ok(audits.length > 0 && audits.every((event) => event['type'] === 'audit'));
  const count = async (limit: unknown) =>
    (await world.ok<View[]>('GET', path, { body: { limit } })).length;
  assert.equal([await count(1), await count('2'), await count(0)], [1, 2, 0]);
  assert.equal([await count(-1), await count(null)], [events.length, events.length]);
});

test('event filters that make no sense are a 400', async () => {
  const uuid = await made({ name: 'senseless' });
  const error = async (body: object) =>
    (await world.call('GET', `/instances/${uuid}/events`, { body })).json;
  for (const limit of ['many', 1.5, {}, true, '']) {
    assert.equal(await error({ limit }), { error: 'limit is not an integer', status: 400 });
  }
  assert.match(
    String(((await error({ event_type: 'gossip' })) as View)['error']),
    /^unknown event_type "gossip"/,
  );
});

test('metadata can be read, of a deleted instance too', async () => {
  const uuid = await made({ name: 'labelled', metadata: { role: 'db', tags: ['a'] } });
  assert.equal(await world.ok('GET', `/instances/${uuid}/metadata`), { role: 'db', tags: ['a'] });
  const plain = await gone({ name: 'plain' });
  assert.equal(await world.ok('GET', `/instances/${plain}/metadata`), {});
});

test('the console gives the last bytes, ten KiB unless told', async () => {
  const uuid = await made({ name: 'talkative' });
  world.machine.consoles.set(uuid, `${'x'.repeat(20_000)}end`);
  const read = (body?: object) => world.call('GET', `/instances/${uuid}/consoledata`, { body });
  const reply = await read();
  assert.is(reply.headers['content-type'], 'application/octet-stream');
  assert.is(reply.text.length, 10_240);
  assert.ok(reply.text.endsWith('end'));
  assert.is((await read({ length: 3 })).text, 'end');
  assert.is((await read({ length: '3' })).text, 'end');
  assert.is((await read({ length: 0 })).text.length, 10_240);
  assert.is((await read({ length: -1 })).text.length, 20_003);
  for (const length of ['ten', 1.5, true, [], '', 1e300]) {
    assert.equal((await read({ length })).json, { error: 'length is not an integer', status: 400 });
  }
  await world.ok('DELETE', `/instances/${uuid}/consoledata`);
  assert.is((await read()).text, '');
});

test('a client that wrote reads its write, however far behind the copy is', async () => {
  const uuid = await made({ name: 'consistent' });
  const release = world.journal.hold();
  let isAnswered = false;
  const deleted = world.ok('DELETE', `/instances/${uuid}`).finally(() => (isAnswered = true));
  await world.call('GET', `/instances/${uuid}`);
  assert.is(isAnswered, false);
  release();
  assert.is.not((await deleted)['state'], 'created');
});

test.run();
