import { spawnSync } from 'node:child_process';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { codeOf } from '../../../actors/kernel/errors.ts';
import { Ledger } from '../../../src/drivers/ledger.ts';

const test = suite('ledger');
const directory = mkdtempSync(join(tmpdir(), `troupe-ledger-${process.pid}-`));
const module = new URL('../../../src/drivers/ledger.ts', import.meta.url).href;
let number = 0;
const newPath = () => join(directory, `ledger-${number++}`);
test.after(() => rmSync(directory, { recursive: true, force: true }));

const entry = {
  resource: 'tap',
  name: 'tpa1b2-1',
  owner: 'instance/one',
  epoch: 7,
  generation: 3,
  trace: 'trace-1',
  detail: { mac: '02:00:00:00:00:01', queues: 1, isUp: true },
};

function codeThrownBy(work: () => unknown): string {
  try {
    work();
  } catch (error) {
    return codeOf(error);
  }
  return 'nothing thrown';
}

/** Runs a script in another process that has `ledger` open on `path`; returns its exit. */
function elsewhere(path: string, script: string, wrap: readonly string[] = []) {
  const source = `import { Ledger } from '${module}'; const ledger = new Ledger('${path}'); ${script}`;
  const command = [...wrap, process.execPath, '--input-type=module', '-e', source];
  const [program = '', ...args] = command;
  return spawnSync(program, args, { encoding: 'utf8' });
}

test('what is recorded is found again, by name, resource and owner', () => {
  const ledger = new Ledger(newPath());
  ledger.record(entry);
  ledger.record({ ...entry, resource: 'bridge', name: 'b', owner: 'network/x', detail: {} });
  const { recordedAtMs, ...found } = ledger.get('tap', 'tpa1b2-1') ?? { recordedAtMs: 0 };
  assert.equal(found, entry);
  assert.ok(Math.abs(recordedAtMs - Date.now()) < 10_000);
  assert.equal(
    ledger.list({ owner: 'network/x' }).map((e) => e.name),
    ['b'],
  );
  assert.equal(
    ledger.list({ resource: 'tap' }).map((e) => e.name),
    ['tpa1b2-1'],
  );
  assert.is(ledger.list().length, 2);
  assert.is(ledger.get('tap', 'other'), undefined);
  ledger.close();
});

test('recording again keeps the time, and takes everything else', () => {
  const ledger = new Ledger(newPath());
  ledger.record(entry);
  const first = ledger.get('tap', entry.name)?.recordedAtMs;
  ledger.record({ ...entry, generation: 4, detail: {} });
  const second = ledger.get('tap', entry.name);
  assert.is(second?.generation, 4);
  assert.equal(second?.detail, {});
  assert.is(second?.recordedAtMs, first);
  ledger.forget('tap', entry.name);
  ledger.forget('tap', entry.name);
  assert.equal(ledger.list(), []);
  ledger.close();
});

test('hostile text is data', () => {
  const ledger = new Ledger(newPath());
  const name = "'); drop table entry; --";
  ledger.record({ ...entry, name, detail: { text: name } });
  assert.is(ledger.get('tap', name)?.detail['text'], name);
  ledger.close();
});

test('what was recorded is there after the process was killed', () => {
  const path = newPath();
  const script = `ledger.record(${JSON.stringify(entry)}); ledger.fence('instance/one', { epoch: 7, generation: 3 }); process.kill(process.pid, 'SIGKILL');`;
  assert.is(elsewhere(path, script).signal, 'SIGKILL');
  const ledger = new Ledger(path);
  assert.is(ledger.list()[0]?.name, entry.name);
  assert.equal(ledger.lastFence('instance/one'), { epoch: 7, generation: 3 });
  ledger.close();
});

