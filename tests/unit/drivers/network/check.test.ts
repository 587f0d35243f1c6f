import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { codeOf } from '../../../../actors/kernel/errors.ts';
import type { SegmentSpec } from '../../../../actors/network/ports.ts';
import {
  checkSegment,
  checkTag,
  checkTap,
  printable,
} from '../../../../src/drivers/network/check.ts';
import { bridgeTable, routerTable } from '../../../../src/drivers/network/rules-segment.ts';
import { hostTable } from '../../../../src/drivers/network/rules-host.ts';
import { planHostLinks } from '../../../../src/drivers/network/segment-links.ts';
import { port, spec, wanted } from './fixtures.ts';

const test = suite('network driver: what is accepted');

/** Things that mean something to ip (batch lines), nft, dnsmasq, hosts files or a path. */
const HOSTILE = [
  '',
  ' ',
  'a b',
  'a\nb',
  'a;b',
  'a"b',
  "a'b",
  'a{b',
  'a,b',
  'a#b',
  'a/b',
  '../a',
  '$(a)',
  'a\0b',
  '-a',
  'ä',
  'a'.repeat(300),
];

function refuses(more: Partial<SegmentSpec>, what: string): void {
  try {
    checkSegment(spec(more));
  } catch (error) {
    assert.ok(['actor/bad-message', 'network/bad-netblock'].includes(codeOf(error)), what);
    return;
  }
  assert.unreachable(`accepted: ${what}`);
}

test('a proper segment passes, with its MACs in lower case', () => {
  const loud = spec({
    gatewayMac: '02:00:5E:00:00:01',
    ports: [port(11, { mac: '02:00:00:AB:CD:EF' })],
  });
  const checked = checkSegment(loud);
  assert.is(checked.gatewayMac, '02:00:5e:00:00:01');
  assert.is(checked.ports[0]?.mac, '02:00:00:ab:cd:ef');
  assert.equal(checkSegment(spec()), spec());
  checkSegment(spec({ domain: 'team_one.cloud' }));
  checkSegment(
    spec({ ports: [port(11, { ipv4: null }), port(12, { ipv4: null })], egressAddress: null }),
  );
});

test('hostile text is refused in every field that reaches a tool', () => {
  const fields = [
    'networkId',
    'netblock',
    'gateway',
    'gatewayMac',
    'domain',
    'upstreamDns',
    'egressAddress',
    'floatingBlock',
  ] as const;
  const portFields = ['interfaceId', 'mac', 'ipv4', 'hostname', 'floating'] as const;
  for (const text of HOSTILE) {
    for (const field of fields) refuses({ [field]: text }, `${field} ${text}`);
    for (const field of portFields)
      refuses({ ports: [port(11, { [field]: text })] }, `${field} ${text}`);
    refuses({ peers: [{ node: 'n2', vtep: text }] }, `vtep ${text}`);
    refuses({ routed: [text] }, `routed ${text}`);
    refuses({ dnsEntries: [{ name: text, address: '10.20.0.9' }] }, `DNS name ${text}`);
    refuses({ dnsEntries: [{ name: 'www', address: text }] }, `DNS address ${text}`);
  }
});

test('values that are well formed and wrong are refused', () => {
  refuses({ gateway: '10.20.0.2' }, 'a gateway that is not index 1');
  refuses({ vni: 2 ** 24 }, 'a VNI of 25 bits');
  refuses({ vni: 1.5 }, 'half a VNI');
  refuses({ vni: 0 }, 'the VNI of nobody');
  refuses({ upstreamDns: '127.0.0.53' }, 'a resolver that only the host itself can reach');
  refuses({ gatewayMac: '01:00:5e:00:00:01' }, 'a multicast MAC');
  refuses({ ports: [port(11, { mac: 'ff:ff:ff:ff:ff:ff' })] }, 'the broadcast MAC');
  refuses({ ports: [port(11, { mac: '00:00:00:00:00:00' })] }, 'no MAC');
  refuses({ ports: [port(11, { ipv4: '10.21.0.11' })] }, 'an address outside the netblock');
  refuses({ ports: [port(11), port(12, { ipv4: '10.20.0.11' })] }, 'an address twice');
  refuses({ ports: [port(1)] }, "the gateway's address");
  refuses({ routed: ['10.20.0.9'] }, 'a routed address outside the floating block');
  refuses({ routed: ['192.168.20.9', '192.168.20.9'] }, 'a routed address twice');
  refuses({ dnsEntries: [{ name: '10.20.0.9', address: '10.20.0.9' }] }, 'an address as a name');
});

test('taps and tags likewise', () => {
  const tap = { interfaceId: port(11).interfaceId, networkId: spec().networkId, mac: port(11).mac };
  assert.equal(checkTap(tap), tap);
  for (const text of HOSTILE) {
    for (const field of ['interfaceId', 'networkId', 'mac'] as const) {
      assert.throws(() => checkTap({ ...tap, [field]: text }), 'does not accept');
    }
    assert.throws(() => checkTag(text), 'does not accept');
  }
});

test('owner and trace cannot leave the comment or alias they stand in', () => {
  const hostile = 'x"\n} table ip evil { chain c { } } #\\';
  assert.match(printable(hostile), /^[A-Za-z0-9._/-]{1,80}$/);
  const all = wanted({}, { owner: hostile, trace: hostile });
  const tables = [
    bridgeTable(all),
    routerTable(all),
    hostTable({
      hostTag: 'a1b2',
      vxlanPort: 4789,
      floatingBlock: null,
      resolvers: [],
      trace: hostile,
    }),
  ];
  for (const { comment, body } of tables) {
    assert.match(comment, /^[A-Za-z0-9._/-]+ trace=[A-Za-z0-9._/-]+$/);
    assert.not(body.includes('evil'), 'it stands in the comment only');
  }
  for (const { step } of planHostLinks(all, new Map())) {
    for (const line of step.tool === 'ip' ? step.lines : [])
      assert.match(line, /^[a-z0-9A-Z._/ :"=-]+$/);
  }
});

test.run();
