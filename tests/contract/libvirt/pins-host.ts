// Pins for procedures-host.ts.
import { readFileSync } from 'node:fs';
import * as assert from 'uvu/assert';
import { PROCEDURES as P } from '../../../src/drivers/libvirt/procedures.ts';
import type { hostProcedures } from '../../../src/drivers/libvirt/procedures-host.ts';
import { dotted, refusal, type Pins } from './pinning.ts';

/** One check per procedure, by its key in the table, in the order they are run. */
export const hostPins: Pins<typeof hostProcedures> = {
  async authList({ connection }) {
    assert.equal(await connection.call(P.authList, undefined), { types: [0] });
  },
  async connectOpen({ dial }) {
    const connection = await dial();
    const wrong = connection.call(P.connectOpen, { uri: 'nonsense:///system', flags: 0 });
    await refusal(wrong, 'no-connect', 5);
    await connection.call(P.connectOpen, { uri: 'qemu:///system', flags: 0 });
    // libvirtd drops the session of a client that opens twice.
    const again = connection.call(P.connectOpen, { uri: 'qemu:///system', flags: 0 });
    await refusal(again, 'internal-error', 1);
    await refusal(connection.call(P.connectGetHostname, undefined), 'internal-error', 1);
  },
  async connectSupportsFeature({ connection }) {
    const ask = (feature: number) => connection.call(P.connectSupportsFeature, { feature });
    assert.equal(await ask(10), { supported: true });
    assert.equal(await ask(999), { supported: false });
  },
  async connectGetType({ connection }) {
    assert.equal(await connection.call(P.connectGetType, undefined), { type: 'QEMU' });
  },
  async connectGetVersion({ connection, daemon }) {
    const { version } = await connection.call(P.connectGetVersion, undefined);
    assert.match(daemon.virsh('version'), `hypervisor: QEMU ${dotted(version)}`);
  },
  async connectGetLibVersion({ connection, daemon }) {
    const { version } = await connection.call(P.connectGetLibVersion, undefined);
    assert.match(daemon.virsh('version', '--daemon'), `daemon: ${dotted(version)}`);
  },
  async connectGetHostname({ connection, daemon }) {
    const { hostname } = await connection.call(P.connectGetHostname, undefined);
    assert.is(hostname, daemon.virsh('hostname').trim());
  },
  async connectGetCapabilities({ connection, daemon }) {
    const { xml } = await connection.call(P.connectGetCapabilities, undefined);
    assert.is(xml.trim(), daemon.virsh('capabilities').trim());
  },
  async connectGetDomainCapabilities({ connection, daemon }) {
    const about = { emulator: null, arch: 'x86_64', machine: 'q35', type: 'qemu', flags: 0 };
    const { xml } = await connection.call(P.connectGetDomainCapabilities, about);
    const words = ['domcapabilities', '--arch', 'x86_64', '--machine', 'q35', '--virttype', 'qemu'];
    assert.is(xml.trim(), daemon.virsh(...words).trim());
  },
  async connectGetCpuModelNames({ connection, daemon }) {
    const args = { arch: 'x86_64', needResults: true, flags: 0 };
    const { models, count } = await connection.call(P.connectGetCpuModelNames, args);
    assert.is(count, models.length);
    assert.equal(models, daemon.virsh('cpu-models', 'x86_64').trim().split('\n'));
  },
  async nodeGetInfo({ connection, daemon }) {
    const info = await connection.call(P.nodeGetInfo, undefined);
    const shown = daemon.virsh('nodeinfo');
    assert.match(shown, new RegExp(`CPU\\(s\\): +${info.cpus}\n`));
    assert.match(shown, new RegExp(`Memory size: +${info.memoryKiB} KiB`));
    assert.match(shown, new RegExp(`Thread\\(s\\) per core: +${info.threads}\n`));
  },
  async nodeGetMemoryStats({ connection }) {
    const args = { maxStats: 4, cell: -1, flags: 0 };
    const { stats } = await connection.call(P.nodeGetMemoryStats, args);
    const total = stats.find(({ field }) => field === 'total')?.valueKiB;
    const known = /MemTotal: +(\d+) kB/.exec(readFileSync('/proc/meminfo', 'utf8'))?.[1];
    assert.is(total, Number(known));
  },
  async connectListAllDomains({ connection, idle, running }) {
    const args = { needResults: true, flags: 0 };
    const { domains, count } = await connection.call(P.connectListAllDomains, args);
    assert.is(count, domains.length);
    const uuids = domains.map(({ uuid }) => uuid);
    assert.ok(uuids.includes(idle.uuid) && uuids.includes(running.uuid));
    const active = await connection.call(P.connectListAllDomains, { ...args, flags: 1 });
    assert.not(active.domains.some(({ uuid }) => uuid === idle.uuid));
  },
  async connectGetAllDomainStats({ connection, running }) {
    const args = { domains: [running], groups: 0, flags: 0 };
    const { records } = await connection.call(P.connectGetAllDomainStats, args);
    assert.is(records.length, 1);
    const params = new Map(records[0]?.params.map(({ field, value }) => [field, value]));
    assert.is(params.get('state.state'), 1);
    assert.is(params.get('block.count'), 1);
    assert.is(params.get('block.0.name'), 'vda');
    assert.is(typeof params.get('cpu.time'), 'bigint');
  },
  async connectDomainEventCallbackRegisterAny({ connection }) {
    const args = { eventId: 0, domain: null };
    const reply = await connection.call(P.connectDomainEventCallbackRegisterAny, args);
    assert.ok(reply.callbackId >= 0);
    await connection.call(P.connectDomainEventCallbackDeregisterAny, reply);
  },
  async connectDomainEventCallbackDeregisterAny({ connection }) {
    const unknown = { callbackId: 12_345 };
    const call = connection.call(P.connectDomainEventCallbackDeregisterAny, unknown);
    await refusal(call, 'internal-error', 1);
  },
  async connectClose({ session }) {
    const connection = await session();
    await connection.call(P.connectClose, undefined);
    connection.close();
  },
};
