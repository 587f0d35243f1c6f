// Frames of the sf-agent side channel: whatever comes, in whatever pieces.
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import {
  encodePacket,
  MAX_BODY_BYTES,
  PacketReader,
} from '../../../../src/drivers/guest/sf-frame.ts';
import { seededRandom } from '../../../support/kernel.ts';

const test = suite('sf-agent frames');

const ping = { command: 'ping', unique: 'ä1' };

test('a packet is written as the contract has it, in ASCII', () => {
  const text = encodePacket(ping).toString();
  assert.is(text, '*SFv001*[00000037]{"command":"ping","unique":"\\u00e41"}');
});

test('packets come in any pieces, with noise between them', () => {
  const stream = Buffer.concat([
    Buffer.from('login: *SF*SFv0'),
    encodePacket(ping),
    Buffer.from('*SFv001*[x]*SFv001*[99999999]'),
    encodePacket({ command: 'a' }),
    encodePacket({ command: 'b' }),
  ]);
  for (let seed = 1; seed <= 200; seed++) {
    const random = seededRandom(seed);
    const reader = new PacketReader();
    const seen: unknown[] = [];
    for (let at = 0; at < stream.length;) {
      const size = 1 + Math.floor(random.number() * 40);
      seen.push(...reader.push(stream.subarray(at, at + size)));
      at += size;
    }
    assert.equal(seen, [ping, { command: 'a' }, { command: 'b' }], `seed ${seed}`);
  }
});

test('a length of fewer digits is read as well', () => {
  const reader = new PacketReader();
  assert.equal(reader.push(Buffer.from('*SFv001*[15]{"command":"x"}')), [{ command: 'x' }]);
});

test('a body that is no JSON object with a command is skipped, and what follows is read', () => {
  for (const body of ['null', '[1]', '"x"', '{', '{"command":7}', '\xff\xfe', '']) {
    const reader = new PacketReader();
    const bytes = Buffer.from(body, 'latin1');
    const frame = Buffer.concat([Buffer.from(`*SFv001*[${bytes.length}]`), bytes]);
    assert.equal(reader.push(Buffer.concat([frame, encodePacket(ping)])), [ping], body);
  }
});

test('a body that is too long is not waited for', () => {
  const reader = new PacketReader();
  reader.push(Buffer.from(`*SFv001*[${MAX_BODY_BYTES + 1}]`));
  assert.equal(reader.push(encodePacket(ping)), [ping]);
});

test('noise without end is not kept', () => {
  const reader = new PacketReader();
  for (let round = 0; round < 100; round++) reader.push(Buffer.alloc(65_536, '*SFv'));
  assert.equal(reader.push(encodePacket(ping)), [ping]);
});

test.run();
