// A daemon started on its machine's ledger, while the owners' actors run on another daemon that was not: what each
// says of its things is what happens to them.
import { readFileSync } from 'node:fs';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { blob } from '../../../actors/blob/blob.ts';
import { blobPerformers } from '../../../actors/blob/effects.ts';
import { instancePerformers } from '../../../actors/instance/effects.ts';
import { instance } from '../../../actors/instance/instance.ts';
import { instanceRef } from '../../../actors/instance/state.ts';
import { TroupeError } from '../../../actors/kernel/errors.ts';
import { parseAddress } from '../../../actors/kernel/kind.ts';
import type { Router, StoredSnapshot } from '../../../actors/kernel/ports.ts';
import { localRouter } from '../../../actors/kernel/router.ts';
import { networkPerformers } from '../../../actors/network/effects.ts';
import { network } from '../../../actors/network/network.ts';
import { Executors, type Converger } from '../../../actors/node/executors.ts';
import { Inventory } from '../../../src/daemon/inventory.ts';
import { Ledger } from '../../../src/drivers/ledger.ts';
import { keptLog, makeWorld, settle } from '../../support/kernel.ts';

const test = suite('inventory');

const STORED = new Map(
  Object.entries(
    JSON.parse(
      readFileSync(new URL('../actors/fixtures/schema-1.json', import.meta.url), 'utf8'),
    ) as Record<string, StoredSnapshot>,
  ),
);

/** A machine with things of these owners in its ledger, which its last daemon had under epoch 1, generation 1. */
function world(...owners: readonly string[]) {
  const kernel = makeWorld();
  const { runtime, journal } = kernel;
  const { log, lines } = keptLog();
  const ledger = new Ledger(':memory:');
  for (const owner of owners) {
    const fence = { epoch: 1, generation: 1 };
    ledger.fence(owner, fence);
    ledger.record({ resource: 'thing', name: owner, owner, ...fence, trace: 't', detail: {} });
  }
  const acts: string[] = [];
  const converger = (ownerKind: string): Converger => ({
    ownerKind,
    ensure: async (id) => {
      acts.push(`ensure ${ownerKind}/${id}`);
      const ports = { consolePort: null, vdiPort: null, vdiTlsPort: null };
      return {
        observed: { power: 'off', offReason: 'guest', accelerator: 'tcg', ...ports },
        builtDisks: null,
      };
    },
    remove: async (id, by) => {
      acts.push(`remove ${ownerKind}/${id} under ${by.epoch}/${by.generation}`);
      ledger.forget('thing', `${ownerKind}/${id}`);
    },
  });
  const convergers = {
    domain: converger('instance'),
    segment: converger('network'),
    replica: converger('blob'),
  };
  const executors: Executors = new Executors({ node: 'n1', log, fencing: ledger, convergers });
  const router = localRouter(runtime, {
    executor: (to, message, trace) => executors.handle(to, message, trace),
  });
  const claims = { claim: async () => true, holder: async () => null, release: async () => {} };
  const dns = { zone: 'z', upstreamDns: '192.0.2.53', floatingBlock: '198.51.100.0/24' };
  runtime.register(instance, instancePerformers({ candidates: () => [] }));
  runtime.register(network, networkPerformers({ claims, vtepOf: () => '192.0.2.1', ...dns }));
  runtime.register(
    blob,
    blobPerformers({
      claims,
      maxSizeBytes: 1,
      fetchTimeoutMs: 1,
      copies: () => 1,
      transcodeIdleMs: 1,
      patienceMs: 1,
      nodes: () => [],
    }),
  );
  runtime.connect(router);
  const through = (asking: Router) =>
    new Inventory({ node: 'n1', ledger, executors, router: asking, log });
  return {
    ...kernel,
    acts,
    executors,
    ledger,
    lines,
    router,
    through,
    inventory: through(router),
    /** The owner as the store has it, with these members. Its actor has said all it had to say long ago. */
    put: (name: string, members: object) => {
      const address = parseAddress(name);
      const { schema = 0, state = null } = STORED.get(address?.kind ?? '') ?? {};
      if (address !== undefined) journal.put(address, schema, { ...(state as object), ...members });
    },
  };
}

