// deploy/clean.sh as its operator runs it, in a network namespace of its own.
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { Ledger } from '../../../src/drivers/ledger.ts';
import { makeInstallation, type TestInstallation } from '../../support/installation.ts';

const test = suite('clean.sh');
const ROOT = join(import.meta.dirname, '../../..');
const FORWARDING = '/proc/sys/net/ipv4/ip_forward';

let installation: TestInstallation;
test.before.each(async () => {
  installation = await makeInstallation();
});
test.after.each(() => installation.remove());

/** Cleans where forwarding is on; returns what it is afterwards. */
function cleanWhereItForwards(): string {
  const script = `echo 1 >${FORWARDING}; sh deploy/clean.sh --data-dir "$1" >&2; cat ${FORWARDING}`;
  const args = ['--net', 'sh', '-ec', script, 'clean', installation.dataDir];
  const { stdout, stderr, status } = spawnSync('unshare', args, { cwd: ROOT, encoding: 'utf8' });
  assert.is(status, 0, stderr);
  return stdout.trim();
}

function withLedger<T>(work: (ledger: Ledger) => T): T {
  const ledger = new Ledger(join(installation.dataDir, 'ledger.db'));
  try {
    return work(ledger);
  } finally {
    ledger.close();
  }
}

test('forwarding that Troupe switched on is put back, once; what is wanted stays in the ledger', () => {
  const by = { owner: 'installation/x', epoch: 0, generation: 0, trace: 't' };
  withLedger((ledger) => {
    const name = 'net.ipv4.ip_forward';
    ledger.record({ ...by, resource: 'setting', name, detail: { before: '0' } });
    ledger.record({ ...by, resource: 'segment', name: 'net', detail: {} });
  });
  assert.is(cleanWhereItForwards(), '0');
  assert.equal(
    withLedger((ledger) => ledger.list().map(({ resource }) => resource)),
    ['segment'],
  );
  assert.is(cleanWhereItForwards(), '1', 'by somebody else');
});

test('forwarding that others switched on stays', () => {
  assert.is(cleanWhereItForwards(), '1', 'without a ledger');
  withLedger(() => undefined);
  assert.is(cleanWhereItForwards(), '1');
});

test.run();
