import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { codeOf, reasonOf } from '../../../../actors/kernel/errors.ts';
import {
  addressAt,
  broadcastOf,
  contains,
  gatewayOf,
  indexOf,
  isAddress,
  netmaskOf,
  overlaps,
  parseAddress,
  parseNetblock,
} from '../../../../actors/network/netblock.ts';

const test = suite('netblock');

function refusal(text: unknown): string {
  try {
    parseNetblock(text);
  } catch (error) {
    assert.is(codeOf(error), 'network/bad-netblock');
    return reasonOf(error);
  }
  throw new Error(`${String(text)} was accepted`);
}

test('blocks and their special addresses', () => {
  const table: [string, number, string, string, string][] = [
    ['10.20.0.0/24', 256, '10.20.0.1', '10.20.0.255', '255.255.255.0'],
    ['192.168.1.8/29', 8, '192.168.1.9', '192.168.1.15', '255.255.255.248'],
    ['10.0.0.0/8', 2 ** 24, '10.0.0.1', '10.255.255.255', '255.0.0.0'],
    ['172.16.0.0/12', 2 ** 20, '172.16.0.1', '172.31.255.255', '255.240.0.0'],
    ['223.255.255.0/24', 256, '223.255.255.1', '223.255.255.255', '255.255.255.0'],
  ];
  for (const [cidr, size, gateway, broadcast, netmask] of table) {
    const block = parseNetblock(cidr);
    assert.is(block.cidr, cidr);
    assert.is(block.size, size);
    assert.is(gatewayOf(block), gateway);
    assert.is(broadcastOf(block), broadcast);
    assert.is(netmaskOf(block), netmask);
  }
});

test('what is no block is refused with the text that clients know', () => {
  const texts = [
    '',
    ' ',
    '/',
    '10.0.0.0/',
    '/24',
    '10.0.0/24',
    '10.0.0.0.0/24',
    '10.0.0.256/24',
    '010.0.0.0/24',
    '10.0.0.0/024',
    '10.0.0.0/33',
    '10.0.0.0/-1',
    '10.0.0.0/24 ',
    ' 10.0.0.0/24',
    '10.0.0.0/24\n',
    '10.0.0.0/2e1',
    '10.0.0.0/255.255.255.0',
    '0x0a.0.0.0/24',
    '١٠.0.0.0/24',
    'fd00::/64',
    '::/0',
    '10.0.0.1/24',
    '10.0.0.128/24',
    '1/24',
    '10.0.0.0/7',
    '0.0.0.0/0',
    '0.0.0.0/8',
    '127.0.0.0/24',
    '224.0.0.0/24',
    '240.0.0.0/8',
    '255.255.255.0/24',
    undefined,
    null,
    24,
    {},
    ['10.0.0.0/24'],
  ];
  for (const text of texts)
    assert.match(refusal(text), /^cannot parse netblock: /, JSON.stringify(text));
});

test('what is too small is refused with the text that clients know', () => {
  for (const text of ['10.0.0.0/30', '10.0.0.1/32', '10.0.0.1', '10.0.0.0/31']) {
    assert.is(refusal(text), 'network is below minimum size of /29');
  }
});

test('index and address are inverses, and agree with containment, over random blocks', () => {
  let seed = 42;
  const random = (below: number) => {
    seed = (seed * 1_103_515_245 + 12_345) % 2 ** 31;
    return seed % below;
  };
  for (let round = 0; round < 500; round++) {
    const prefix = 8 + random(22);
    const size = 2 ** (32 - prefix);
    const base =
      Math.floor((parseAddress('10.0.0.0') ?? 0) / size) * size +
      random(2 ** Math.max(0, prefix - 8)) * size;
    const octets = [24, 16, 8, 0].map((shift) => Math.floor(base / 2 ** shift) % 256);
    const block = parseNetblock(`${octets.join('.')}/${prefix}`);
    const index = random(size);
    const address = addressAt(block, index);
    assert.ok(isAddress(address));
    assert.is(indexOf(block, address), index);
    assert.ok(contains(block, address));
    assert.is(parseAddress(address), block.base + index);
  }
});

test('outside is outside', () => {
  const block = parseNetblock('10.20.0.0/24');
  for (const address of ['10.19.255.255', '10.20.1.0', '', 'x', '10.20.0.1/24', '10.20.0.01']) {
    assert.not(contains(block, address), address);
    assert.is(indexOf(block, address), undefined);
  }
  for (const index of [-1, 256, 0.5, Number.NaN]) {
    try {
      addressAt(block, index);
      assert.unreachable();
    } catch (error) {
      assert.is(codeOf(error), 'network/address-outside');
    }
  }
});

test('overlap is symmetric and about shared addresses', () => {
  const [a, b, c] = ['10.0.0.0/24', '10.0.0.128/25', '10.0.1.0/24'].map(parseNetblock);
  if (a === undefined || b === undefined || c === undefined) throw new Error('unparsed');
  assert.ok(overlaps(a, b) && overlaps(b, a) && overlaps(a, a));
  assert.not(overlaps(a, c) || overlaps(c, a) || overlaps(b, c));
});

test.run();
