// The first objects of a cluster, made or found while those who decide for them come and go.
import { rejects } from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { TroupeError } from '../../../actors/kernel/errors.ts';
import type { Address, Message } from '../../../actors/kernel/kind.ts';
import type { Router } from '../../../actors/kernel/ports.ts';
import { initial as newNamespace, namespace } from '../../../actors/namespace/namespace.ts';
import { initial as newNetwork, network } from '../../../actors/network/network.ts';
import { bootstrap, loginFile } from '../../../src/daemon/bootstrap.ts';
import { ReadModel } from '../../../src/read/read-model.ts';
import { keptLog, ManualClock, seededRandom, until } from '../../support/kernel.ts';

const test = suite('bootstrap');
const root = mkdtempSync(join(tmpdir(), `troupe-bootstrap-${process.pid}-`));
test.after(() => rmSync(root, { recursive: true }));
const BLOCK = '192.0.2.0/24';
let made = 0;

/** A cluster whose objects are changed at once, unless asks fail. */
function world() {
  const clock = new ManualClock();
  const { log } = keptLog();
  const read = new ReadModel(clock, log);
  const state = { failure: null as TroupeError | null, asked: [] as string[], keys: {} };
  let revision = 0;
  const put = (kind: string, id: string, schema: number, value: object) => {
    read.apply(
      [{ kind, id, snapshot: { schema, state: value }, revision: ++revision }],
      revision,
      false,
    );
  };
  const router: Router = {
    tell: () => assert.unreachable(),
    ask: (to: Address, message: Message) => {
      state.asked.push(message.kind);
      if (state.failure !== null) return Promise.reject(state.failure);
      if (to.kind === 'network') {
        put('network', to.id, network.snapshot.schema, { ...newNetwork, netblock: BLOCK });
      } else {
        const { name, key } = message as unknown as { name?: string; key?: object };
        if (name !== undefined) state.keys = { ...state.keys, [name]: key };
        const value = { ...newNamespace, phase: 'created', keys: state.keys };
        put('namespace', to.id, namespace.snapshot.schema, value);
      }
      return Promise.resolve({ value: null, revision });
    },
  };
  const stop = new AbortController();
  const dataDir = join(root, `node-${++made}`);
  const random = seededRandom(1);
  const start = () => {
    const patience = { clock, random, log, signal: stop.signal };
    const known = { node: 'n1', dataDir, apiUrl: 'http://127.0.0.1:1', floatingBlock: BLOCK };
    return bootstrap({ ...known, router, read, trace: 't', patience });
  };
  return { clock, state, start, stop, dataDir };
}

const unreachable = () => new TroupeError('mesh/unreachable', 'n2 cannot be reached');

test('what is there already is asked of nobody', async () => {
  const { state, start, dataDir } = world();
  const login = await start();
  assert.equal(state.asked, ['create-pool', 'create', 'set-key']);
  assert.is(statSync(loginFile(dataDir)).mode & 0o777, 0o600);
  assert.equal(JSON.parse(readFileSync(loginFile(dataDir), 'utf8')), login);
  state.failure = unreachable();
  assert.equal(await start(), login);
  assert.is(state.asked.length, 3);
});

test('a daemon that cannot be reached for some seconds holds the start up, and does not end it', async () => {
  const { clock, state, start } = world();
  state.failure = unreachable();
  const starting = start();
  await clock.advance(20_000);
  assert.ok(state.asked.length > 4, 'it was tried again');
  state.failure = null;
  await clock.advance(5_000);
  await until(() => state.asked.includes('set-key'), 'the key is made');
  await starting;
});

test('after a minute the start fails, with the reason and the way out', async () => {
  const { clock, state, start } = world();
  state.failure = unreachable();
  const failed = rejects(start(), (error: unknown) => {
    assert.ok(error instanceof TroupeError);
    assert.is(error.code, 'mesh/unreachable');
    assert.match(error.message, /n2 cannot be reached \(tried for 60 s\).*mesh-address/);
    return true;
  });
  await clock.advance(60_000);
  await failed;
  assert.is(clock.pending, 0);
});

test('what no second try can mend fails at once; so does a start that is called off', async () => {
  const { clock, state, start, stop } = world();
  state.failure = new TroupeError('object/wrong-phase', 'no');
  await rejects(start(), { code: 'object/wrong-phase' });
  assert.is(state.asked.length, 1);
  state.failure = unreachable();
  const called = rejects(start(), /called off/);
  await clock.advance(1_000);
  stop.abort(new TroupeError('actor/stopped', 'called off'));
  await called;
  assert.is(clock.pending, 0);
});

test.run();
