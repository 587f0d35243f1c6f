// The promise of tests/support/libvirtd.ts: a test that is killed leaves no libvirtd and no QEMU.
import { spawn } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { startLibvirtd } from '../../support/libvirtd.ts';
import { until } from '../../unit/drivers/libvirt/until.ts';

const test = suite('a private libvirtd');

const KILLED = `
import { connectLibvirt } from './src/drivers/libvirt/client.ts';
import { buildDomainXml } from './src/drivers/libvirt/domain-xml.ts';
import { tinySpec } from './tests/contract/libvirt/domains.ts';
import { startLibvirtd } from './tests/support/libvirtd.ts';
const daemon = await startLibvirtd();
const libvirt = await connectLibvirt({ socketPath: daemon.socketPath });
await libvirt.domains.start(await libvirt.domains.define(buildDomainXml(tinySpec())));
console.log(daemon.directory);
`;

test('dies with the test that started it, and takes its guests along', async () => {
  const root = new URL('../../..', import.meta.url);
  const words = ['--input-type=module', '-e', KILLED];
  const child = spawn(process.execPath, words, { cwd: root, stdio: ['ignore', 'pipe', 'inherit'] });
  let directory = '';
  for await (const line of createInterface(child.stdout)) {
    directory = line;
    break;
  }
  assert.match(directory, `troupe-libvirtd-${child.pid}-`);
  const namespace = namespaceOf(directory);
  assert.ok(processesIn(namespace).some((line) => line.includes('qemu-system')));
  const exited = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGKILL');
  await exited;
  await until(() => processesIn(namespace).length === 0);
  const next = await startLibvirtd();
  assert.not(existsSync(directory));
  await next.stop();
  assert.not(existsSync(next.directory));
});

interface Process {
  readonly line: string;
  readonly namespace: string;
}

function processes(): Process[] {
  const pids = readdirSync('/proc').filter((name) => /^\d+$/.test(name));
  return pids.flatMap((pid) => {
    try {
      const line = readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ');
      return { line, namespace: readlinkSync(`/proc/${pid}/ns/pid`) };
    } catch {
      // It ended while we looked.
      return [];
    }
  });
}

/** The PID namespace whose init runs in this directory. */
function namespaceOf(directory: string): string {
  const init = processes().find(({ line }) => line.startsWith('sh ') && line.includes(directory));
  if (init === undefined) throw new Error(`no init of ${directory}`);
  return init.namespace;
}

function processesIn(namespace: string): string[] {
  const inside = processes().filter((process) => process.namespace === namespace);
  return inside.map(({ line }) => line);
}

test.run();
