// The small guest (deploy/guest) on plain QEMU under TCG: what it promises to the drivers, the tour
// and the lab. Building needs Debian's packages once; they are cached.
import { execFile } from 'node:child_process';
import { readFileSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { rejects } from 'node:assert/strict';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { Machine, makeFolder, type DriveFiles, type MachineOptions } from './guest-machine.ts';

const run = promisify(execFile);
const test = suite('guest');
const sources = join(import.meta.dirname, '../../deploy/guest');
const folder = makeFolder();
const image = join(folder, 'guest.qcow2');
const key = join(folder, 'key');
const mac = '02:00:00:4e:91:0b';
const silentMac = '02:00:00:4e:91:0c';
const machines: Machine[] = [];

test.before(async () => {
  await run('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', key]);
  await run(join(sources, 'build.sh'), [image]);
});

test.after(async () => {
  await Promise.all(machines.map((machine) => machine.kill()));
  rmSync(folder, { recursive: true, force: true });
});

function drive(name: string, userData: string): DriveFiles {
  return {
    'meta_data.json': JSON.stringify({
      uuid: `11111111-2222-4333-8444-${mac.replaceAll(':', '')}`,
      name,
      hostname: `${name}.local`,
      public_keys: { mykey: readFileSync(`${key}.pub`, 'utf8').trim() },
      random_seed: Buffer.alloc(512, 7).toString('base64'),
    }),
    'network_data.json': JSON.stringify({
      links: [link('eth0', mac), link('eth1', silentMac)],
      networks: [address('eth0', '10.9.9.9'), address('eth1', '10.20.0.57', '10.20.0.1')],
      services: [{ type: 'dns', address: '10.20.0.1' }],
    }),
    user_data: userData,
  };
}

function link(id: string, ethernetMAC: string) {
  return { id, name: id, type: 'vif', ethernet_mac_address: ethernetMAC, mtu: 1400 };
}

function address(linkID: string, ipv4: string, gateway?: string) {
  const routes =
    gateway === undefined ? [] : [{ network: '10.30.0.0', netmask: '255.255.0.0', gateway }];
  return { link: linkID, type: 'ipv4', ip_address: ipv4, netmask: '255.255.255.0', routes };
}

async function start(name: string, options: Omit<MachineOptions, 'image' | 'mac'>) {
  const machine = await Machine.start(folder, name, { ...options, image, mac });
  machines.push(machine);
  return machine;
}

test('is built below 64 MiB, and not again when nothing changed', async () => {
  const before = statSync(image);
  assert.ok(before.size < 64 * 2 ** 20, `${before.size} bytes`);
  await run(join(sources, 'build.sh'), [image]);
  assert.is(statSync(image).mtimeMs, before.mtimeMs);
});

test('under BIOS: obeys the config drive, keeps its disk over a reboot, obeys the power button', async () => {
  const script = '#!/bin/sh\nhostname >>/root/script-ran\nexit 3\n';
  const machine = await start('bios', {
    type: 'q35',
    firmware: 'bios',
    diskSize: '1G',
    drive: drive('web-1', script),
  });
  await machine.shows(/troupe-guest: address 10\.0\.2\.15\/24 on eth0 by dhcp/);
  await machine.shows(/troupe-guest: ready/);
  await machine.shows(/user data finished with exit code 3/);
  const facts = await machine.ssh(key, 'hostname; cat /sys/class/net/eth0/mtu; cat script-ran');
  assert.is(facts, 'web-1\n1400\nweb-1');
  const mebibytes = Number(await machine.ssh(key, "df -m / | awk 'NR == 2 { print $2 }'"));
  assert.ok(mebibytes > 900, `${mebibytes} MiB on a disk of 1 GiB`);

  await machine.ssh(key, 'echo kept >note; reboot');
  await machine.shows(/troupe-guest: ready/, 2);
  // The script runs once per instance, and ssh compares the server's key with the one seen before.
  assert.is(await machine.ssh(key, 'cat note script-ran'), 'kept\nweb-1');

  await machine.monitor('system_powerdown');
  await machine.ends();
  assert.match(machine.console(), /power button pressed/);
});

