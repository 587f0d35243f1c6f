// Below /compat/0.4: what the Go client and the Terraform provider send and decode (contract: clients 8 and 9), where that
// is not what the 0.8 API takes and says.
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import {
  openApiWorld,
  type ApiWorld,
  type CallOptions,
  type View,
} from '../../support/api-world.ts';
import { waitUntil } from '../../support/wait.ts';

const test = suite('api: older clients');
let world: ApiWorld;
test.before(async () => {
  world = await openApiWorld();
});
test.after(() => world.close());

const ok = <T = View>(method: string, path: string, options: CallOptions = {}) =>
  world.ok<T>(method, `/compat/0.4${path}`, options);

/** Types that Go decodes into; null is the zero value of each, what is not there too. */
type Decoded = 'string' | 'int' | 'float' | 'bool' | 'map' | 'strings';
const INSTANCE: Readonly<Record<string, Decoded>> = {
  uuid: 'string',
  name: 'string',
  namespace: 'string',
  cpus: 'int',
  memory: 'int',
  metadata: 'string',
  ssh_key: 'string',
  node: 'string',
  console_port: 'int',
  vdi_port: 'int',
  user_data: 'string',
  block_devices: 'map',
  state: 'string',
  state_updated: 'float',
  power_state: 'string',
  secure_boot: 'bool',
  uefi: 'bool',
};
const DISK: Readonly<Record<string, Decoded>> = {
  base: 'string',
  size: 'int',
  bus: 'string',
  type: 'string',
};
const VIDEO: Readonly<Record<string, Decoded>> = { model: 'string', memory: 'int' };
const INTERFACE: Readonly<Record<string, Decoded>> = {
  uuid: 'string',
  network_uuid: 'string',
  instance_uuid: 'string',
  macaddr: 'string',
  ipv4: 'string',
  order: 'int',
  floating: 'string',
  state: 'string',
  state_updated: 'float',
  model: 'string',
};
const NETWORK: Readonly<Record<string, Decoded>> = {
  uuid: 'string',
  name: 'string',
  vxid: 'int',
  netblock: 'string',
  provide_dhcp: 'bool',
  provide_nat: 'bool',
  owner: 'string',
  floating_gateway: 'string',
  state: 'string',
  state_updated: 'float',
};
const EVENT: Readonly<Record<string, Decoded>> = {
  timestamp: 'float',
  fqdn: 'string',
  operation: 'string',
  phase: 'string',
  duration: 'int',
  message: 'string',
};
const SNAPSHOT: Readonly<Record<string, Decoded>> = {
  uuid: 'string',
  device: 'string',
  created: 'int',
};
const IMAGE: Readonly<Record<string, Decoded>> = {
  checksum: 'string',
  fetched: 'string',
  file_version: 'int',
  modified: 'string',
  node: 'string',
  ref: 'string',
  size: 'string',
  url: 'string',
};

function fits(value: unknown, type: Decoded): boolean {
  if (value === undefined || value === null) return true;
  if (type === 'int') return Number.isInteger(value);
  if (type === 'float') return typeof value === 'number';
  if (type === 'bool') return typeof value === 'boolean';
  if (type === 'map') return typeof value === 'object' && !Array.isArray(value);
  if (type === 'strings') return Array.isArray(value) && value.every((one) => fits(one, 'string'));
  return typeof value === 'string';
}

function assertDecodes(view: unknown, into: Readonly<Record<string, Decoded>>): void {
  for (const [name, type] of Object.entries(into)) {
    const value = (view as View)[name];
    assert.ok(fits(value, type), `${name} is no ${type}: ${JSON.stringify(value)}`);
  }
}

/** Now, within a minute, in seconds. */
function assertRecent(time: unknown): void {
  assert.ok(Math.abs(Number(time) - Date.now() / 1000) < 60, `is not now: ${String(time)}`);
}

