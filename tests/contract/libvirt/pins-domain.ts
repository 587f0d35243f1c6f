// Pins for procedures-domain.ts.
import * as assert from 'uvu/assert';
import { buildMetadataXml } from '../../../src/drivers/libvirt/domain-metadata.ts';
import { METADATA_PREFIX, METADATA_URI } from '../../../src/drivers/libvirt/domain-metadata.ts';
import { buildDomainXml, readDomainXml } from '../../../src/drivers/libvirt/domain-xml.ts';
import { PROCEDURES as P } from '../../../src/drivers/libvirt/procedures.ts';
import type { domainProcedures } from '../../../src/drivers/libvirt/procedures-domain.ts';
import type { DomainRef } from '../../../src/drivers/libvirt/wire.ts';
import { tinySpec } from './domains.ts';
import { refusal, secondDisk, type Pins } from './pinning.ts';

/** One check per procedure, by its key in the table, in the order they are run. */
export const domainPins: Pins<typeof domainProcedures> = {
  async domainDefineXmlFlags({ connection, daemon }) {
    const spec = tinySpec();
    const args = { xml: buildDomainXml(spec), flags: 1 };
    const { domain } = await connection.call(P.domainDefineXmlFlags, args);
    assert.equal(domain, { name: spec.name, uuid: spec.uuid, id: -1 });
    assert.is(daemon.virsh('domuuid', spec.name).trim(), spec.uuid);
    await connection.call(P.domainUndefineFlags, { domain, flags: 0 });
  },
  async domainUndefineFlags({ connection, daemon }) {
    const { domain } = await connection.call(P.domainDefineXmlFlags, {
      xml: buildDomainXml(tinySpec()),
      flags: 0,
    });
    await connection.call(P.domainUndefineFlags, { domain, flags: 1 | 2 | 4 | 16 });
    assert.not.match(daemon.virsh('list', '--all', '--uuid'), domain.uuid);
  },
  async domainLookupByUuid({ connection, idle }) {
    const { domain } = await connection.call(P.domainLookupByUuid, { uuid: idle.uuid });
    assert.equal(domain, idle);
    const uuid = '00000000-0000-4000-8000-000000000000';
    await refusal(connection.call(P.domainLookupByUuid, { uuid }), 'no-domain', 42);
  },
  async domainLookupByName({ connection, idle }) {
    const { domain } = await connection.call(P.domainLookupByName, { name: idle.name });
    assert.equal(domain, idle);
    await refusal(connection.call(P.domainLookupByName, { name: 'nobody' }), 'no-domain', 42);
  },
  async domainGetXmlDesc({ connection, daemon, running }) {
    const { xml } = await connection.call(P.domainGetXmlDesc, { domain: running, flags: 0 });
    assert.is(xml.trim(), daemon.virsh('dumpxml', running.uuid).trim());
  },
  async domainGetState({ connection, idle, running }) {
    const state = (domain: DomainRef) => connection.call(P.domainGetState, { domain, flags: 0 });
    assert.equal(await state(running), { state: 1, reason: 1 });
    assert.is((await state(idle)).state, 5);
  },
  async domainGetInfo({ connection, running }) {
    const { cpuTimeNs, ...info } = await connection.call(P.domainGetInfo, { domain: running });
    assert.equal(info, { state: 1, maxMemoryKiB: 32_768, memoryKiB: 32_768, vcpus: 1 });
    assert.ok(cpuTimeNs > 0n);
  },
  async domainMemoryStats({ connection, running }) {
    const args = { domain: running, maxStats: 16, flags: 0 };
    const { stats } = await connection.call(P.domainMemoryStats, args);
    assert.ok(stats.some(({ tag, value }) => tag === 7 && value > 1000n));
  },
  async domainCreateWithFlags({ connection, daemon, idle }) {
    const { domain } = await connection.call(P.domainCreateWithFlags, { domain: idle, flags: 1 });
    assert.ok(domain.id > 0);
    assert.is(daemon.virsh('domstate', idle.uuid).trim(), 'paused');
  },
  async domainDestroyFlags({ connection, daemon, idle }) {
    await connection.call(P.domainDestroyFlags, { domain: idle, flags: 0 });
    assert.is(daemon.virsh('domstate', idle.uuid).trim(), 'shut off');
    const again = connection.call(P.domainDestroyFlags, { domain: idle, flags: 0 });
    await refusal(again, 'operation-invalid', 55);
  },
  async domainSuspend({ connection, daemon, running }) {
    await connection.call(P.domainSuspend, { domain: running });
    assert.is(daemon.virsh('domstate', running.uuid).trim(), 'paused');
  },
  async domainResume({ connection, daemon, running }) {
    await connection.call(P.domainResume, { domain: running });
    assert.is(daemon.virsh('domstate', running.uuid).trim(), 'running');
  },
  async domainReset({ connection, running }) {
    await connection.call(P.domainReset, { domain: running, flags: 0 });
  },
  async domainReboot({ connection, running, idle }) {
    await connection.call(P.domainReboot, { domain: running, flags: 1 });
    const stopped = connection.call(P.domainReboot, { domain: idle, flags: 1 });
    await refusal(stopped, 'operation-invalid', 55);
  },
  async domainShutdownFlags({ connection, running }) {
    // By ACPI: nobody listens in the firmware, so it is asked and the domain stays.
    await connection.call(P.domainShutdownFlags, { domain: running, flags: 1 });
    const byAgent = connection.call(P.domainShutdownFlags, { domain: running, flags: 2 });
    await refusal(byAgent, 'agent-unresponsive', 86);
  },
  async domainSetAutostart({ connection, daemon, idle }) {
    const shown = () => /Autostart: +(\w+)/.exec(daemon.virsh('dominfo', idle.uuid))?.[1];
    await connection.call(P.domainSetAutostart, { domain: idle, autostart: true });
    assert.is(shown(), 'enable');
    await connection.call(P.domainSetAutostart, { domain: idle, autostart: false });
    assert.is(shown(), 'disable');
  },
  async domainSetMetadata({ connection, running }) {
    const metadata = buildMetadataXml({ instance: 'i', generation: '2' });
    await connection.call(P.domainSetMetadata, {
      domain: running,
      type: 2,
      metadata,
      key: METADATA_PREFIX,
      uri: METADATA_URI,
      flags: 1,
    });
    const { xml } = await connection.call(P.domainGetXmlDesc, { domain: running, flags: 0 });
    assert.equal(readDomainXml(xml).metadata, { instance: 'i', generation: '2' });
  },
  async domainAttachDeviceFlags({ connection, daemon, running }) {
    const args = { domain: running, xml: secondDisk(daemon), flags: 1 };
    await connection.call(P.domainAttachDeviceFlags, args);
    assert.match(daemon.virsh('domblklist', running.uuid), 'vdb');
    await refusal(connection.call(P.domainAttachDeviceFlags, args), 'xml-error', 27);
  },
  async domainUpdateDeviceFlags({ connection, daemon, running }) {
    const card = `<interface type='user'><mac address='52:54:00:00:00:99'/><model type='virtio'/>`;
    const link = (state: string) => ({
      domain: running,
      flags: 1,
      xml: `${card}<link state='${state}'/></interface>`,
    });
    await connection.call(P.domainAttachDeviceFlags, link('up'));
    await connection.call(P.domainUpdateDeviceFlags, link('down'));
    const shown = daemon.virsh('domif-getlink', running.uuid, '52:54:00:00:00:99');
    assert.match(shown, 'down');
  },
  async domainDetachDeviceFlags({ connection, daemon, running }) {
    // The firmware does not give the device up, so being asked is all that can be seen here.
    const args = { domain: running, xml: secondDisk(daemon), flags: 1 };
    await connection.call(P.domainDetachDeviceFlags, args);
    const absent = { ...args, xml: secondDisk(daemon).replaceAll('vdb', 'vdz') };
    await refusal(connection.call(P.domainDetachDeviceFlags, absent), 'device-missing', 99);
  },
};
