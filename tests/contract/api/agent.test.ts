// Agent operations and screenshots over REST (contract: instances 11.5 and 12, nodes-admin-events 3).
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { agentOperationRef } from '../../../actors/agent-operation/state.ts';
import { instanceRef } from '../../../actors/instance/state.ts';
import { BOOT, NODE, openApiWorld, type ApiWorld, type View } from '../../support/api-world.ts';
import { waitUntil } from '../../support/wait.ts';

const test = suite('agent operations API');
let world: ApiWorld;

const ABSENT = '8d7c4f1e-0000-4000-8000-000000000000';

test.before(async () => {
  world = await openApiWorld();
});

test.after(async () => {
  await world.close();
});

/** The path of a running instance whose agent is ready. */
async function ready(): Promise<string> {
  world.machine.agentState = 'ready';
  const id = String((await world.instance({ side_channels: ['sf-agent'] }))['uuid']);
  await world.settled(`/instances/${id}`, 'created');
  await world.tell(instanceRef(id), { kind: 'node-seen', node: NODE, boot: BOOT });
  return `/instances/${id}`;
}

const idOf = (path: string) => path.split('/').at(-1) ?? '';
const resultOf = (operation: View) => (operation['results'] as Record<string, View>)['0'] ?? {};

async function execute(path: string, line: string): Promise<View> {
  return world.ok('POST', `${path}/agent/execute`, { body: { command_line: line } });
}

const ended = (operation: View, state = 'complete') =>
  world.settled(`/agentoperations/${String(operation['uuid'])}`, state);

test('the view of an instance shows what its agent says', async () => {
  const path = await ready();
  const view = await world.ok('GET', path);
  assert.is(view['agent_state'], 'ready');
  assert.is(view['agent_start_time'], 1_726_000_190.11);
  assert.is(view['agent_system_boot_time'], null);
  await world.ok('POST', `${path}/pause`);
  assert.is((await world.ok('GET', path))['agent_state'], 'not ready (instance paused)');
  await world.ok('POST', `${path}/poweroff`);
  assert.is((await world.ok('GET', path))['agent_state'], 'not ready (instance powered off)');
});

test('an instance without the side channel has no agent state', async () => {
  const path = `/instances/${String((await world.instance({ side_channels: [] }))['uuid'])}`;
  const view = await world.settled(path, 'created');
  assert.is(view['agent_state'], null);
});

test('execute: answered as queued, then complete with what the guest said', async () => {
  const path = await ready();
  const line = "echo it's 'quoted'; $(reboot) `ls` é";
  const operation = await execute(path, line);
  assert.is(operation['state'], 'queued');
  assert.equal(operation['commands'], [
    { command: 'execute', commandline: line, 'block-for-result': true },
  ]);
  assert.equal([operation['results'], operation['metadata'], operation['version']], [{}, {}, 1]);
  assert.is(operation['instance_uuid'], idOf(path));
  assert.is(operation['namespace'], 'lab');
  assert.equal(resultOf(await ended(operation)), {
    'command-line': line,
    result: true,
    'return-code': 0,
    stdout: "it's 'quoted'; $(reboot) `ls` é\n",
    stderr: '',
  });
  assert.equal(world.machine.agentOf(idOf(path)).lines, [line]);
});

test('an exit code other than zero is a result, not an error', async () => {
  const operation = await ended(await execute(await ready(), 'exit 3'));
  assert.is(resultOf(operation)['result'], false);
  assert.is(resultOf(operation)['return-code'], 3);
  assert.is(resultOf(operation)['stderr'], 'exits with 3\n');
});

test('output of more than ten KiB becomes a blob, kept until the operation is deleted', async () => {
  const path = await ready();
  const small = resultOf(await ended(await execute(path, 'yes 10240')));
  assert.is(String(small['stdout']).length, 10_240);
  const operation = await ended(await execute(path, 'yes 10241'));
  const { stdout, stdout_blob: blobId } = resultOf(operation);
  assert.is(stdout, undefined);
  assert.is(world.machine.files.replicas.get(String(blobId))?.length, 10_241);
  const blob = () => world.read.blobs.get(String(blobId))?.state;
  await waitUntil('the blob', () => blob()?.phase === 'created');
  assert.equal(blob()?.users, [`agentoperation/${String(operation['uuid'])}`]);
  await world.ok('DELETE', `/agentoperations/${String(operation['uuid'])}`);
  await waitUntil('the blob given back', () => blob()?.phase === 'deleted');
});