function assertInstance(view: View): void {
  assertDecodes(view, INSTANCE);
  assertRecent(view['state_updated']);
  assertDecodes(view['video'], VIDEO);
  for (const disk of view['disk_spec'] as View[]) assertDecodes(disk, DISK);
  for (const one of view['network_interfaces'] as View[]) assertInterface(one);
}

function assertInterface(view: View): void {
  assertDecodes(view, INTERFACE);
  assertRecent(view['state_updated']);
}

test('namespaces are a list of names', async () => {
  assert.equal(await ok('GET', '/auth/namespaces', { as: 'system' }), ['lab', 'other', 'system']);
  assert.equal(await ok('GET', '/auth/namespaces'), ['lab']);
  assert.type((await world.ok<View[]>('GET', '/auth/namespaces'))[0]?.['name'], 'string');
});

test('a namespace with keys and metadata, as the Terraform provider makes one', async () => {
  const as = 'system';
  await ok('POST', '/auth/namespaces', { as, body: { namespace: 'tf' } });
  await ok('PUT', '/auth/namespaces/tf/metadata/team', { as, body: { value: 'blue' } });
  assert.equal(await ok('GET', '/auth/namespaces/tf/metadata', { as }), { team: 'blue' });
  const key = { key_name: 'deploy', key: 'a-long-secret' };
  await ok('POST', '/auth/namespaces/tf/keys', { as, body: key });
  await ok('PUT', '/auth/namespaces/tf/keys/deploy', { as, body: { key: 'another-secret' } });
  assert.equal(await ok('GET', '/auth/namespaces/tf/keys', { as }), ['deploy']);
  const login = { namespace: 'tf', key: 'another-secret' };
  assert.type((await ok('POST', '/auth', { as: null, body: login }))['access_token'], 'string');
  await ok('DELETE', '/auth/namespaces/tf/keys/deploy', { as });
  await ok('DELETE', '/auth/namespaces/tf', { as });
});

test('a network has vxid and owner besides', async () => {
  const body = { name: 'old', netblock: '10.30.0.0/24', provide_dhcp: true, provide_nat: false };
  const { uuid } = await ok('POST', '/networks', { body });
  const view = await world.settled(`/compat/0.4/networks/${String(uuid)}`, 'created');
  assertDecodes(view, NETWORK);
  assert.is(view['owner'], 'lab');
  assert.is(view['vxid'], view['vxlan_id']);
  assertRecent(view['state_updated']);
  for (const one of await ok<View[]>('GET', '/networks')) assertDecodes(one, NETWORK);
  assert.is((await world.ok('GET', `/networks/${String(uuid)}`))['vxid'], undefined);
});

test('an instance as Terraform makes it: bus ide is taken, and told as it was sent', async () => {
  await world.network({ name: 'tf-net', netblock: '10.31.0.0/24' });
  const body = {
    name: 'tf-web',
    cpus: 1,
    memory: 256,
    network: [{ network_uuid: 'tf-net', address: '', macaddress: '', model: '' }],
    disk: [{ size: 8, base: 'http://images.test/tf', bus: 'ide', type: 'disk' }],
    video: { model: 'cirrus', memory: 16384 },
    ssh_key: '',
    user_data: '',
  };
  const made = await ok('POST', '/instances', { body });
  assertInstance(made);
  const view = await world.settled(`/compat/0.4/instances/${String(made['uuid'])}`, 'created');
  assertInstance(view);
  assert.equal(view['disk_spec'], body.disk);
  assert.is((view['disks'] as View[])[0]?.['bus'], 'sata');
  const current = await world.ok('GET', `/instances/${String(made['uuid'])}`);
  assert.equal(current['disk_spec'], body.disk);
  const refused = await world.call('POST', '/instances', { body });
  assert.is(refused.text, '{"error":"invalid disk bus ide","status":400}');
});

