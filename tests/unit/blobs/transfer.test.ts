// Transfers over real TLS sockets on loopback, all nodes in this process.
import { rejects } from 'node:assert/strict';
import { connect } from 'node:net';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { WebSocket } from 'ws';
import { CHUNK_BYTES } from '../../../transport/blobs/frame.ts';
import { MAX_SERVED } from '../../../transport/blobs/socket.ts';
import { blobNode, fetcher, QUICK_TIMING, sampleBytes, wantedOf } from '../../support/blob-lab.ts';
import { until } from '../../support/kernel.ts';
import { testAuthority } from '../../support/mesh-certificates.ts';
import { failure, meshLab, type MeshCluster } from '../../support/mesh-lab.ts';

const test = suite('blob transfer');
const lab = meshLab();
const BYTES = sampleBytes(12 * CHUNK_BYTES + 1234);
const BLOB = wantedOf(BYTES);
const CHUNKS = 13;
const HELD = { [BLOB.blobId]: BYTES };

const { inCluster } = lab;
const taker = (cluster: MeshCluster) => fetcher(cluster, lab.identityOf('taker'), BLOB);

test('a blob comes whole from one node', () =>
  inCluster(async (cluster) => {
    const { holder, server } = await blobNode(cluster, 'a', HELD);
    const { sink, fetch } = taker(cluster);
    await fetch(['a']);
    assert.ok(sink.bytes.equals(BYTES));
    assert.is(holder.served.length, CHUNKS);
    await until(() => server.serving === 0, 'the link is gone');
    assert.is(holder.openCount, 0);
  }));

test('an empty blob needs nobody', () =>
  inCluster(async (cluster) => {
    const { fetch } = fetcher(cluster, lab.identityOf('taker'), wantedOf(Buffer.alloc(0)));
    await fetch(['nobody']);
  }));

test('several nodes share the work', () =>
  inCluster(async (cluster) => {
    const nodes = await Promise.all(['a', 'b', 'c'].map((name) => blobNode(cluster, name, HELD)));
    // As on a network, where each has its own speed: alone in this process the first would be done before the rest.
    for (const { holder } of nodes) holder.onRead = () => new Promise((go) => setTimeout(go, 2));
    const { sink, fetch } = taker(cluster);
    await fetch(['a', 'b', 'c']);
    assert.ok(sink.bytes.equals(BYTES));
    for (const { name, holder } of nodes) assert.ok(holder.served.length > 0, name);
  }));

test('a transfer that is broken off goes on from what was verified', () =>
  inCluster(async (cluster) => {
    const { holder } = await blobNode(cluster, 'a', HELD);
    const { sink, fetch } = taker(cluster);
    const abort = new AbortController();
    sink.onWrite = () => {
      if (sink.here.size === 5) abort.abort();
    };
    await rejects(fetch(['a'], { signal: abort.signal }), failure('actor/stopped'));
    sink.onWrite = () => {};
    const before = [...sink.here];
    assert.ok(before.length >= 5);
    holder.served.length = 0;
    await fetch(['a']);
    assert.ok(sink.bytes.equals(BYTES));
    assert.equal(
      holder.served.filter((index) => before.includes(index)),
      [],
    );
  }));

test('a link that breaks in the middle is dialled again and no verified chunk comes twice', () =>
  inCluster(async (cluster) => {
    const { holder } = await blobNode(cluster, 'a', HELD);
    let breaks = 2;
    holder.onRead = (index) => {
      if (index % 4 === 3 && breaks-- > 0) throw new Error('cable pulled');
    };
    const { sink, fetch, notices } = taker(cluster);
    await fetch(['a']);
    assert.ok(sink.bytes.equals(BYTES));
    assert.is(notices.length, 2);
  }));

test('a node that spoils a chunk is dropped with a reason, and the others bring it', () =>
  inCluster(async (cluster) => {
    const bad = await blobNode(cluster, 'bad', HELD);
    await blobNode(cluster, 'good', HELD);
    bad.holder.onRead = (_index, into) => void (into[0] = (into[0] ?? 0) ^ 1);
    const { sink, fetch, notices } = taker(cluster);
    await fetch(['bad', 'good']);
    assert.ok(sink.bytes.equals(BYTES));
    assert.match(notices.join(), /bad: chunk \d+ is damaged.*not asked again/);
  }));

test('when all that is left is damaged, the fetch says so', () =>
  inCluster(async (cluster) => {
    const { holder } = await blobNode(cluster, 'bad', HELD);
    holder.onRead = (index, into) => {
      if (index === 6) into.fill(0);
    };
    const { fetch } = taker(cluster);
    await rejects(fetch(['bad']), failure('image/damaged', /chunk 6 is damaged/));
  }));

test('a node that stalls is dropped, and the others bring its chunks', () =>
  inCluster(async (cluster) => {
    const stuck = await blobNode(cluster, 'stuck', HELD);
    await blobNode(cluster, 'good', HELD);
    stuck.holder.onRead = () => new Promise(() => {});
    const { sink, fetch } = taker(cluster);
    await fetch(['stuck', 'good']);
    assert.ok(sink.bytes.equals(BYTES));
  }));

test('one that only stalls ends the fetch, with the reason', () =>
  inCluster(async (cluster) => {
    const { holder } = await blobNode(cluster, 'stuck', HELD);
    holder.onRead = () => new Promise(() => {});
    const { fetch } = taker(cluster);
    await rejects(fetch(['stuck']), failure('image/unreachable', /stuck: stalled/));
  }));

