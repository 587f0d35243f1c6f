import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { encodeFrame, FrameReader, REMOTE_PROGRAM } from '../../../../src/drivers/libvirt/frame.ts';
import type { Frame } from '../../../../src/drivers/libvirt/frame.ts';
import { seeded } from './seeded.ts';

const test = suite('frame');

function frame(serial: number, payload = Buffer.from('abcd')): Omit<Frame, 'version'> {
  return { program: REMOTE_PROGRAM, procedure: 1, type: 'call', serial, status: 'ok', payload };
}

test('a call is length, program, version, procedure, type, serial, status, payload', () => {
  const expected = '00000020' + '20008086' + '00000001' + '00000001' + '00000000' + '00000007';
  assert.is(encodeFrame(frame(7)).toString('hex'), `${expected}0000000061626364`);
});

test('type and status are numbered as in virnetprotocol', () => {
  const bytes = encodeFrame({ ...frame(1), type: 'stream', status: 'continue' });
  assert.is(bytes.readUInt32BE(16), 3);
  assert.is(bytes.readUInt32BE(24), 2);
});

test('frames come out whole however the bytes are cut', () => {
  const random = seeded(4);
  const sent = Array.from({ length: 200 }, (_, index) =>
    frame(index + 1, Buffer.alloc(random.below(300), index)),
  );
  const bytes = Buffer.concat(sent.map(encodeFrame));
  const reader = new FrameReader();
  const got: Frame[] = [];
  for (let at = 0; at < bytes.length;) {
    const size = 1 + random.below(100);
    const pushed = reader.push(bytes.subarray(at, at + size));
    assert.is(pushed.malformed, undefined);
    got.push(...pushed.frames);
    at += size;
  }
  assert.equal(
    got,
    sent.map((each) => ({ ...each, version: 1 })),
  );
});

test('a length below the header or above the limit is malformed, before the frame is collected', () => {
  for (const length of [0, 4, 27, 1001, 0xffff_ffff]) {
    const head = Buffer.alloc(4);
    head.writeUInt32BE(length);
    const { frames, malformed } = new FrameReader(1000).push(head);
    assert.equal(frames, []);
    assert.is(malformed, `a frame of ${length} bytes`);
  }
});

test('frames before a malformed one are still delivered', () => {
  const bytes = Buffer.concat([encodeFrame(frame(1)), Buffer.from('00000000', 'hex')]);
  const { frames, malformed } = new FrameReader().push(bytes);
  assert.is(frames.length, 1);
  assert.ok(malformed);
});

test('an unknown type or status is malformed', () => {
  const type = encodeFrame(frame(1));
  type.writeUInt32BE(9, 16);
  assert.is(new FrameReader().push(type).malformed, 'a frame of type 9');
  const status = encodeFrame(frame(1));
  status.writeUInt32BE(3, 24);
  assert.is(new FrameReader().push(status).malformed, 'a frame with status 3');
});

test('a large frame in small pieces is collected in time linear in its size', () => {
  const big = encodeFrame(frame(1, Buffer.alloc(24 * 1024 * 1024, 1)));
  const reader = new FrameReader();
  const startedAt = performance.now();
  let frames = 0;
  for (let at = 0; at < big.length; at += 4096) {
    frames += reader.push(big.subarray(at, at + 4096)).frames.length;
  }
  assert.is(frames, 1);
  // Joining at every piece would copy 72 GB here.
  assert.ok(performance.now() - startedAt < 5000);
});

test.run();