test("under UEFI: takes the drive's address where no DHCP answers; its agent works", async () => {
  const machine = await start('uefi', {
    type: 'q35',
    firmware: 'uefi',
    silentMac,
    drive: drive('db-1', '#cloud-config\npackages: [x]\n'),
  });
  await machine.shows(/troupe-guest: address 10\.20\.0\.57\/24 on eth1 by config drive/);
  await machine.shows(/#cloud-config is ignored/);
  assert.match(await machine.ssh(key, 'ip route'), /10\.30\.0\.0\/16 via 10\.20\.0\.1 dev eth1/);

  await machine.agent('guest-ping');
  assert.is(await machine.agent('guest-fsfreeze-freeze'), 1);
  assert.is(await machine.agent('guest-fsfreeze-thaw'), 1);
  const written = { path: '/bin/sh', arg: ['-c', 'echo by agent >/tmp/x'], 'capture-output': true };
  await machine.agent('guest-exec', written);
  const handle = await machine.agent('guest-file-open', { path: '/etc/hosts', mode: 'r' });
  const read = await machine.agent('guest-file-read', { handle });
  assert.match(decoded(read), /127\.0\.1\.1 db-1\.local db-1/);
  assert.is(await machine.ssh(key, 'cat /tmp/x'), 'by agent');

  // The agent answers this command only when it fails.
  void machine.agent('guest-shutdown').catch(() => undefined);
  await machine.ends();
});

function decoded(reply: unknown): string {
  if (typeof reply !== 'object' || reply === null || !('buf-b64' in reply)) return '';
  return Buffer.from(String(reply['buf-b64']), 'base64').toString();
}

test('on i440fx without a config drive: DHCP, also for an interface plugged in later; no login', async () => {
  const machine = await start('bare', { type: 'pc', firmware: 'bios' });
  await machine.shows(/no config drive/);
  await machine.shows(/troupe-guest: address 10\.0\.2\.15\/24 on eth0 by dhcp/);
  await machine.shows(/troupe-guest: ready/);
  await rejects(machine.ssh(key, 'true'), /Permission denied \(publickey\)/);

  await machine.monitor('netdev_add', { type: 'user', id: 'net1', net: '10.77.0.0/24' });
  await machine.monitor('device_add', { driver: 'virtio-net-pci', netdev: 'net1', id: 'nic1' });
  await machine.shows(/troupe-guest: address 10\.77\.0\.15\/24 on eth1 by dhcp/);
  await machine.kill();
});

test('under secure boot: its boot loader and kernel are accepted', async () => {
  const machine = await start('secure', {
    type: 'q35',
    firmware: 'secure-boot',
    drive: drive('safe-1', ''),
  });
  await machine.shows(/troupe-guest: ready/);
  assert.match(await machine.ssh(key, 'dmesg'), /secureboot: Secure boot enabled/);
  await machine.kill();
});

test('the probe reaches user space, says so and powers off', async () => {
  const probe = join(folder, 'probe');
  await run(join(sources, 'build-probe.sh'), [probe]);
  const options = [
    '-machine q35 -accel tcg -cpu max -m 128 -nodefaults -no-reboot -display none -serial stdio',
    `-kernel ${probe}/vmlinuz -initrd ${probe}/initrd`,
  ].flatMap((line) => line.split(' '));
  const { stdout } = await run(
    'setpriv',
    [
      '--pdeathsig',
      'KILL',
      'qemu-system-x86_64',
      ...options,
      '-append',
      'console=ttyS0 quiet panic=-1',
    ],
    { timeout: 30_000 },
  );
  assert.match(stdout, /troupe-probe: user space reached on QEMU TCG CPU/);
});

test.run();
