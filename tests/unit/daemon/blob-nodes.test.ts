// Which blobs are told of the nodes, and what.
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { initial as noBlob } from '../../../actors/blob/blob.ts';
import { newReplica } from '../../../actors/blob/replicas.ts';
import type { BlobState, Replica } from '../../../actors/blob/state.ts';
import { initial as noNode } from '../../../actors/node/node.ts';
import { blobNodes, blobsToTell } from '../../../src/daemon/blob-nodes.ts';
import type { ReadModel } from '../../../src/read/read-model.ts';
import { MACHINE as machine } from '../../support/machine-facts.ts';

const test = suite('blobs hear of nodes');

const rows = (states: Record<string, object>) => {
  const all = Object.entries(states).map(([id, state]) => ({ id, state, revision: 1 }));
  return { all: () => all };
};
const good = (changes: Partial<Replica> = {}): Replica => {
  return { ...newReplica(1), phase: 'verified', ...changes };
};
const here = { ...noNode, phase: 'created', machine };
const NODES = {
  n1: here,
  n2: here,
  n3: here,
  unknown: noNode,
  broken: { ...here, phase: 'error' },
  draining: { ...here, isDraining: true },
  compute: { ...here, machine: { ...machine, roles: ['hypervisor'] } },
};
const isUp = (node: string) => node !== 'n3';

function read(replicas: Record<string, Replica>, phase = 'created', more = {}): ReadModel {
  const blobs = rows({ b: { ...noBlob, phase, replicas, ...more } });
  return { nodes: rows(NODES), blobs, artifacts: { get: () => undefined } } as unknown as ReadModel;
}

const common = { isUp, isOurs: () => true, copies: 2, patienceMs: 7 };

function isTold(replicas: Record<string, Replica>, phase?: string): boolean {
  return [...blobsToTell({ read: read(replicas, phase), ...common })].length > 0;
}

test('nodes that have said what they are: whether they are members, and take more', () => {
  assert.equal(blobNodes(read({}), isUp), [
    { node: 'n1', isUp: true, takesMore: true },
    { node: 'n2', isUp: true, takesMore: true },
    { node: 'n3', isUp: false, takesMore: true },
    { node: 'broken', isUp: false, takesMore: false },
    { node: 'draining', isUp: true, takesMore: false, sheds: true },
    { node: 'compute', isUp: true, takesMore: false },
  ]);
});

test('a blob is told when it knows a node otherwise than it is', () => {
  assert.not(isTold({ n1: good(), n2: good() }), 'all is well');
  assert.ok(isTold({ n1: good(), n2: good(), n3: good() }), 'n3 is away');
  assert.not(isTold({ n1: good(), n2: good(), n3: good({ awayUntilMs: 9 }) }), 'and known to be');
  assert.ok(isTold({ n1: good(), n2: good({ awayUntilMs: 9 }) }), 'n2 is back');
});

test('a blob is told when another node could keep what is missing, or too many do', () => {
  assert.ok(isTold({ n1: good() }));
  assert.ok(isTold({ n1: good(), n2: good(), draining: good() }));
  assert.not(isTold({ n1: good() }, 'delete-wait'));
  assert.not(isTold({ n1: good(), n2: newReplica(2) }), 'it is on its way');
});

test('a blob is told that it has too few copies until it has said so', () => {
  const replicas = { n1: good(), n2: good() };
  const tell = (shortage: BlobState['shortage']) => {
    const state = read(replicas, 'created', { shortage });
    return [...blobsToTell({ ...common, read: state, copies: 3 })].length > 0;
  };
  assert.ok(tell(null));
  assert.ok(tell({ copies: 2, wanted: 5, why: 'nodes' }));
  assert.not(tell({ copies: 2, wanted: 3, why: 'nodes' }));
  const whole = read(replicas, 'created', { shortage: { copies: 1, wanted: 2, why: 'nodes' } });
  assert.is([...blobsToTell({ ...common, read: whole })].length, 1, 'and that it has enough');
});

// Planning for 10,000 blobs over 100 nodes took each daemon four seconds of its event loop, at each change of members.
test('a blob that another daemon decides for is not planned for', () => {
  const ownKeys = () => {
    throw new Error('looked at');
  };
  const replicas = new Proxy({}, { ownKeys });
  const options = { ...common, read: read(replicas), isOurs: () => false };
  assert.equal([...blobsToTell(options)], []);
});

test('it is told of all nodes, how many copies there are to be, and how long to wait', () => {
  const options = { read: read({ n1: good() }), ...common };
  const [told] = [...blobsToTell(options)];
  const nodes = blobNodes(options.read, isUp);
  assert.equal(told, {
    to: { kind: 'blob', id: 'b' },
    message: { kind: 'nodes-changed', nodes, copies: 2, patienceMs: 7 },
  });
});

test.run();
