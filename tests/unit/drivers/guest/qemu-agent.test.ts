// QEMU's guest agent, whose commands are answered by a fake: what is asked of it, and what is made of its answers.
import { rejects } from 'node:assert/strict';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { codeOf, TroupeError } from '../../../../actors/kernel/errors.ts';
import { QemuAgent, type AgentCall } from '../../../../src/drivers/guest/qemu-agent.ts';
import { spokesman } from '../../../../src/drivers/guest/agent-monitor.ts';
import { UNKNOWN } from '../../../../src/drivers/guest/sf-agent-state.ts';

const test = suite('QEMU guest agent');

type Args = Readonly<Record<string, unknown>>;
type Process = readonly [exitcode: number, stdout?: string, stderr?: string];

const never = new AbortController().signal;
const base64 = (text: string) => Buffer.from(text).toString('base64');
const hasCode = (code: string) => (error: unknown) => codeOf(error) === code;

/** A guest with files, whose programs end as `run` says, after having been looked at twice. */
class FakeGuest {
  readonly files = new Map<string, Buffer>();
  readonly ran: Args[] = [];
  readonly open = new Map<number, { path: string; at: number }>();
  readonly #looks = new Map<number, number>();
  readonly #run: (args: Args) => Process;

  constructor(run: (args: Args) => Process = () => [0]) {
    this.#run = run;
  }

  readonly call: AgentCall = async (execute, args) => {
    switch (execute) {
      case 'guest-exec':
        return { pid: this.ran.push(args) };
      case 'guest-exec-status':
        return this.#status(Number(args['pid']));
      case 'guest-file-open':
        return this.#openFile(String(args['path']), String(args['mode']));
      case 'guest-file-read':
        return this.#read(Number(args['handle']));
      case 'guest-file-write':
        return this.#write(Number(args['handle']), String(args['buf-b64']));
      case 'guest-file-close':
        this.open.delete(Number(args['handle']));
        return {};
      default:
        return {};
    }
  };

  #status(pid: number): Args {
    const looks = (this.#looks.get(pid) ?? 0) + 1;
    this.#looks.set(pid, looks);
    if (looks < 2) return { exited: false };
    const [exitcode, stdout = '', stderr = ''] = this.#run(this.ran[pid - 1] ?? {});
    const output = { 'out-data': base64(stdout), 'err-data': base64(stderr) };
    return exitcode < 0
      ? { exited: true, signal: -exitcode, ...output }
      : { exited: true, exitcode, ...output };
  }

  #openFile(path: string, mode: string): number {
    if (mode === 'w') this.files.set(path, Buffer.alloc(0));
    if (!this.files.has(path)) throw new TroupeError('guest/refused', 'No such file');
    const handle = 100 + this.open.size;
    this.open.set(handle, { path, at: 0 });
    return handle;
  }

  #read(handle: number): Args {
    const file = this.open.get(handle);
    const bytes = this.files.get(file?.path ?? '')?.subarray(file?.at, (file?.at ?? 0) + 7);
    if (file !== undefined) file.at += 7;
    return { count: bytes?.length, 'buf-b64': bytes?.toString('base64'), eof: bytes?.length === 0 };
  }

  /** Takes less than it is given, as the real one may. */
  #write(handle: number, text: string): Args {
    const taken = Buffer.from(text, 'base64').subarray(0, 5);
    const path = this.open.get(handle)?.path ?? '';
    this.files.set(path, Buffer.concat([this.files.get(path) ?? Buffer.alloc(0), taken]));
    return { count: taken.length };
  }
}

async function read(chunks: AsyncIterable<Uint8Array>): Promise<string> {
  let text = '';
  for await (const chunk of chunks) text += Buffer.from(chunk).toString();
  return text;
}

async function* content(...chunks: string[]): AsyncGenerator<Uint8Array> {
  for (const chunk of chunks) yield Buffer.from(chunk);
}

test("a line goes to the guest's shell as one argument, and is waited for", async () => {
  const guest = new FakeGuest(() => [3, 'out', 'err']);
  const line = "echo 'a'; $(reboot)";
  const { returnCode, stdout, stderr } = await new QemuAgent(guest.call).execute(line, never);
  assert.equal(guest.ran, [{ path: '/bin/sh', arg: ['-c', line], 'capture-output': true }]);
  assert.equal([returnCode, String(stdout), String(stderr)], [3, 'out', 'err']);
});

