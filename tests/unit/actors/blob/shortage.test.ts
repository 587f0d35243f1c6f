// A blob that has fewer copies than are wanted says so, why, and what to do; and when it has enough again. Once each.
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { blob } from '../../../../actors/blob/blob.ts';
import { newReplica } from '../../../../actors/blob/replicas.ts';
import type { KernelMessage } from '../../../../actors/kernel/kind.ts';
import type { BlobMessage, BlobState, Replica } from '../../../../actors/blob/state.ts';
import { CONTENT } from '../../../support/blob-content.ts';

const test = suite('too few copies of a blob');

const MIB = 2 ** 20;
const AWAY_MS = 300_000;
const content = {
  ...CONTENT,
  sizeBytes: 100 * MIB,
} as const;
const good: Replica = { ...newReplica(1), phase: 'verified' };

/** Nodes whose names begin with `-` are down; `=5` is the room in MiB, `~` drained. */
function nodes(text: string, copies = 2): BlobMessage {
  const all = text.split(' ').map((one) => {
    const [, down, node = '', room, drained] = /^(-?)(\w+)(?:=(\d+))?(~?)$/.exec(one) ?? [];
    const roomBytes = room === undefined ? {} : { roomBytes: Number(room) * MIB };
    const isDrained = drained === '~';
    return { node, isUp: down === '', takesMore: !isDrained, sheds: isDrained, ...roomBytes };
  });
  return { kind: 'nodes-changed', nodes: all, copies, patienceMs: AWAY_MS };
}

class Kept {
  state: BlobState;
  nowMs = 0;
  /** What it said of too few and enough copies, without what was taken out. */
  #said: { message: string; extra?: object }[] = [];

  constructor(replicas: Record<string, Replica>) {
    this.state = { ...blob.initial, phase: 'created', content, replicas, users: ['artifact/a'] };
  }

  send(...messages: (BlobMessage | KernelMessage)[]): this {
    for (const message of messages) {
      const turn = { id: 'b', now: this.nowMs, random: () => 0.5 };
      const { state, events } = blob.transition(this.state, message, turn);
      this.state = state ?? this.state;
      this.#said.push(...events.filter((one) => /too few|enough/.test(one.message)));
    }
    return this;
  }

  get said(): string[] {
    const all = this.#said.map(({ message, extra }) => {
      const { reason = '' } = (extra ?? {}) as { reason?: string };
      return reason === '' ? message : `${message}: ${reason}`;
    });
    this.#said = [];
    return all;
  }

  copied(node: string): BlobMessage {
    return { kind: 'copied', node, generation: this.state.replicas[node]?.generation ?? -1 };
  }
}

test('for want of nodes, once, and what to do', () => {
  const kept = new Kept({ n1: good }).send(nodes('n1 -n2'));
  assert.equal(kept.said, [
    'too few copies: 1 of 2 copies: no other node is there that keeps blobs; bring one back, add one, or ask for fewer copies (troupe artifact copies)',
  ]);
  assert.equal(kept.state.shortage, { copies: 1, wanted: 2, why: 'nodes' });
  assert.equal(kept.send(nodes('n1 -n2'), nodes('n1 -n2 -n3'), nodes('n1 n2~')).said, []);
});

test('nothing where there is one machine alone: it was never to be otherwise', () => {
  const kept = new Kept({ n1: good }).send(nodes('n1'), nodes('n1=5', 3));
  assert.equal([kept.said, kept.state.shortage], [[], null]);
  assert.is(kept.send(nodes('n1 -n2')).said.length, 1);
});

test('for want of room, and on which nodes', () => {
  const kept = new Kept({ n1: good }).send(nodes('n1 n2=99 n3=5 -n4=500'));
  assert.equal(kept.said, [
    'too few copies: 1 of 2 copies: there is no room for 0.10 GiB on n2, n3; free disk there, add a node that keeps blobs, or ask for fewer copies (troupe artifact copies)',
  ]);
  assert.equal(kept.send(nodes('n1 n2=98 n3=5')).said, [], 'as little as before');
});

test('when it has enough again, and not while the copy is on its way', () => {
  const kept = new Kept({ n1: good }).send(nodes('n1 n2=5'));
  assert.is(kept.said.length, 1);
  assert.equal(kept.send(nodes('n1 n2=500')).said, []);
  assert.ok(kept.state.shortage, 'not yet');
  assert.equal(kept.send(kept.copied('n2'), nodes('n1 n2=400')).said, ['enough copies again']);
  assert.is(kept.state.shortage, null);
  assert.equal(kept.send(nodes('n1 n2=400')).said, []);
});

test('when more are asked for than there are nodes, and when fewer are again', () => {
  const kept = new Kept({ n1: good, n2: good }).send(nodes('n1 n2'));
  assert.equal(kept.said, []);
  assert.match(
    kept.send(nodes('n1 n2', 3)).said.join(),
    /^too few copies: 2 of 3 copies: no other/,
  );
  assert.match(
    kept.send(nodes('n1 n2', 4)).said.join(),
    /^too few copies: 2 of 4 copies: no other/,
  );
  assert.equal(kept.send(nodes('n1 n2', 2)).said, ['enough copies again']);
});

test('not while a node is away that may be back; after that', () => {
  const kept = new Kept({ n1: good, n2: good }).send(nodes('n1 -n2'));
  assert.equal(kept.said, []);
  kept.nowMs = AWAY_MS;
  kept.send({ kind: 'time-reached', atMs: AWAY_MS }, nodes('n1 -n2'));
  assert.match(kept.said.join(), /1 of 2 copies: no other node/);
  kept.send(nodes('n1 n2'));
  assert.equal(kept.send(kept.copied('n2'), nodes('n1 n2')).said, ['enough copies again']);
});

test('when it could not be made, and when there is nothing to copy from', () => {
  const failed: Replica = { ...newReplica(1), phase: 'failed', retryAtMs: 9, failures: 1 };
  const kept = new Kept({ n1: good, n2: failed }).send(nodes('n1 n2'));
  assert.match(kept.said.join(), /no more could be made on n2, where it is tried again later/);
  const lost: Replica = { ...newReplica(1), phase: 'lost', awayUntilMs: 1 };
  const gone = new Kept({ n1: lost }).send(nodes('-n1 n2'));
  assert.match(gone.said.join(), /0 of 2 copies, and none in reach to copy from; bring back n1/);
});

test('of many nodes without room some are named', () => {
  const full = Array.from({ length: 9 }, (_, index) => `m${index}=1`);
  const kept = new Kept({ n1: good }).send(nodes(['n1', ...full].join(' ')));
  assert.match(kept.said.join(), / on m0, m1, m2, m3, m4 and 4 more; /);
});

test.run();
