// What is said of a host name that libvirt will wait for.
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { nameTrouble } from '../../../src/daemon/own-name.ts';

const test = suite('own name');

/** Its lookup takes that long, by a clock of its own. */
async function trouble(tookMs: number, failure?: Error) {
  let now = 0;
  const find = () => {
    now += tookMs;
    return failure === undefined ? Promise.resolve() : Promise.reject(failure);
  };
  return await nameTrouble({ monoMs: () => now }, { name: 'n1', lookup: find });
}

test('a name that resolves, or does not, at once holds up nobody', async () => {
  assert.is(await trouble(5), null);
  assert.is(await trouble(5, new Error('getaddrinfo ENOTFOUND n1')), null);
});

test('one that takes long is said, with what to do', async () => {
  assert.is(
    await trouble(10_010, new Error('getaddrinfo EAI_AGAIN n1')),
    'the host name n1 does not resolve in 10 s (getaddrinfo EAI_AGAIN n1): every start of an instance waits for that; add the line "127.0.1.1 n1" to /etc/hosts',
  );
  assert.match(
    String(await trouble(2_000)),
    /^the host name n1 resolves after 2 s: .*\/etc\/hosts$/,
  );
});

test.run();