test('a process that a signal ended has that as its exit code', async () => {
  const agent = new QemuAgent(new FakeGuest(() => [-9]).call);
  assert.is((await agent.execute('x', never)).returnCode, -9);
});

test('a file is read to its end and closed; its status is what stat says', async () => {
  const guest = new FakeGuest(() => [0, '81a4 20 1000 100 3 2 1\n']);
  guest.files.set('-odd name', Buffer.from('twenty bytes of text'));
  const file = await new QemuAgent(guest.call).readFile('-odd name', never);
  assert.is(await read(file.chunks), 'twenty bytes of text');
  const times = { atime: 3, mtime: 2, ctime: 1 };
  assert.equal(file.stat, { mode: 0o100644, size: 20, uid: 1000, gid: 100, ...times });
  assert.equal(guest.ran[0]?.['arg'], ['-L', '-c', '%f %s %u %g %X %Y %Z', '--', '-odd name']);
  assert.is(guest.open.size, 0);
});

test('a file that is given up in the middle is closed', async () => {
  const guest = new FakeGuest(() => [0, '81a4 20 0 0 3 2 1\n']);
  guest.files.set('/x', Buffer.from('twenty bytes of text'));
  const { chunks } = await new QemuAgent(guest.call).readFile('/x', never);
  for await (const _ of chunks) break;
  assert.is(guest.open.size, 0);
});

test('what is no file, or not there, is refused in words', async () => {
  const folder = new QemuAgent(new FakeGuest(() => [0, '41ed 20 0 0 3 2 1\n']).call);
  await rejects(folder.readFile('/etc', never), /path is not a file/);
  const none = new QemuAgent(new FakeGuest(() => [1, '', 'stat: cannot stat']).call);
  await rejects(none.readFile('/x', never), /path does not exist/);
  const odd = new QemuAgent(new FakeGuest(() => [0, 'usage: stat FILE']).call);
  await rejects(odd.readFile('/x', never), hasCode('guest/refused'));
});

test('a file is written piece by piece, however little is taken at a time', async () => {
  const guest = new FakeGuest();
  await new QemuAgent(guest.call).writeFile('/x', content('twenty bytes', ' of text'), never);
  assert.is(guest.files.get('/x')?.toString(), 'twenty bytes of text');
  assert.is(guest.open.size, 0);
});

test('modes become what chmod takes; what it says no to is refused', async () => {
  const guest = new FakeGuest();
  const agent = new QemuAgent(guest.call);
  await agent.changeMode('-x', 33_188, never);
  await agent.changeMode('-x', 'u+x', never);
  assert.equal(
    guest.ran.map((args) => args['arg']),
    [
      ['--', '644', '-x'],
      ['--', 'u+x', '-x'],
    ],
  );
  const failing = new QemuAgent(new FakeGuest(() => [1, '', 'chmod: read-only\n']).call);
  await rejects(failing.changeMode('/x', 0, never), /chmod: read-only/);
});

test('the boot time is read from the kernel; a guest that has none says nothing', async () => {
  const guest = new FakeGuest();
  assert.is(await new QemuAgent(guest.call).bootedAtMs(), null);
  guest.files.set('/proc/stat', Buffer.from('cpu 1 2\nbtime 1726000171\nprocs 3\n'));
  assert.is(await new QemuAgent(guest.call).bootedAtMs(), 1_726_000_171_000);
});

test('a wait that is called off ends', async () => {
  const call: AgentCall = async (execute) =>
    execute === 'guest-exec' ? { pid: 1 } : { exited: false };
  const abort = new AbortController();
  const running = new QemuAgent(call).execute('sleep 1000', abort.signal);
  setImmediate(() => abort.abort());
  await rejects(running, hasCode('actor/stopped'));
});

test('of two agents the one that is ready speaks, else the one that was heard of', () => {
  const ready = { ...UNKNOWN, state: 'ready', startedAtMs: 1 };
  const degraded = { ...UNKNOWN, state: 'ready (degraded)', startedAtMs: 2 };
  const starting = { ...UNKNOWN, state: 'not ready (starting)' };
  assert.is(spokesman(UNKNOWN, ready), ready);
  assert.is(spokesman(starting, ready), ready);
  assert.is(spokesman(degraded, ready), degraded);
  assert.is(spokesman(starting, UNKNOWN), starting);
  assert.is(spokesman(UNKNOWN, UNKNOWN), UNKNOWN);
});

test.run();