test('the fence takes the same and newer, refuses older, and remembers over a restart', () => {
  const path = newPath();
  const accepts = (ledger: Ledger, epoch: number, generation: number) =>
    codeThrownBy(() => ledger.fence('network/x', { epoch, generation })) === 'nothing thrown';
  const before = new Ledger(path);
  assert.ok(accepts(before, 5, 2));
  assert.ok(accepts(before, 5, 2));
  assert.not(accepts(before, 5, 1));
  assert.not(accepts(before, 4, 99));
  assert.ok(accepts(before, 6, 1), 'a new epoch starts its generations anew');
  before.close();
  const after = new Ledger(path);
  assert.not(accepts(after, 5, 3));
  assert.ok(accepts(after, 6, 1));
  assert.is(
    codeThrownBy(() => after.fence('network/x', { epoch: 1, generation: 1 })),
    'executor/stale-epoch',
  );
  assert.ok(
    codeThrownBy(() => after.fence('network/y', { epoch: 1, generation: 1 })) === 'nothing thrown',
  );
  after.close();
});

test('only the fence of an owner without entries is dropped, and only as it was seen', () => {
  const ledger = new Ledger(newPath());
  const [idle, busy] = ['network/idle', entry.owner];
  for (const owner of [idle, busy]) ledger.fence(owner, { epoch: 5, generation: 2 });
  ledger.record(entry);
  const seen = { owner: idle, epoch: 5, generation: 2 };
  assert.equal(ledger.idleFences(), [seen]);
  assert.not(ledger.forgetFence({ ...seen, owner: busy }), 'it has an entry');
  ledger.fence(idle, { epoch: 5, generation: 3 });
  assert.not(ledger.forgetFence(seen), 'it has moved');
  assert.ok(ledger.forgetFence({ ...seen, generation: 3 }));
  assert.is(ledger.lastFence(idle), undefined);
  assert.equal(ledger.lastFence(busy), { epoch: 5, generation: 2 });
  ledger.close();
});

test('two processes on one ledger see one fence', () => {
  const path = newPath();
  const ledger = new Ledger(path);
  ledger.fence('network/x', { epoch: 1, generation: 1 });
  assert.is(
    elsewhere(path, `ledger.fence('network/x', { epoch: 2, generation: 1 }); ledger.close();`)
      .status,
    0,
  );
  assert.is(
    codeThrownBy(() => ledger.fence('network/x', { epoch: 1, generation: 2 })),
    'executor/stale-epoch',
  );
  ledger.close();
});

test('a file that is no ledger, or of a newer version, is refused by name', () => {
  const damaged = newPath();
  writeFileSync(
    damaged,
    'not a database at all, but quite long enough to look like one'.repeat(50),
  );
  assert.is(
    codeThrownBy(() => new Ledger(damaged)),
    'host/tool-failed',
  );
  const newer = newPath();
  const db = new DatabaseSync(newer);
  db.exec('pragma user_version = 99');
  db.close();
  assert.throws(() => new Ledger(newer), /has version 99, this program knows 1/);
  assert.is(
    codeThrownBy(() => new Ledger('/no/such/directory/ledger')),
    'host/tool-failed',
  );
});

test('a full disk is told as that, and what was there before stays readable', () => {
  const mountPoint = join(directory, 'small');
  chmodSync(directory, 0o755);
  const script = `
    const entry = ${JSON.stringify(entry)};
    let code;
    for (let n = 0; n < 10000 && code === undefined; n++) {
      try { ledger.record({ ...entry, name: 'n' + n, detail: { text: 'x'.repeat(5000) } }); }
      catch (error) { code = error.code; }
    }
    console.log(code, ledger.list()[0].name);`;
  const mount = `mkdir -p ${mountPoint} && mount -t tmpfs -o size=300k small ${mountPoint} && exec "$@"`;
  const { stdout, stderr } = elsewhere(join(mountPoint, 'ledger'), script, [
    'unshare',
    '--mount',
    'sh',
    '-c',
    mount,
    'sh',
  ]);
  assert.is(stdout.trim(), 'host/disk-full n0', stderr);
});

test.run();