test('an instance as the Go client makes it: everything is sent, empty where it is not given', async () => {
  const body = {
    name: 'go-web',
    cpus: 1,
    memory: 128,
    metadata: '',
    namespace: '',
    network: [],
    nvram_template: '',
    disk: [{ base: '', size: 2, bus: '', type: '' }],
    video: { model: 'vga', memory: 16384 },
    secure_boot: false,
    uefi: false,
    ssh_key: '',
    user_data: '',
  };
  const view = await ok('POST', '/instances', { body });
  assertInstance(view);
  assert.is(view['metadata'], '{}');
  const named = await ok('POST', '/instances', {
    body: { ...body, metadata: '{"tags":["a"]}', disk: [{ size: '3' }] },
  });
  assertInstance(named);
  assert.is(named['metadata'], '{"tags":["a"]}');
  assert.equal((await world.ok('GET', `/instances/${String(named['uuid'])}`))['metadata'], {
    tags: ['a'],
  });
  for (const metadata of ['x', '[]', '7']) {
    const { status } = await world.call('POST', '/compat/0.4/instances', {
      body: { ...body, metadata },
    });
    assert.is(status, 400, metadata);
  }
  for (const one of await ok<View[]>('GET', '/instances')) assertInstance(one);
});

test('a video card that was not given is sent without a model: the instance gets the usual one', async () => {
  const body = { name: 'no-video', cpus: 1, memory: 128, network: null, disk: [{ size: 1 }] };
  const video = { model: '', memory: 0 };
  const view = await ok('POST', '/instances', { body: { ...body, video } });
  assert.equal(view['video'], { model: 'cirrus', memory: 16384, vdi: 'spice' });
  const half = { body: { ...body, video: { model: 'vga', memory: 0 } } };
  assert.is((await world.call('POST', '/compat/0.4/instances', half)).status, 400);
  const current = await world.call('POST', '/instances', { body: { ...body, video } });
  assert.is(current.status, 400);
});

test('interfaces tell since when they are in their state', async () => {
  const network = await world.network({ name: 'old-nics', netblock: '10.34.0.0/24' });
  const wanted = { network: [{ network_uuid: network['uuid'] }] };
  const { uuid } = await world.instance({ name: 'has-nics', ...wanted });
  const ofInstance = await ok<View[]>('GET', `/instances/${String(uuid)}/interfaces`);
  const ofNetwork = await ok<View[]>('GET', `/networks/${String(network['uuid'])}/interfaces`);
  assert.is(ofInstance.length, 1);
  const one = await ok('GET', `/interfaces/${String(ofInstance[0]?.['uuid'])}`);
  for (const view of [...ofInstance, ...ofNetwork, one]) assertInterface(view);
});

test('a pair of metadata is set with POST too, as before there was PUT', async () => {
  const { uuid } = await world.network({ name: 'old-pairs', netblock: '10.35.0.0/24' });
  const at = `/networks/${String(uuid)}/metadata`;
  await ok('POST', `${at}/team`, { body: { value: 'blue' } });
  assert.equal(await ok('GET', at), { team: 'blue' });
  assert.is((await world.call('POST', `${at}/team`, { body: { value: 'red' } })).status, 405);
});

test('metadata is text: what is none is told as JSON', async () => {
  const { uuid } = await world.instance({ name: 'texts', metadata: { tags: ['a', 'b'], n: 7 } });
  await ok('PUT', `/instances/${String(uuid)}/metadata/plain`, { body: { value: 'as it is' } });
  assert.equal(await ok('GET', `/instances/${String(uuid)}/metadata`), {
    tags: '["a","b"]',
    n: '7',
    plain: 'as it is',
  });
});

test('events decode', async () => {
  const { uuid } = await world.network({ name: 'old-events', netblock: '10.32.0.0/24' });
  const events = await ok<View[]>('GET', `/networks/${String(uuid)}/events`);
  assert.ok(events.length > 1);
  for (const one of events) assertDecodes(one, EVENT);
});

