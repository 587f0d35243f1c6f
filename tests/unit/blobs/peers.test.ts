// Fetching from nodes that have a part, over real TLS sockets on loopback, all nodes in this process.
import { rejects } from 'node:assert/strict';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { CHUNK_BYTES } from '../../../transport/blobs/frame.ts';
import { blobNode, fetcher, listedOf, sampleBytes, type BlobNode } from '../../support/blob-lab.ts';
import { until } from '../../support/kernel.ts';
import { failure, meshLab, type MeshCluster } from '../../support/mesh-lab.ts';

const test = suite('fetching from peers');
const lab = meshLab();
const CHUNKS = 12;
const BYTES = sampleBytes(CHUNKS * CHUNK_BYTES);
const BLOB = listedOf(BYTES);
const HELD = { [BLOB.blobId]: BYTES };
const ALL = Array.from({ length: CHUNKS }, (_, index) => index);
const EVEN = ALL.filter((index) => index % 2 === 0);
const ODD = ALL.filter((index) => index % 2 === 1);

const { inCluster } = lab;
const taker = (cluster: MeshCluster, blob = BLOB) =>
  fetcher(cluster, lab.identityOf('taker'), blob);

/** A node that has these chunks, and the list. */
async function partNode(
  cluster: MeshCluster,
  name: string,
  part: readonly number[],
): Promise<BlobNode> {
  const node = await blobNode(cluster, name, HELD);
  node.holder.parts.set(BLOB.blobId, new Set(part));
  node.holder.isListed = true;
  return node;
}

test('two that have half each give the whole, list and all, without any holder', () =>
  inCluster(async (cluster) => {
    const nodes = [await partNode(cluster, 'a', EVEN), await partNode(cluster, 'b', ODD)];
    const { sink, fetch } = taker(cluster);
    let list = new Uint8Array();
    Object.assign(sink, { listed: (digests: Uint8Array) => (list = Uint8Array.from(digests)) });
    await fetch([], { peers: ['a', 'b'] });
    assert.ok(sink.bytes.equals(BYTES));
    assert.is(list.length, CHUNKS * 32, 'it can be handed on');
    assert.equal(
      nodes.map(({ holder }) => holder.served.toSorted((x, y) => x - y)),
      [EVEN, ODD],
    );
    assert.equal(
      nodes.map(({ holder }) => holder.takers),
      [['taker'], ['taker']],
    );
  }));

test('a holder is asked for nothing that a peer has', () =>
  inCluster(async (cluster) => {
    const source = await blobNode(cluster, 'source', HELD);
    const half = await partNode(cluster, 'half', EVEN);
    // The peer is heard first.
    source.holder.onRead = () => until(() => half.holder.served.length > 0, 'the peer is asked');
    const { sink, fetch } = taker(cluster);
    await fetch(['source'], { peers: ['half'] });
    assert.ok(sink.bytes.equals(BYTES));
    const twice = source.holder.served.filter((index) => half.holder.served.includes(index));
    assert.equal(twice, []);
    assert.ok(half.holder.served.length >= EVEN.length - 1, half.holder.served.join());
  }));

test('a wrong list is put down to who gave it, and another gives it', () =>
  inCluster(async (cluster) => {
    const liar = await partNode(cluster, 'liar', EVEN);
    const open = liar.holder.open.bind(liar.holder);
    liar.holder.open = async (blobId) => ({
      ...(await open(blobId)),
      digestOf: () => new Uint8Array(32).fill(7),
    });
    const { sink, fetch, notices } = taker(cluster);
    let meet = (_node: string) => {};
    const fetching = fetch([], { peers: ['liar'], meet: (met) => (meet = met) });
    await until(() => notices.length > 0, 'the liar is found out');
    assert.match(notices.join(), /^liar: not the digests that were asked for; not asked again$/);
    await partNode(cluster, 'honest', ALL);
    meet('honest');
    meet('liar');
    await fetching;
    assert.ok(sink.bytes.equals(BYTES));
    assert.equal(liar.holder.served, []);
  }));

test('a peer whose disk has lost a chunk is left for the holder, with what it still gives', () =>
  inCluster(async (cluster) => {
    await blobNode(cluster, 'source', HELD);
    const peer = await partNode(cluster, 'peer', EVEN);
    peer.holder.onRead = (index) => {
      if (index === 4) throw new Error('EIO');
    };
    const { sink, fetch } = taker(cluster);
    await fetch(['source'], { peers: ['peer'] });
    assert.ok(sink.bytes.equals(BYTES));
  }));

test('a peer that dies in the middle of a chunk costs that chunk, and no more', () =>
  inCluster(async (cluster) => {
    const source = await blobNode(cluster, 'source', HELD);
    const peer = await partNode(cluster, 'peer', EVEN);
    peer.holder.onRead = (index) => {
      if (peer.holder.served.length < 3) return;
      peer.server.close();
      throw new Error(`gone at ${index}`);
    };
    const { sink, fetch } = taker(cluster);
    await fetch(['source'], { peers: ['peer'] });
    assert.ok(sink.bytes.equals(BYTES));
    const [brought, given] = [peer.holder.served.slice(0, 2), source.holder.served];
    assert.equal(
      given.filter((index) => brought.includes(index)),
      [],
      'what it had brought is not asked for again',
    );
  }));

test('one that turns out to fetch it too is taken from, in the middle of a fetch', () =>
  inCluster(async (cluster) => {
    const source = await blobNode(cluster, 'source', HELD);
    const late = await partNode(cluster, 'late', ODD);
    const { sink, fetch } = taker(cluster);
    let meet = (_node: string) => {};
    const held = Promise.withResolvers<void>();
    // The second chunk waits: until then nobody else is known of.
    source.holder.onRead = (index) => (index === 1 ? held.promise : undefined);
    const fetching = fetch(['source'], { meet: (met) => (meet = met) });
    await until(() => source.holder.served.includes(1), 'it is at the second chunk');
    meet('late');
    await until(() => late.holder.served.length > 0, 'the late one is asked');
    held.resolve();
    await fetching;
    assert.ok(sink.bytes.equals(BYTES));
  }));

test('without a list whose hash is known a part is not believed, and the fetch says who is missing', () =>
  inCluster(async (cluster) => {
    const { chunksSha256: _, ...unlisted } = BLOB;
    const peer = await partNode(cluster, 'peer', ALL);
    const { fetch } = taker(cluster, unlisted);
    await rejects(fetch([], { peers: ['peer'] }), failure('image/missing'));
    assert.equal(peer.holder.served, []);
  }));

test.after(() => lab.close());
test.run();
