// The secrets that tokens are signed with, shared by daemons over a store in memory.
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { rotated, signingSecret, SPREAD_MS } from '../../../src/api/identity/token-secrets.ts';
import { signToken, TOKEN_LIFETIME_S, TokenVerifier } from '../../../src/api/identity/token.ts';
import { TokenKeeper } from '../../../src/daemon/token-keeper.ts';
import { encodeEnvelope } from '../../../transport/store/codec.ts';
import { clusterKeys } from '../../../transport/store/keys.ts';
import { MemoryCluster } from '../../../transport/store/memory-cluster.ts';
import { MemoryStore } from '../../../transport/store/memory-store.ts';
import { keptLog, ManualClock, settle } from '../../support/kernel.ts';

const test = suite('token secrets');
const keys = clusterKeys('test');
const DAY_MS = 86_400_000;
const claims = { namespace: 'lab', keyName: 'key', nonce: 'n' };

function world() {
  const clock = new ManualClock();
  const cluster = new MemoryCluster({ clock });
  const { log } = keptLog();
  const store = () => new MemoryStore({ cluster });
  const daemon = async (rotateDays = 0) => {
    const timing = { clock, random: () => 0.5, log, trace: () => 't' };
    const keeper = await TokenKeeper.open({ store: store(), keys, ...timing, rotateDays });
    const verifier = new TokenVerifier(() => keeper.accepted());
    return {
      keeper,
      sign: () => signToken(keeper.signing(), 'zone', claims, clock.nowMs()),
      isGood: (token: string) => verifier.verify(token, clock.nowMs()).ok,
    };
  };
  return { clock, store, daemon };
}

test('daemons sign with the same secret, whoever made it', async () => {
  const { daemon } = world();
  const [one, two] = [await daemon(), await daemon()];
  assert.ok(two.isGood(one.sign()));
  assert.ok(one.isGood(two.sign()));
});

test('the one secret of before goes on to count', async () => {
  const { store, daemon, clock } = world();
  const secret = Buffer.from('of old');
  const value = encodeEnvelope({ schema: 1, state: secret.toString('base64') });
  await store().put(keys.alloc('secret', 'token'), value);
  const one = await daemon();
  assert.ok(one.isGood(signToken(secret, 'zone', claims, clock.nowMs())));
});

test('tokens outlive a rotation, and the old secret ends with the last of them', async () => {
  const { clock, daemon } = world();
  const [one, two] = [await daemon(), await daemon()];
  const before = one.sign();
  await one.keeper.rotate(false);
  const old = one.keeper.signing();
  await settle();
  assert.ok([one, two].every(({ isGood }) => isGood(before)));
  assert.is(one.keeper.accepted().length, 2);
  await clock.advance(SPREAD_MS - 1);
  assert.is(one.keeper.signing(), old, 'until all know the other');
  const last = two.sign();
  await clock.advance(1);
  assert.is.not(one.keeper.signing(), old);
  assert.ok(two.isGood(one.sign()), 'the other daemon knows it');
  await clock.advance(TOKEN_LIFETIME_S * 1000 - 2_000);
  assert.ok(one.isGood(last));
  await clock.advance(120_000);
  assert.is(two.keeper.accepted().length, 1);
});

test('at once: no token of before counts any more, on any daemon, remembered or not', async () => {
  const { daemon } = world();
  const [one, two] = [await daemon(), await daemon()];
  const [before, after] = [one.sign(), () => one.sign()];
  assert.ok(two.isGood(before), 'it is remembered as good');
  await one.keeper.rotate(true);
  await settle();
  assert.equal([one.isGood(before), two.isGood(before)], [false, false]);
  assert.ok(two.isGood(after()));
});

test('two that rotate at the same time lose nothing', async () => {
  const { daemon } = world();
  const [one, two] = [await daemon(), await daemon()];
  const before = one.sign();
  await Promise.all([one.keeper.rotate(false), two.keeper.rotate(false)]);
  await settle();
  assert.ok(one.isGood(before));
  assert.is(one.keeper.accepted().length, 3);
  assert.ok(two.isGood(one.sign()));
});

test('an old one is replaced by itself, once among all; with 0 days never', async () => {
  const { clock, daemon } = world();
  const [one, two, never] = [await daemon(2), await daemon(2), await daemon(0)];
  const secret = one.keeper.signing();
  await clock.advance(2 * DAY_MS - 2 * 3_600_000);
  assert.is(one.keeper.signing(), secret);
  await clock.advance(4 * 3_600_000);
  await settle();
  assert.is.not(one.keeper.signing(), secret);
  assert.equal(
    [one, two, never].map(({ keeper }) => keeper.accepted().length),
    [1, 1, 1],
  );
  const alone = await world().daemon(0);
  const kept = alone.keeper.signing();
  await clock.advance(100 * DAY_MS);
  assert.is(alone.keeper.signing(), kept);
});

test('until a secret may sign, the first that there is does', () => {
  const [only] = rotated([], Buffer.from('a'), { nowMs: 1_000, isAtOnce: false });
  assert.is(signingSecret(only === undefined ? [] : [only], 0), only);
  assert.is(signingSecret([], 0), undefined);
});

test.run();
