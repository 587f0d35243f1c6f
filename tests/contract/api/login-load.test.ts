// Logins under attack: checking a secret is slow on purpose, and must not take the daemon with it.
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { openApiWorld, SECRETS, type ApiWorld } from '../../support/api-world.ts';

const test = suite('api: logins under load');
let world: ApiWorld;
test.before(async () => {
  world = await openApiWorld();
});
test.after(() => world.close());

function guess(namespace: string, key: string): Promise<number> {
  return world
    .call('POST', '/auth', { as: null, body: { namespace, key } })
    .then(({ status }) => status);
}

test('a storm of wrong guesses is refused, and leaves other requests quick', async () => {
  const storm = Promise.all(Array.from({ length: 100 }, (_, at) => guess('lab', `wrong-${at}`)));
  const startedAt = performance.now();
  for (let count = 0; count < 20; count++)
    assert.is((await world.call('GET', '/instances')).status, 200);
  const tookMs = performance.now() - startedAt;
  const statuses = await storm;
  assert.ok(statuses.every((status) => status === 401 || status === 503));
  // Four free tries, then at most four after each pause: 250 ms, 4 s, 8 s.
  const looked = statuses.filter((status) => status === 401).length;
  assert.ok(looked <= 16, `few are even looked at, not ${looked}`);
  assert.ok(tookMs < 10_000, `20 requests took ${tookMs} ms`);
});

test('who is known logs in at once, whoever else is guessing from the same place', async () => {
  assert.is(await guess('other', SECRETS.other), 200);
  const storm = Promise.all(Array.from({ length: 50 }, (_, at) => guess('other', `wrong-${at}`)));
  const startedAt = performance.now();
  assert.is(await guess('other', SECRETS.other), 200);
  assert.ok(performance.now() - startedAt < 5_000);
  await storm;
});

test('guessing in one namespace keeps nobody out of another', async () => {
  const storm = Promise.all(Array.from({ length: 50 }, (_, at) => guess('lab', `wrong-${at}`)));
  assert.is(await guess('system', SECRETS.system), 200);
  await storm;
});

test.run();