test('what its owner keeps stays, and the owner is asked once', async () => {
  const { put, inventory, acts, router, through } = world('network/n', 'blob/b');
  put('network/n', { nodes: ['n1', 'n2'] });
  put('blob/b', { nodes: ['n1'] });
  assert.equal(await inventory.run('t'), []);
  assert.equal(
    acts.filter((act) => act.startsWith('remove')),
    [],
  );
  let asked = 0;
  const counting = through({
    ...router,
    ask: (...given) => {
      asked++;
      return router.ask(...given);
    },
  });
  await counting.run('t');
  await counting.run('t');
  assert.ok(asked <= 2, `${asked}`);
});

test('an instance that stays says its wish again, and hears what its guest did meanwhile', async () => {
  const { put, inventory, acts, journal, router, executors } = world('instance/i');
  const self = instanceRef('i');
  put('instance/i', { nics: [], observed: null });
  const account = { kind: 'account-for', node: 'n2' } as const;
  // Its actor is started by whoever asks first; what it says then is of no interest here.
  await router.ask(self, account, { trace: 't' });
  await settle();
  const before = journal.stateOf(self) as { generation: number };
  const { length } = acts;
  assert.is(executors.isWanted('instance/i'), true);
  await router.ask(self, { ...account, node: 'n1' }, { trace: 't' });
  await settle();
  const after = journal.stateOf(self) as { generation: number; power: string };
  assert.is(after.generation, before.generation + 1);
  assert.is(acts.length, length + 1);
  assert.is(after.power, 'off');
  assert.equal(await inventory.run('t'), [], 'it has spoken: nothing to ask');
});

test('what its owner has no more is removed under the newest fence, and reported as repaired', async () => {
  const { put, inventory, acts } = world('network/n', 'blob/b', 'instance/i', 'instance/moved');
  put('network/n', { nodes: ['n2'], generation: 7 });
  put('blob/b', { nodes: ['n2'] });
  put('instance/i', { phase: 'deleted', isDomainGone: true, deletedAtMs: 999_999, generation: 2 });
  put('instance/moved', { node: 'n2', phase: 'error', generation: 5 });
  const drifts = await inventory.run('t');
  assert.equal(acts.toSorted(), [
    'remove blob/b under 1/1',
    'remove instance/i under 1/2',
    'remove instance/moved under 1/5',
    'remove network/n under 1/7',
  ]);
  assert.ok(drifts.length === 4 && drifts.every((drift) => drift.repaired));
  assert.equal(await inventory.run('t'), []);
});

test('what the cluster knows no owner of is reported each time, and never touched', async () => {
  const { inventory, acts } = world('instance/stranger', 'installation/abcd');
  for (let audits = 0; audits < 3; audits++) {
    const [drift, ...others] = await inventory.run('t');
    assert.equal([drift?.owner, drift?.repaired, others.length], ['instance/stranger', false, 0]);
    assert.match(drift?.reason ?? '', /the cluster knows no instance\/stranger/);
  }
  assert.equal(acts, []);
});

test('owners that do not answer keep everything; after a few, the others are left for later', async () => {
  const owners = Array.from({ length: 50 }, (_, index) => `network/n${index}`);
  const { through, router, acts } = world(...owners);
  let asked = 0;
  const inventory = through({
    ...router,
    ask: async () => {
      asked++;
      throw new TroupeError('mesh/unreachable', 'no link');
    },
  });
  assert.equal(await inventory.run('t'), []);
  assert.equal([acts, asked], [[], 3]);
});

test('an owner that speaks while it is asked is heard, not the older answer', async () => {
  const { put, through, router, executors, acts } = world('network/n');
  put('network/n', { nodes: ['n2'] });
  const wish = { kind: 'want', owner: 'network/n', epoch: 4, generation: 1, spec: {} } as const;
  const address = { kind: 'executor', id: 'n1/segment/n' };
  const inventory = through({
    ...router,
    ask: async (to, message, options) => {
      const reply = await router.ask(to, message, options);
      await executors.handle(address, wish, 't');
      return reply;
    },
  });
  assert.equal(await inventory.run('t'), []);
  assert.equal(
    acts.filter((act) => act.startsWith('remove')),
    [],
  );
});

test('a removal that fails is reported with its reason, and left to the owner and to later audits', async () => {
  const { put, inventory, executors } = world('blob/b');
  put('blob/b', { nodes: [] });
  await executors.stop();
  const [drift] = await inventory.run('t');
  assert.is(drift?.repaired, false);
  assert.match(drift?.reason ?? '', /shutting down/);
});

test.run();
