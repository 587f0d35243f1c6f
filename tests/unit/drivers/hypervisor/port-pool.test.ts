import { rejects } from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { PortPool } from '../../../../src/drivers/hypervisor/port-pool.ts';

const test = suite('hypervisor: console ports');
const HOST = '127.0.0.1';
/** Below Linux's own range for outgoing connections. */
const range = { first: 21_000, last: 21_003 };

/** Random numbers that walk through the range in order. */
function inOrder(): () => number {
  let next = 0;
  return () => (next++ % 4) / 4;
}

test('a port that the ledger or somebody else holds is passed over (P1)', async () => {
  const server = createServer().listen(21_001, HOST);
  await once(server, 'listening');
  try {
    const pool = new PortPool({ range, random: inOrder(), held: () => new Set([21_000]) });
    assert.equal(await pool.choose([HOST], (ports) => ports), [21_002]);
  } finally {
    server.close();
  }
});

test('choices at the same time never give the same port (P2)', async () => {
  const held = new Set<number>();
  const pool = new PortPool({ range, random: inOrder(), held: () => held });
  const choose = () =>
    pool.choose([HOST, HOST], (ports) => {
      for (const port of ports) held.add(port);
      return ports;
    });
  const chosen = await Promise.all([choose(), choose()]);
  assert.equal(
    chosen.flat().toSorted((a, b) => a - b),
    [21_000, 21_001, 21_002, 21_003],
  );
});

test('a port that was chosen and not recorded is free again', async () => {
  const pool = new PortPool({ range, random: () => 0, held: () => new Set() });
  const fail = () => {
    throw new Error('the ledger is full');
  };
  await rejects(pool.choose([HOST], fail), /ledger is full/);
  assert.equal(await pool.choose([HOST], (ports) => ports), [21_000]);
});

test('no free port is an error that names the range', async () => {
  const pool = new PortPool({ range, random: () => 0, held: () => new Set([21_000]) });
  await rejects(
    pool.choose([HOST], (ports) => ports),
    { code: 'host/port-in-use', message: /21000 and 21003/ },
  );
});

test.run();
