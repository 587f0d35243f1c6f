// From the API request to a running QEMU, against libvirt's own define and start of a like domain on the same libvirtd.
//
// Starts a daemon of its own. The floor's domain has a disk and consoles as ours has; ours also makes the disk, the config
// drive, and a dozen durable writes.
import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { Client } from '../../src/client/client.ts';
import { exec } from '../../src/drivers/exec.ts';
import { connectLibvirt, type Libvirt } from '../../src/drivers/libvirt/client.ts';
import { clientOf, daemonInstallation, serveDaemon, untilView } from '../support/daemon.ts';
import type { Report } from './row.ts';

const ROUNDS = 5;

export async function bench(report: Report): Promise<void> {
  const installation = await daemonInstallation();
  const daemon = await serveDaemon(installation, ['--no-tour']);
  try {
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