test('get: the file is a blob; a path that is not there ends in error, with the guest saying so', async () => {
  const path = await ready();
  const bytes = Buffer.from([0, 255, 10, 13]);
  world.machine.agentOf(idOf(path)).files.set('/etc/x', { bytes, mode: 0o640 });
  const get = (file: string) => world.ok('POST', `${path}/agent/get`, { body: { path: file } });
  const result = resultOf(await ended(await get('/etc/x')));
  const { content_blob: blobId, stat_result: stat, ...rest } = result;
  assert.equal(rest, { result: true, path: '/etc/x' });
  assert.is((stat as View)['size'], 4);
  assert.equal(world.machine.files.replicas.get(String(blobId)), bytes);
  const failed = await ended(await get('/nowhere'), 'error');
  const message = 'path does not exist';
  assert.equal(resultOf(failed), { result: false, path: '/nowhere', message });
});

test('put: the blob is brought to the node, then written, then its mode is set', async () => {
  const path = await ready();
  const blobId = await aBlob('content');
  const body = { blob_uuid: blobId, path: '/root/x', mode: 33_188 };
  const operation = await world.ok('POST', `${path}/agent/put`, { body });
  assert.is(operation['state'], 'preflight');
  assert.equal(operation['commands'], [
    { command: 'put-blob', blob_uuid: blobId, path: '/root/x' },
    { command: 'chmod', path: '/root/x', mode: 33_188 },
  ]);
  const { results } = await ended(operation);
  assert.equal(results, { 0: { path: '/root/x' }, 1: { path: '/root/x' } });
  const file = world.machine.agentOf(idOf(path)).files.get('/root/x');
  assert.equal([file?.bytes.toString(), file?.mode], ['content', 33_188]);
  const users = () => world.read.blobs.get(blobId)?.state.users;
  await waitUntil('the blob given back', () => users()?.length === 1);
});

test('put: modes as a number, as digits and symbolic; others and unknown blobs are refused', async () => {
  const path = await ready();
  const blobId = await aBlob('content');
  const put = (body: object) => world.call('POST', `${path}/agent/put`, { body });
  for (const mode of [0, 493, '493', 'u+x', 'ugo+rx', 'a=r,u+w', '+x']) {
    const reply = await put({ blob_uuid: blobId, path: '/x', mode });
    assert.is(reply.status, 200, `${mode}: ${reply.text}`);
    const operation = await ended(reply.json as View);
    const [, chmod] = operation['commands'] as View[];
    assert.is(String(chmod?.['mode']), String(mode));
  }
  for (const mode of ['', 'rwx', '-1', -1, 1e9, 'u+x; reboot', '$(id)', 'u+x\n']) {
    const reply = await put({ blob_uuid: blobId, path: '/x', mode });
    assert.is(reply.status, 400, `${mode}: ${reply.text}`);
    assert.match(reply.text, 'invalid mode');
  }
  assert.is((await put({ blob_uuid: blobId, path: '/x' })).status, 400);
  const unknown = await put({ blob_uuid: ABSENT, path: '/x', mode: 420 });
  assert.equal([unknown.status, unknown.text], [404, '{"error":"blob not found","status":404}']);
});

test('operations of one instance run in the order asked for; deleting one that waits holds up nobody', async () => {
  const path = await ready();
  const agent = world.machine.agentOf(idOf(path));
  const first = await execute(path, 'sleep');
  await ended(first, 'executing');
  const second = await execute(path, 'echo 2');
  const third = await execute(path, 'echo 3');
  const waiting = await world.ok<View[]>('GET', `${path}/agentoperations`);
  assert.equal(
    waiting.map(({ uuid }) => uuid),
    [second['uuid'], third['uuid']],
  );
  const all = await world.ok<View[]>('GET', `${path}/agentoperations`, { body: { all: true } });
  assert.equal(
    all.map(({ uuid }) => uuid),
    [first, second, third].map(({ uuid }) => uuid),
  );
  const gone = await world.ok('DELETE', `/agentoperations/${String(second['uuid'])}`);
  assert.is(gone['state'], 'deleted');
  await world.ok('DELETE', `/agentoperations/${String(second['uuid'])}`);
  await world.ok('DELETE', `/agentoperations/${String(first['uuid'])}`);
  await ended(third);
  assert.equal(agent.lines, ['sleep', 'echo 3']);
});

test('an agent that dies ends the operation with the reason', async () => {
  const operation = await ended(await execute(await ready(), 'die'), 'error');
  const { failure } = world.read.agentOperations.get(String(operation['uuid']))?.state ?? {};
  assert.is(failure?.code, 'guest/lost');
  assert.equal(operation['results'], { 0: { result: false, message: failure?.reason } });
});

test('what was meant for an earlier daemon of the node is not run by a later one', async () => {
  const path = await ready();
  await execute(path, 'sleep');
  const asked = await execute(path, 'echo 1');
  await world.settled(`/agentoperations/${String(asked['uuid'])}`, 'queued');
  const ref = agentOperationRef(String(asked['uuid']));
  await world.tell(ref, { kind: 'start', boot: 'earlier' });
  const operation = await ended(asked, 'error');
  const { failure } = world.read.agentOperations.get(String(operation['uuid']))?.state ?? {};
  assert.match(failure?.reason ?? '', /daemon of its node was started again/);
  assert.not.ok(world.machine.agentOf(idOf(path)).lines.includes('echo 1'));
});

