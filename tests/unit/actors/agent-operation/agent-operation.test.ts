// An agent operation's transitions: by table, and under random messages.
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { agentOperation } from '../../../../actors/agent-operation/agent-operation.ts';
import { PHASES } from '../../../../actors/agent-operation/phases.ts';
import type {
  AgentOperationMessage,
  AgentOperationState,
} from '../../../../actors/agent-operation/state.ts';
import { movesOf, stepper, walk, type Pick } from '../random-walk.ts';

const test = suite('agent operation');

const execute = {
  command: 'execute',
  commandline: 'uname -r',
  'block-for-result': true,
} as const;
const put = { command: 'put-blob', blob_uuid: 'b', path: '/x' } as const;
const chmod = { command: 'chmod', path: '/x', mode: 0o644 } as const;
const about = { kind: 'create', namespace: 'ns', instanceId: 'vm' } as const;
const EXECUTE = { ...about, commands: [execute] };
const PUT = { ...about, commands: [put, chmod] };
const enlisted = { kind: 'enlisted', node: 'n1' } as const;
const start = { kind: 'start', boot: 'boot' } as const;
const blobThere = {
  kind: 'blob-changed',
  blobId: 'b',
  phase: 'created',
  failure: null,
  virtualSizeBytes: 1,
} as const;
const answer = { 'command-line': 'uname -r', result: true, 'return-code': 0, stdout: '6.1' };
const performed: Extract<AgentOperationMessage, { kind: 'performed' }> = {
  kind: 'performed',
  results: [answer],
  blobs: [],
  failure: null,
};
const remove = { kind: 'delete' } as const;

const made = () => stepper(agentOperation).send(EXECUTE);
const running = () => made().send(enlisted).send(start);

test('an execute is queued, started by its instance, carried out and settled', () => {
  const operation = made();
  assert.equal(operation.effects, ['enlist']);
  assert.equal(operation.send(enlisted).effects, ['report-ready']);
  assert.is(operation.state.phase, 'queued');
  assert.is(operation.try(start).reply, true);
  assert.equal(operation.effects, ['perform']);
  assert.is(operation.state.boot, 'boot');
  assert.equal(operation.send(performed).effects, ['settle']);
  assert.is(operation.state.phase, 'complete');
  assert.equal(operation.state.results, { 0: answer });
  assert.equal(operation.send({ kind: 'settled', phase: 'complete' }).effects, []);
});

test('a put has its blob brought first, and is queued when it is there', () => {
  const operation = stepper(agentOperation).send(PUT).send(enlisted);
  assert.is(operation.state.phase, 'preflight');
  assert.equal(operation.effects, ['bring-blobs']);
  const { reply } = operation.try({ ...blobThere, blobId: 'other' });
  assert.is(reply, false);
  assert.is(operation.try(blobThere).reply, true);
  assert.is(operation.state.phase, 'queued');
});

test('a blob that vanishes while it is brought ends the put with the reason', () => {
  const operation = stepper(agentOperation).send(PUT).send(enlisted);
  const failure = { code: 'image/missing', reason: 'every copy is lost' };
  assert.is(operation.try({ ...blobThere, phase: 'error', failure }).reply, false);
  assert.is(operation.state.phase, 'error');
  assert.is(operation.state.failure?.reason, 'every copy is lost');
  assert.equal(operation.effects, ['settle']);
});

test('large results become blobs before it is complete', () => {
  const operation = running().send({ ...performed, blobs: ['out'] });
  assert.is(operation.state.phase, 'executing');
  assert.equal(operation.effects, ['keep-blobs']);
  assert.is(operation.try({ ...blobThere, blobId: 'out' }).reply, true);
  assert.is(operation.send({ kind: 'blobs-kept' }).state.phase, 'complete');
  assert.is(operation.try({ ...blobThere, blobId: 'out' }).reply, true);
  operation.send(remove);
  assert.is(operation.try({ ...blobThere, blobId: 'out' }).reply, false);
});

test('a failure keeps what was answered before it, and says why', () => {
  const failure = { code: 'guest/lost', reason: 'the guest was powered off' };
  const operation = running().send({ ...performed, failure });
  assert.is(operation.state.phase, 'error');
  assert.equal(operation.state.results, { 0: answer });
  assert.equal(operation.state.failure, failure);
});

test('it can be deleted in every phase, and tells whoever waits behind it', () => {
  const rows: readonly (readonly [string, () => ReturnType<typeof made>])[] = [
    ['initial', made],
    ['preflight', () => stepper(agentOperation).send(PUT).send(enlisted)],
    ['queued', () => made().send(enlisted)],
    ['executing', running],
    ['complete', () => running().send(performed).send({ kind: 'settled', phase: 'complete' })],
    ['error', () => running().fail('mesh/unreachable', 'gone')],
    ['parked', () => running().park()],
  ];
  for (const [name, make] of rows) {
    const operation = make();
    assert.is(operation.try(remove).reply, 'deleted', name);
    assert.is(operation.state.phase, 'deleted', name);
    assert.equal(operation.effects, ['settle'], name);
    assert.is(operation.try(remove).reply, 'deleted', `${name}, again`);
    assert.is(operation.try(start).reply, false, name);
  }
});

test('one that its instance does not take is deleted, with the reason', () => {
  const operation = made().fail('network/in-use', 'instance agent not ready');
  assert.is(operation.state.phase, 'deleted');
  assert.is(operation.state.failure?.reason, 'instance agent not ready');
});

test('no phase lasts for ever', () => {
  const rows: readonly (readonly [string, () => ReturnType<typeof made>])[] = [
    ['initial', made],
    ['preflight', () => stepper(agentOperation).send(PUT).send(enlisted)],
    ['queued', () => made().send(enlisted)],
    ['executing', running],
  ];
  for (const [name, make] of rows) {
    const operation = make().pass(3_600_001).time();
    assert.is(operation.state.phase, name === 'initial' ? 'deleted' : 'error', name);
    assert.is(operation.state.failure?.code, 'object/deadline', name);
  }
});

test('started again by an instance that has not heard, it is not begun anew under another boot', () => {
  const operation = running();
  assert.is(operation.try({ kind: 'start', boot: 'other' }).reply, true);
  assert.is(operation.state.boot, 'boot');
});

function message(pick: Pick): AgentOperationMessage {
  const failure = pick(null, null, { code: 'guest/lost', reason: 'it is gone' });
  return pick<AgentOperationMessage>(
    pick<AgentOperationMessage>(EXECUTE, PUT),
    enlisted,
    { ...blobThere, blobId: pick('b', 'out') },
    { ...blobThere, phase: 'error', failure },
    start,
    { ...performed, blobs: pick<string[]>([], ['out']), failure },
    { kind: 'blobs-kept' },
    { kind: 'settled', phase: pick('complete', 'error', 'deleted') },
    remove,
    { kind: 'forgotten' },
  );
}

test('under random messages it keeps to its phases, and always has a way on', () => {
  const rest: AgentOperationState['phase'][] = ['none', 'complete', 'error', 'deleted'];
  const subject = { kind: agentOperation, phases: PHASES, rest, message };
  const moves = walk(subject, { seeds: 60, steps: 200 });
  assert.equal([...moves].sort(), [...movesOf(PHASES)].sort());
});

test.run();
