// Ctrl-C while the daemon is still coming up: whatever it was at, nothing goes on running.
import { readdirSync, readFileSync } from 'node:fs';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { findLeftovers } from '../../src/embedded/leftovers.ts';
import { daemonInstallation, startDaemon } from '../support/daemon.ts';
import { waitUntil } from '../support/wait.ts';

const test = suite('Ctrl-C during the start');

const NOTHING = {
  processes: [],
  mounts: [],
  namespaces: [],
  links: [],
  tables: [],
  hasRunDirectory: false,
};

/** In the order of the start; each begins from nothing, so that nothing is remembered of it. */
const PHASES = [
  'etcd and libvirtd',
  'probe guest',
  'KVM and CPU model',
  'daemon',
  'guest image',
  'instance',
  'address and ping',
];

for (const phase of PHASES) {
  test(`at “${phase}” it leaves nothing but the data directory, and is no failure`, async () => {
    const installation = await daemonInstallation();
    try {
      const daemon = startDaemon(installation);
      const begun = () => daemon.screen().includes(`  … ${phase}\n`);
      await waitUntil(`“${phase}” has begun`, begun, 120_000);
      assert.is(await daemon.interrupt(), 0, daemon.screen());
      assert.match(daemon.screen(), /\nStopping …\n[^]*\nStopped\. What remains is in [^\n]*\n$/);
      assert.not.match(daemon.screen(), /✗|troupe: |Press Ctrl-C/);
      assert.equal(await findLeftovers(installation), NOTHING);
      assert.equal(commandsWith(installation.dataDir), []);
    } finally {
      await installation.remove();
    }
  });
}

/** Also programs that findLeftovers() does not know as ours, such as the shell that builds a guest. */
function commandsWith(text: string): string[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && name !== String(process.pid))
    .map((pid) => commandOf(pid).replaceAll('\0', ' '))
    .filter((command) => command.includes(text));
}

function commandOf(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8');
  } catch {
    // It ended in between.
    return '';
  }
}

test.run();