test('images are cached and listed as they were, to whom the artifacts are shown', async () => {
  const url = 'http://images.test/old-image';
  await ok('POST', '/images', { body: { url } });
  const find = async (options: CallOptions = {}) =>
    (await ok<View[]>('GET', '/images', options)).find((one) => one['url'] === url);
  await waitUntil('image fetched', async () => (await find())?.['node'] === 'n1', 10_000);
  const image = await find();
  assertDecodes(image, IMAGE);
  assert.match(String(image?.['checksum']), /^[0-9a-f]{64}$/);
  assertRecent(Date.parse(String(image?.['fetched'])) / 1000);
  assert.is(await find({ as: 'other' }), undefined);
  assert.is((await world.call('GET', '/images')).status, 404);
});

test('a label is set as the Go client does it', async () => {
  const { uuid } = await ok('POST', '/artifacts', { body: { url: 'http://images.test/labelled' } });
  const image = await world.settled(`/compat/0.4/artifacts/${String(uuid)}`, 'created');
  const label = await ok('PUT', '/label/stable', { body: { blob_uuid: image['blob_uuid'] } });
  assert.is(label['blob_uuid'], image['blob_uuid']);
  assert.is((await world.ok('GET', '/label/stable'))['uuid'], label['uuid']);
  const again = { body: { blob_uuid: image['blob_uuid'] } };
  assert.is((await ok('PUT', '/label/lab/stable', again))['uuid'], label['uuid']);
});

test('reboot is there as before', async () => {
  const { uuid } = await world.instance({ name: 'reboots' });
  await world.settled(`/instances/${String(uuid)}`, 'created');
  assert.is(await ok('POST', `/instances/${String(uuid)}/reboot`), null);
});

test('a snapshot without a device named is asked for with an empty name; its list tells device and time', async () => {
  const { uuid } = await world.instance({ name: 'snapped', disk: [{ size: 1 }, { size: 2 }] });
  const at = `/instances/${String(uuid)}`;
  await world.settled(at, 'created');
  const asked = (all: boolean) => ({ body: { all, device: '' } });
  assert.equal(Object.keys(await ok('POST', `${at}/snapshot`, asked(false))), ['vda']);
  assert.equal(Object.keys(await world.ok('POST', `${at}/snapshot`, asked(true))), ['vda', 'vdc']);
  const list = () => ok<View[]>('GET', `${at}/snapshot`);
  await waitUntil('three snapshots', async () => (await list()).length === 3, 10_000);
  for (const one of await list()) {
    assertDecodes(one, SNAPSHOT);
    assert.match(String(one['device']), /^vd[ac]$/);
    assertRecent(one['created']);
  }
});

test('rights are the same: others see nothing, no token is a 401, a missing one is not found', async () => {
  const { uuid } = await world.network({ name: 'private', netblock: '10.33.0.0/24' });
  const at = `/compat/0.4/networks/${String(uuid)}`;
  assert.is((await world.call('GET', at, { as: 'other' })).status, 404);
  assert.match((await world.call('GET', at, { as: 'other' })).text, /not found/);
  assert.is((await world.call('GET', at, { as: null })).status, 401);
  assert.is((await world.call('GET', '/compat/0.4/nodes')).status, 401);
  assert.is((await world.call('GET', '/compat/0.4', { as: null })).status, 200);
  assert.is((await world.call('GET', '/compat/0.5/networks')).status, 404);
});

test('it is described by a document of its own', async () => {
  const document = await ok('GET', '/openapi.json', { as: null });
  assert.equal(document['servers'], [{ url: '/compat/0.4' }]);
  const paths = document['paths'] as Record<string, unknown>;
  assert.ok('/images' in paths && '/instances' in paths);
  assert.is((await world.call('GET', '/compat/0.4/apidocs/', { as: null })).status, 200);
});

test.run();
