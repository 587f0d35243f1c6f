import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { TroupeError } from '../../../../actors/kernel/errors.ts';
import {
  isCleanQcow2,
  readQcow2Header,
  refuseQcow2,
} from '../../../../src/drivers/image/qcow2-header.ts';
import { refuseVdi } from '../../../../src/drivers/image/vdi-header.ts';
import { refuseVmdk } from '../../../../src/drivers/image/vmdk-header.ts';
import { refuseVpc } from '../../../../src/drivers/image/vpc-header.ts';

const test = suite('image headers');

/** A version 3 header of a 1 GiB disk with 64 KiB clusters, no features. */
function qcow2(change: (head: Buffer) => void = () => undefined): Buffer {
  const head = Buffer.alloc(65_536);
  head.writeUInt32BE(0x51_46_49_fb, 0);
  head.writeUInt32BE(3, 4);
  head.writeUInt32BE(16, 20);
  head.writeBigUInt64BE(2n ** 30n, 24);
  head.writeUInt32BE(104, 100);
  change(head);
  return head;
}

const refused = (change: (head: Buffer) => void) => refuseQcow2(readQcow2Header(qcow2(change)));
const reasonOf = (change: (head: Buffer) => void) => refused(change) ?? 'let through';

test('a plain header is let through and clean', () => {
  const header = readQcow2Header(qcow2());
  assert.is(refuseQcow2(header), null);
  assert.is(header.virtualSizeBytes, 2 ** 30);
  assert.ok(isCleanQcow2(header));
});

test('compression type and extended entries are harmless, a snapshot or the dirty mark means rewriting', () => {
  assert.is(
    refused((head) => head.writeBigUInt64BE(8n | 16n, 72)),
    null,
  );
  assert.not.ok(isCleanQcow2(readQcow2Header(qcow2((head) => head.writeBigUInt64BE(1n, 72)))));
  assert.not.ok(isCleanQcow2(readQcow2Header(qcow2((head) => head.writeUInt32BE(1, 60)))));
});

test('every single unknown feature bit is refused', () => {
  for (let bit = 0n; bit < 64n; bit++) {
    const isKnown = bit === 0n || bit === 3n || bit === 4n;
    const reason = refused((head) => head.writeBigUInt64BE(1n << bit, 72));
    assert.is(reason === null, isKnown, `bit ${bit}`);
  }
});

test('a backing file is refused even where its name cannot be read', () => {
  const far = reasonOf((head) => head.writeBigUInt64BE(2n ** 40n, 8));
  assert.match(far, /overlay on another file \(a name out of reach\)/);
});

test('a data file extension is refused without its feature bit too, behind others', () => {
  const reason = reasonOf((head) => {
    head.writeUInt32BE(0x68_03_f8_57, 104);
    head.writeUInt32BE(5, 108);
    head.writeUInt32BE(0x44_41_54_41, 120);
  });
  assert.match(reason, /data_file/);
});

test('no bytes make the readers do anything but answer or refuse', () => {
  const seeds = [qcow2(), Buffer.from('KDMV'.padEnd(4096, '\0')), Buffer.alloc(512, 'conectix')];
  let random = 12_345;
  const next = () => (random = (random * 1_103_515_245 + 12_345) % 2 ** 31);
  for (let round = 0; round < 5_000; round++) {
    const seed = seeds[round % seeds.length] ?? Buffer.alloc(0);
    const head = Buffer.from(seed.subarray(0, next() % 8 === 0 ? next() % 700 : seed.length));
    for (let flips = next() % 6; flips > 0 && head.length > 0; flips--) {
      head[next() % Math.min(head.length, 600)] = next() % 256;
    }
    const readers = [
      () => refuseQcow2(readQcow2Header(head)),
      () => refuseVmdk(head),
      () => refuseVdi(head, head.length),
      () => refuseVpc(head, head.subarray(-512)),
    ];
    for (const read of readers) assert.ok(['string', 'null'].includes(answerOf(read)));
  }
});

function answerOf(read: () => string | null): string {
  try {
    return read() === null ? 'null' : 'string';
  } catch (error) {
    if (error instanceof TroupeError && error.code === 'image/refused') return 'string';
    throw error;
  }
}

test.run();