test('the last chunks do not wait for the slowest', () =>
  inCluster(async (cluster) => {
    const slow = await blobNode(cluster, 'slow', HELD);
    const quick = await blobNode(cluster, 'quick', HELD);
    let letGo = () => {};
    const held = new Promise<void>((go) => (letGo = go));
    slow.holder.onRead = () => held;
    // The quick one has not done all before the slow one was asked for its share.
    quick.holder.onRead = () => until(() => slow.holder.served.length > 0, 'the slow one is asked');
    const { sink, fetch } = taker(cluster);
    // Patient with it: what ends the wait is that the quick one is asked for the same chunks.
    await fetch(['slow', 'quick'], { timing: { ...QUICK_TIMING, stallMs: 60_000 } });
    letGo();
    assert.ok(sink.bytes.equals(BYTES));
    assert.is(new Set(quick.holder.served).size, CHUNKS);
  }));

test('a node that is not there, one that has it not, and one that has it', () =>
  inCluster(async (cluster) => {
    await blobNode(cluster, 'empty');
    await blobNode(cluster, 'good', HELD);
    cluster.ports.set('dead', 1);
    const { sink, fetch } = taker(cluster);
    await fetch(['unknown', 'dead', 'empty', 'good']);
    assert.ok(sink.bytes.equals(BYTES));
  }));

test('a blob that none of them has is missing', () =>
  inCluster(async (cluster) => {
    await blobNode(cluster, 'a');
    await blobNode(cluster, 'b');
    await rejects(taker(cluster).fetch(['a', 'b']), failure('image/missing', /a: .*; b: /));
    await rejects(taker(cluster).fetch([]), failure('image/missing', /there are none/));
  }));

test('a sink that fails ends the fetch with its own error, and no link stays', () =>
  inCluster(async (cluster) => {
    const { server } = await blobNode(cluster, 'a', HELD);
    const { sink, fetch } = taker(cluster);
    sink.onWrite = () => {
      if (sink.here.size === 3) throw Object.assign(new Error('full'), { code: 'ENOSPC' });
    };
    await rejects(fetch(['a']), { code: 'ENOSPC' });
    await until(() => server.serving === 0, 'the link is gone');
  }));

test('a server that answers to another name is not read from', () =>
  inCluster(async (cluster) => {
    await blobNode(cluster, 'a', HELD);
    cluster.ports.set('b', cluster.ports.get('a') ?? 0);
    await rejects(taker(cluster).fetch(['b']), failure('image/unreachable', /a answers there/));
  }));

test('a stranger gets nothing', () =>
  inCluster(async (cluster) => {
    const { server } = await blobNode(cluster, 'a', HELD);
    const other = testAuthority();
    try {
      const { ca } = lab.identityOf('taker');
      const stranger = { ...other.identity('taker'), ca };
      const { fetch } = fetcher(cluster, stranger, BLOB);
      await rejects(fetch(['a']), failure('image/unreachable'));
      assert.is(server.serving, 0);
    } finally {
      other.close();
    }
  }));

test('text, too large a message, and a socket that dies end a transfer and nothing else', () =>
  inCluster(async (cluster) => {
    const { server, node } = await blobNode(cluster, 'a', HELD);
    const { ca, certificate: cert, key } = lab.identityOf('rude');
    const url = `wss://127.0.0.1:${node.mesh.port}/blobs`;
    for (const rude of ['text', Buffer.alloc(1024 * 1024), Buffer.from('nonsense')]) {
      const options = { ca, cert, key, checkServerIdentity: () => undefined };
      const socket = new WebSocket(url, options as object);
      socket.on('error', () => {});
      await new Promise((go) => socket.on('open', go));
      socket.send(rude);
      await new Promise((go) => socket.on('close', go));
    }
    connect(node.mesh.port, '127.0.0.1').end('GET /blobs HTTP/1.1\r\n\r\n');
    await until(() => server.serving === 0, 'all are gone');
    const { sink, fetch } = taker(cluster);
    await fetch(['a']);
    assert.ok(sink.bytes.equals(BYTES));
  }));

test('one transfer too many is told so, and served when there is room', () =>
  inCluster(async (cluster) => {
    const { holder, server } = await blobNode(cluster, 'a', HELD);
    holder.onRead = () => new Promise(() => {});
    const abort = new AbortController();
    const patient = { signal: abort.signal, timing: { ...QUICK_TIMING, stallMs: 60_000 } };
    const waiting = Array.from({ length: MAX_SERVED }, () => taker(cluster).fetch(['a'], patient));
    await until(() => holder.openCount === MAX_SERVED, 'all are served');
    const { sink, fetch } = taker(cluster);
    await rejects(fetch(['a']), failure('image/unreachable', /too many transfers/));
    abort.abort();
    await Promise.allSettled(waiting);
    await until(() => server.serving === 0, 'all are gone');
    holder.onRead = () => {};
    await fetch(['a']);
    assert.ok(sink.bytes.equals(BYTES));
  }));

test('a node that stops lets go of those it serves', () =>
  inCluster(async (cluster) => {
    const { holder, server } = await blobNode(cluster, 'a', HELD);
    holder.onRead = () => new Promise((go) => setTimeout(go, 20));
    const { fetch } = taker(cluster);
    const fetching = fetch(['a']);
    await until(() => holder.served.length > 0, 'it is being served');
    server.close();
    await rejects(fetching, failure('image/unreachable'));
    assert.is(server.serving, 0);
  }));

test.after(() => lab.close());
test.run();
