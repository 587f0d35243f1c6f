import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import {
  bridgeMac,
  egressMac,
  installationNames,
  isOurs,
  segmentNames,
  tapName,
} from '../../../../src/drivers/network/names.ts';

const test = suite('network driver: names');
const id = 'a5b2f0d4-77f1-4d37-8a43-0a6d1cbb9b02';

test('device names fit the kernel, carry the tag, and are told from those of others', () => {
  const { bridgeTable, namespace, ...devices } = segmentNames('a1b2', 0xff_ff_ff);
  const { egressBridge, table } = installationNames('a1b2');
  const links = [
    ...Object.values(devices),
    egressBridge,
    tapName('a1b2', id, 0),
    tapName('a1b2', id, 24),
  ];
  for (const name of links) assert.ok(name.length <= 15, name);
  for (const name of [...links, bridgeTable, namespace, table]) {
    assert.ok(isOurs('a1b2', name), name);
    assert.not(isOurs('a1b3', name), name);
    assert.not(isOurs('a1b2', `${name}0`), name);
  }
  for (const name of ['br-lan', 'docker0', 'virbr0', 'tap0', 'eth0', 'filter', ''])
    assert.not(isOurs('a1b2', name), name);
});

test('a tap of another interface with the same first digits gets other digits', () => {
  const twin = 'a5b2f0d4-0000-4d37-8a43-0a6d1cbb9b02';
  assert.is(tapName('a1b2', id, 0), tapName('a1b2', twin, 0));
  assert.is.not(tapName('a1b2', id, 1), tapName('a1b2', twin, 1));
});

test('derived MACs are local, unicast, and differ by tag, VNI and use', () => {
  const macs = [
    bridgeMac('a1b2', 1),
    bridgeMac('a1b2', 2),
    bridgeMac('a1b3', 1),
    egressMac('a1b2', 1),
    egressMac('a1b2', 2),
  ];
  assert.is(new Set(macs).size, macs.length);
  assert.is(bridgeMac('a1b2', 0x01_02_03), '06:a1:b2:01:02:03');
  for (const mac of macs) {
    assert.match(mac, /^([0-9a-f]{2}:){5}[0-9a-f]{2}$/);
    assert.is(Number.parseInt(mac.slice(0, 2), 16) & 3, 2);
  }
});

test.run();
