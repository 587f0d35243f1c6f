import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { serviceWanted } from '../../../../src/drivers/network/dnsmasq-config.ts';
import { port, spec, wanted } from './fixtures.ts';

const test = suite('network driver: dnsmasq settings');

function linesOf(more: Parameters<typeof wanted>[0]): string[] {
  return serviceWanted(wanted(more))?.settings.split('\n') ?? [];
}

test('neither DHCP nor DNS: no service', () => {
  assert.is(serviceWanted(wanted({ dhcp: false, dns: false })), null);
});

test("the resolver guests are told: the router, else the deployment's if there is NAT, else none", () => {
  assert.ok(linesOf({}).includes('dhcp-option=option:dns-server,10.20.0.1'));
  assert.ok(linesOf({ dns: false }).includes('dhcp-option=option:dns-server,10.9.0.9'));
  assert.ok(linesOf({ dns: false, egressAddress: null }).includes('dhcp-option=option:dns-server'));
  assert.ok(linesOf({ dns: false }).includes('port=0'));
});

test('queries are forwarded only where there is a way out', () => {
  assert.ok(linesOf({}).includes('server=10.9.0.9'));
  assert.not(linesOf({ egressAddress: null }).some((line) => line.startsWith('server=')));
});

test('only ports with an address are served, in a stable order', () => {
  const ports = [port(12), port(11), port(13, { ipv4: null })];
  const service = serviceWanted(wanted({ ports }));
  assert.is(
    service?.hosts,
    '02:00:00:00:00:11,10.20.0.11,guest11,1h\n02:00:00:00:00:12,10.20.0.12,guest12,1h\n',
  );
  assert.is(
    service?.names,
    '10.20.0.11 guest11.lab.troupe guest11\n10.20.0.12 guest12.lab.troupe guest12\n',
  );
  assert.is(serviceWanted(wanted({ ports: [...ports].reverse() }))?.hosts, service?.hosts);
});

test('a name without dots is also one of the domain; a dotted one stands for itself', () => {
  const dnsEntries = [
    { name: 'www', address: '10.20.0.99' },
    { name: 'a.example', address: '203.0.113.9' },
  ];
  const service = serviceWanted(wanted({ ports: [], dnsEntries }));
  assert.is(service?.names, '10.20.0.99 www.lab.troupe www\n203.0.113.9 a.example\n');
});

test('other ports leave the settings file alone; other settings have a file of another name', () => {
  const file = (more: Parameters<typeof wanted>[0]) => serviceWanted(wanted(more))?.settingsFile;
  assert.is(file({ ports: [] }), file({}));
  assert.is.not(file({ domain: 'other' }), file({}));
  assert.ok(file({})?.startsWith(`/run/troupe/network/${spec().networkId}/dnsmasq-`));
});

test.run();
