// What a machine says of itself, from files as the kernel writes them.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { initial } from '../../../actors/node/node.ts';
import { processMetrics, serviceProcesses } from '../../../src/daemon/process-metrics.ts';
import { hogsOf } from '../../../src/daemon/resource-reports.ts';
import { readResources } from '../../../src/daemon/resources.ts';
import { MACHINE } from '../../support/machine-facts.ts';

const test = suite('resources');
const root = mkdtempSync(join(tmpdir(), `troupe-resources-${process.pid}-`));

const FILES = {
  'proc/loadavg': '0.50 0.25 0.10 1/345 6789\n',
  'proc/meminfo': 'MemTotal: 2097152 kB\nMemFree: 524288 kB\nMemAvailable: 1048576 kB\n',
  'proc/diskstats': [
    '   8       0 sda 10 0 100 0 20 0 200 0 0 0 0',
    '   8       1 sda1 10 0 100 0 20 0 200 0 0 0 0',
    ' 259       0 nvme0n1 1 0 7 0 1 0 9 0 0 0 0',
    ' 253       0 dm-0 10 0 100 0 20 0 200 0 0 0 0',
  ].join('\n'),
  'proc/net/dev': [
    'Inter-|   Receive                  |  Transmit',
    ' face |bytes packets errs drop fifo frame compressed multicast|bytes packets',
    '    lo: 9 1 0 0 0 0 0 0 9 1 0 0 0 0 0 0',
    '  eth0: 1000 1 0 0 0 0 0 0 2000 1 0 0 0 0 0 0',
    'br-ab-1: 1000 1 0 0 0 0 0 0 2000 1 0 0 0 0 0 0',
  ].join('\n'),
  'sys/kernel/mm/ksm/pages_shared': '12\n',
};

test.before(() => {
  for (const [path, text] of Object.entries(FILES)) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), text);
  }
});
test.after(() => rmSync(root, { recursive: true }));

const amount = { cpus: 2, memoryMiB: 512, diskGiB: 1, grantedAtMs: 0, isBuilt: true };
const state = {
  ...initial,
  machine: { ...MACHINE, cpus: 4, versions: { etcd: 'own' } },
  reservations: { a: { ...amount, isRunning: true }, b: { ...amount, isRunning: false } },
};
const effect = {
  started: 5,
  succeeded: 2,
  failed: 1,
  aborted: 1,
  retries: 0,
  totalMs: 0,
  maxMs: 0,
};
const stats = { effects: { 'x/y': effect }, mailbox: { total: 3, deepest: 2 } };

test('all that the contract names, from what the kernel says', () => {
  const found = readResources({ dataDir: tmpdir(), state, stats, root });
  const expected = {
    is_etcd_master: true,
    is_hypervisor: true,
    cpu_max: 4,
    cpu_available: 4 * 16 - 4,
    cpu_load_5: 0.25,
    cpu_total_instance_vcpus: 2,
    memory_max: 2048,
    memory_available: 1024,
    memory_available_libvirt: 512,
    memory_total_instance_max: 1024,
    memory_total_instance_actual: 512,
    memory_ksm_pages_shared: 12,
    disk_read_bytes: 107 * 512,
    disk_write_bytes: 209 * 512,
    network_read_bytes: 1000,
    network_write_bytes: 2000,
    instances_total: 2,
    instances_active: 1,
    node_queue_processing: 1,
    node_queue_waiting: 3,
    object_version_instance: 14,
  };
  for (const [name, value] of Object.entries(expected)) assert.is(found[name], value, name);
  assert.ok(Number(found['disk_total']) > Number(found['disk_free']));
});

test('a kernel that tells nothing, and a node without a record, are no error', () => {
  const nowhere = join(root, 'nowhere');
  const found = readResources({ dataDir: nowhere, state: undefined, stats, root: nowhere });
  assert.equal([found['cpu_max'], found['memory_max'], found['disk_read_bytes']], [0, 0, 0]);
});

test('processes of one program count together, young ones not at all', () => {
  const of = (program: string, cpuSeconds: number, ageSeconds: number) => {
    return { program, cpuSeconds, ageSeconds };
  };
  const metrics = processMetrics([
    of('dnsmasq', 10, 100),
    of('dnsmasq', 20, 50),
    of('dnsmasq', 30, 90),
    of('sf-net', 1, 1_000),
    of('young', 50, 59),
  ]);
  assert.equal(metrics, {
    process_cpu_time_dnsmasq: 40,
    process_age_dnsmasq: 100,
    process_cpu_fraction_dnsmasq: 0.4,
    process_cpu_time_sf_net: 1,
    process_age_sf_net: 1_000,
    process_cpu_fraction_sf_net: 0.001,
  });
  assert.equal(hogsOf(metrics), { dnsmasq: 0.4 });
});

test('this process is among those of the service', () => {
  const nothing = join(root, 'nothing');
  const [self] = serviceProcesses({ dataDir: nothing, runDir: nothing });
  assert.is(self?.program, 'troupe');
  assert.ok((self?.cpuSeconds ?? 0) > 0);
});

test.run();
