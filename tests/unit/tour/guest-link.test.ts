// Getting into a guest, over an ssh that says what a test wants.
import { rejects } from 'node:assert/strict';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Exec, ExecResult } from '../../../src/drivers/exec.ts';
import { guestLink } from '../../../src/tour/guest-link.ts';

const test = suite('guest link');

type Answer = Partial<ExecResult>;

/** A link whose programs answer as `answer` says; `users` are those that ssh was tried as, in order. */
function linkWith(answer: (user: string, tries: number) => Answer) {
  const users: string[] = [];
  const commands: string[][] = [];
  const exec: Exec = (program, args) => {
    commands.push([program, ...args]);
    const user = /^(.+)@10\.0\.0\.5$/.exec(args.at(-2) ?? '')?.[1] ?? '';
    users.push(user);
    return Promise.resolve({ code: 0, stdout: '', stderr: '', ...answer(user, users.length) });
  };
  const options = { netns: 'ns-1', address: '10.0.0.5', keyFile: '/key', trace: 't' };
  return { link: guestLink({ exec, ...options }), users, commands };
}

test('root let in only to say who else to be: the next user is tried', async () => {
  const { link, users, commands } = linkWith((user) =>
    user === 'root'
      ? { code: 142, stdout: 'Please login as the user "debian" rather than the user "root".\n' }
      : { stdout: 'Linux 6.1\nguest\n' },
  );
  assert.equal(await link.ssh('uname', 1_000), { user: 'debian', output: 'Linux 6.1\nguest' });
  assert.equal(users, ['root', 'debian']);
  assert.equal(commands[0]?.slice(0, 5), ['ip', 'netns', 'exec', 'ns-1', 'ssh']);
});

test("a key that is not this user's: the next user is tried", async () => {
  const { link, users } = linkWith((user) =>
    user === 'cirros'
      ? {}
      : { code: 255, stderr: `${user}@10.0.0.5: Permission denied (publickey).` },
  );
  assert.is((await link.ssh('true', 1_000)).user, 'cirros');
  assert.is(users.length, 8);
});

test('while nobody answers, ssh is tried again as the same user', async () => {
  const refused = {
    code: 255,
    stderr: 'ssh: connect to host 10.0.0.5 port 22: Connection refused',
  };
  const { link, users } = linkWith((_, tries) => (tries < 3 ? refused : {}));
  assert.is((await link.ssh('true', 5_000)).user, 'root');
  assert.equal(users, ['root', 'root', 'root']);
});

test('who does not get in says what ssh said last', async () => {
  const { link } = linkWith(() => ({ code: 255, stderr: 'banner\nConnection timed out' }));
  await rejects(
    link.ssh('true', 0),
    /an ssh login at 10\.0\.0\.5 .*; ssh says: Connection timed out$/,
  );
});

test('ping is asked until a line of an answer comes', async () => {
  const line = '64 bytes from 10.0.0.5: icmp_seq=1 ttl=64 time=0.4 ms';
  const { link, commands } = linkWith((_, tries) =>
    tries < 3 ? { code: 1, stdout: 'no answer\n' } : { stdout: `PING\n${line}\n` },
  );
  assert.is(await link.ping(5_000), line);
  assert.is(commands.length, 3);
});

test.run();