test('without an agent that is ready: 400; on an instance that is not: 406; on a foreign one: 404', async () => {
  world.machine.agentState = 'not ready (unresponsive)';
  const id = String((await world.instance())['uuid']);
  await world.settled(`/instances/${id}`, 'created');
  const bodies = {
    execute: { command_line: 'true' },
    get: { path: '/x' },
    put: { blob_uuid: ABSENT, path: '/x', mode: 420 },
  };
  for (const [verb, body] of Object.entries(bodies)) {
    const post = (as: 'lab' | 'other') =>
      world.call('POST', `/instances/${id}/agent/${verb}`, { as, body });
    const reply = await post('lab');
    assert.is(reply.status, 400, verb);
    assert.match(reply.text, 'instance agent not ready');
    assert.is((await post('other')).text, '{"error":"instance not found","status":404}');
  }
  await world.ok('DELETE', `/instances/${id}`);
  const late = await world.call('POST', `/instances/${id}/agent/get`, { body: bodies.get });
  assert.is(late.status, 406);
});

test('bodies that are wrong are refused before anything is asked of the guest', async () => {
  const path = await ready();
  const rows: readonly (readonly [string, object])[] = [
    ['execute', {}],
    ['execute', { command_line: 7 }],
    ['execute', { command_line: 'a\0b' }],
    ['execute', { command_line: 'x', shell: true }],
    ['get', { path: ['/x'] }],
    ['get', { path: '/x\0y' }],
    ['put', { blob_uuid: ABSENT, path: '/x', mode: {} }],
  ];
  for (const [verb, body] of rows) {
    const reply = await world.call('POST', `${path}/agent/${verb}`, { body });
    assert.is(reply.status, 400, `${verb} ${JSON.stringify(body)}: ${reply.text}`);
  }
  const all = { body: { all: true } };
  assert.equal(await world.ok('GET', `${path}/agentoperations`, all), []);
});

test('foreign and unknown operations are not found', async () => {
  const operation = await execute(await ready(), 'true');
  for (const [method, id, as] of [
    ['GET', operation['uuid'], 'other'],
    ['DELETE', operation['uuid'], 'other'],
    ['GET', ABSENT, 'lab'],
    ['DELETE', ABSENT, 'lab'],
  ] as const) {
    const reply = await world.call(method, `/agentoperations/${String(id)}`, { as });
    assert.equal(
      [reply.status, reply.text],
      [404, '{"error":"agent operation not found","status":404}'],
    );
  }
  await world.ok('GET', `/agentoperations/${String(operation['uuid'])}`, { as: 'system' });
});

test('deleting an instance deletes its operations and its screenshots', async () => {
  const path = await ready();
  world.machine.screens.set(idOf(path), Buffer.from('P6'));
  const done = await ended(await execute(path, 'echo 1'));
  const running = await execute(path, 'sleep');
  const picture = await world.ok<string>('GET', `${path}/screenshot`);
  await world.ok('DELETE', path);
  await world.settled(path, 'deleted');
  await ended(done, 'deleted');
  await ended(running, 'deleted');
  await waitUntil('its picture gone', () => phaseOf(picture) === 'deleted');
});

const phaseOf = (blobId: string) => world.read.blobs.get(blobId)?.state.phase;

test('a screenshot is a new blob; without a running guest there is none', async () => {
  const path = await ready();
  world.machine.screens.set(idOf(path), Buffer.from('P6 1 1 255'));
  const picture = await world.ok<string>('GET', `${path}/screenshot`);
  assert.is(phaseOf(picture), 'created');
  assert.is(world.machine.files.replicas.get(picture)?.toString(), 'P6 1 1 255');
  assert.is.not(await world.ok<string>('GET', `${path}/screenshot`), picture);
  assert.is((await world.call('GET', `${path}/screenshot`, { as: 'other' })).status, 404);
  await world.ok('POST', `${path}/poweroff`);
  const off = await world.call('GET', `${path}/screenshot`);
  assert.is(off.status, 409);
  assert.match(off.text, 'Invalid lifecycle state');
  await world.ok('DELETE', path);
  assert.is((await world.call('GET', `${path}/screenshot`)).status, 406);
});

/** One that an artifact uses too. */
async function aBlob(content: string): Promise<string> {
  const body = { url: `https://example.org/${content}.qcow2` };
  const made = await world.ok('POST', '/artifacts', { body });
  const artifact = await world.settled(`/artifacts/${String(made['uuid'])}`, 'created');
  const blobId = String(artifact['blob_uuid']);
  world.machine.files.replicas.set(blobId, Buffer.from(content));
  return blobId;
}

test.run();
