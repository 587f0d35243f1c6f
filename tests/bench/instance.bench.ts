// From the API request to a running QEMU, against libvirt's own define and start of a like domain on the same libvirtd.
//
// Starts a daemon of its own. The floor's domain has a disk and consoles as ours has; ours also makes the disk, the config
// drive, and a dozen durable writes. Before that: what the daemon itself takes while it has nothing to do, etcd and libvirtd
// not included, against a node process that only waits.
import { spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { Client } from '../../src/client/client.ts';
import { exec } from '../../src/drivers/exec.ts';
import { connectLibvirt, type Libvirt } from '../../src/drivers/libvirt/client.ts';
import {
  clientOf,
  daemonInstallation,
  serveDaemon,
  untilView,
  type RunningDaemon,
} from '../support/daemon.ts';
import type { Report } from './row.ts';

const ROUNDS = 5;
/** The start's own work is over. */
const SETTLE_MS = 5_000;
const IDLE_MS = 15_000;
/** Of /proc/PID/stat. */
const TICK_MS = 10;

export async function bench(report: Report): Promise<void> {
  const installation = await daemonInstallation();
  const daemon = await serveDaemon(installation, ['--no-tour']);
  try {
    await benchIdle(daemon, report);
    const { dataDir, runDir } = installation;
    const socketPath = join(runDir, 'libvirt', 'libvirt-sock');
    const disk = join(dataDir, 'floor.qcow2');
    await exec('qemu-img', ['create', '-f', 'qcow2', disk, '1G'], { trace: 'bench' });
    const libvirt = await connectLibvirt({ socketPath });
    const client = clientOf(dataDir);
    const [ours, floor]: [number[], number[]] = [[], []];
    // In turn, so that the machine's mood meets both.
    for (let round = 0; round < ROUNDS; round++) {
      floor.push(await timeLibvirt(libvirt, disk));
      ours.push(await timeInstance(client));
    }
    await libvirt.close();
    report({
      name: 'API request to QEMU running',
      ours: median(ours),
      floor: median(floor),
      unit: 'ms',
    });
  } finally {
    await daemon.interrupt();
    await installation.remove();
  }
}

async function benchIdle({ process: { pid = 0 } }: RunningDaemon, report: Report): Promise<void> {
  const bare = spawn(process.execPath, ['-e', 'setInterval(() => {}, 60_000)']);
  await delay(SETTLE_MS);
  const before = cpuMs(pid);
  await delay(IDLE_MS);
  const load = ((cpuMs(pid) - before) / IDLE_MS) * 100;
  report({ name: 'daemon at idle: CPU', ours: load, floor: 0, unit: '% of a core' });
  const [ours, floor] = [rssMiB(pid), rssMiB(bare.pid ?? 0)];
  report({ name: 'daemon at idle: memory', ours, floor, unit: 'MiB' });
  bare.kill();
}

/** Of all its threads, since its start. */
function cpuMs(pid: number): number {
  const [, fields = ''] = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ');
  const [user = 0, system = 0] = fields.split(' ').slice(11, 13).map(Number);
  return (user + system) * TICK_MS;
}

function rssMiB(pid: number): number {
  const [, kib = 'NaN'] = /VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? [];
  return Number(kib) / 1_024;
}

async function timeInstance(client: Client): Promise<number> {
  const startedAt = performance.now();
  const body = { name: 'bench', cpus: 1, memory: 64, disk: [{ size: 1 }], side_channels: [] };
  const { uuid } = await client.view('POST', '/instances', body);
  const path = `/instances/${String(uuid)}`;
  while ((await client.view('GET', path))['power_state'] !== 'on') await delay(5);
  const tookMs = performance.now() - startedAt;
  await client.call('DELETE', path);
  await untilView(client, path, (view) => view['state'] === 'deleted');
  return tookMs;
}

async function timeLibvirt(libvirt: Libvirt, disk: string): Promise<number> {
  const startedAt = performance.now();
  const domain = await libvirt.domains.define(domainXml(disk));
  await libvirt.domains.start(domain);
  const tookMs = performance.now() - startedAt;
  await libvirt.domains.destroy(domain);
  await libvirt.domains.undefine(domain);
  return tookMs;
}

function domainXml(disk: string): string {
  return `<domain type='qemu'>
  <name>floor</name><uuid>${randomUUID()}</uuid><memory unit='MiB'>64</memory><vcpu>1</vcpu>
  <os><type arch='x86_64' machine='q35'>hvm</type></os>
  <devices>
    <emulator>/usr/bin/qemu-system-x86_64</emulator>
    <disk type='file' device='disk'>
      <driver name='qemu' type='qcow2'/><source file='${disk}'/><target dev='vda' bus='virtio'/>
    </disk>
    <serial type='pty'/><video><model type='cirrus'/></video>
    <graphics type='vnc' autoport='yes' listen='127.0.0.1'/>
  </devices>
</domain>`;
}

function median(figures: readonly number[]): number {
  return figures.toSorted((a, b) => a - b)[Math.floor(figures.length / 2)] ?? 0;
}
