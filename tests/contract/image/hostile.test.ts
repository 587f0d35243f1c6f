import { rejects } from 'node:assert/strict';
import { copyFileSync, readFileSync, readdirSync, statSync, truncateSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Exec } from '../../../src/drivers/exec.ts';
import { exec } from '../../../src/drivers/exec.ts';
import { makeRig, scratch, tool } from './rig.ts';
import { MIB, makeSamples, patch } from './samples.ts';

const test = suite('hostile images');
const dir = scratch();
const samples = makeSamples(dir);
const secret = samples.write('secret', 'S'.repeat(MIB));

/** What was started for each image, to prove that none was opened that must not be. */
const started: string[] = [];
const watched: Exec = (program, args, options) => {
  started.push(args.join(' '));
  return exec(program, args, options);
};
const rig = await makeRig(join(dir, 'driver'), {
  exec: watched,
  limits: { minFreeBytes: 0, maxVirtualSizeBytes: 2 ** 40 },
});

function qcow2(name: string, options: string, size = '8M'): string {
  tool('qemu-img', 'create', '-q', '-f', 'qcow2', '-o', options, samples.path(name), size);
  return samples.path(name);
}

function copyOf(path: string, name: string): string {
  copyFileSync(path, samples.path(name));
  return samples.path(name);
}

function patched(path: string, at: number, bytes: Uint8Array): string {
  patch(path, at, bytes);
  return path;
}

function text(path: string, from: string, to: string): string {
  const content = readFileSync(path);
  const at = content.indexOf(from);
  assert.ok(at > 0, `${from} is in ${path}`);
  patch(path, at, Buffer.from(to.padEnd(from.length, '\n')));
  return path;
}

const clean = samples.convert('clean.qcow2', 'qcow2');
const cleanVmdk = samples.convert('clean.vmdk', 'vmdk');
const u64 = (value: bigint) => {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64BE(value);
  return bytes;
};

/** `opened`: qemu-img is allowed to look at it; for the others our own reading has to be enough. */
interface Case {
  readonly name: string;
  readonly make: () => string;
  readonly words: RegExp;
  readonly opened?: boolean;
}

const CASES: readonly Case[] = [
  {
    name: 'a backing file on this machine',
    make: () => qcow2('backing.qcow2', `backing_file=${secret},backing_fmt=raw`),
    words: /overlay on another file \(.*secret\).*qemu-img convert/,
  },
  {
    name: 'a backing file given as json:',
    make: () =>
      qcow2(
        'json.qcow2',
        `backing_file=json:{"driver":"raw"\\,"file":{"driver":"file"\\,"filename":"${secret}"}},backing_fmt=raw`.replaceAll(
          '\\,',
          ',,',
        ),
      ),
    words: /overlay on another file \(json:/,
  },
  {
    name: 'an external data file',
    make: () => qcow2('data.qcow2', `data_file=${samples.path('data.raw')}`),
    words: /data in another file \(data_file\)/,
  },
  {
    name: 'an external data file behind a json: name, set by hand',
    make: () => {
      const path = qcow2('data-bit.qcow2', 'compat=1.1');
      return patched(path, 72, u64(4n));
    },
    words: /data_file/,
  },
  {
    name: 'LUKS inside qcow2',
    make: () => {
      const path = samples.path('luks.qcow2');
      const object = ['--object', 'secret,id=s,data=secret'];
      const options = 'encrypt.format=luks,encrypt.key-secret=s,encrypt.iter-time=10';
      const create = ['create', '-q', ...object, '-f', 'qcow2', '-o', options, path, '1M'];
      insist(/Unable to get accurate CPU usage/, () => tool('qemu-img', ...create));
      return path;
    },
    words: /encrypted/,
  },
  {
    name: 'LUKS itself',
    make: () =>
      samples.write(
        'luks.raw',
        Buffer.concat([Buffer.from('LUKS\xba\xbe', 'latin1'), Buffer.alloc(2 * MIB)]),
      ),
    words: /encrypted \(LUKS\)/,
  },
  {
    name: 'a feature bit from the future',
    make: () => patched(copyOf(clean, 'future.qcow2'), 72, u64(1n << 40n)),
    words: /features this version does not know \(bits 0x10000000000\)/,
  },
  {
    name: 'the corrupt mark',
    make: () => patched(copyOf(clean, 'corrupt.qcow2'), 72, u64(2n)),
    words: /marked corrupt.*qemu-img check -r all/,
  },
  {
    name: 'a disk larger than allowed',
    make: () => qcow2('huge.qcow2', 'compat=1.1', '2T'),
    words: /disk of 2199023255552 bytes, and 1099511627776 are allowed/,
    opened: true,
  },
  {
    name: 'tables that point outside the file',
    make: () => patched(copyOf(clean, 'tables.qcow2'), 40, u64(1n << 50n)),
    words: /damaged or cut off/,
    opened: true,
  },
  {
    name: 'a qcow2 version 1',
    make: () => {
      tool('qemu-img', 'create', '-q', '-f', 'qcow', samples.path('old.qcow'), '1M');
      return samples.path('old.qcow');
    },
    words: /qcow version 1.*qemu-img convert/,
  },
  {
    name: 'a qcow2 cut off in its header',
    make: () => samples.write('header.qcow2', readFileSync(clean).subarray(0, 60)),
    words: /cut off within its qcow2 header/,
  },
  {
    name: 'a VMDK descriptor that names a host file',
    make: () =>
      samples.write(
        'descriptor.vmdk',
        `# Disk DescriptorFile\nversion=1\nCID=1\nparentCID=ffffffff\ncreateType="monolithicFlat"\nRW 2048 FLAT "${secret}" 0\n`,
      ),
    words: /VMDK descriptor, which only names other files/,
  },
  {
    name: 'a VMDK whose embedded descriptor names a host file',
    make: () =>
      text(
        copyOf(cleanVmdk, 'flat.vmdk'),
        'createType="monolithicSparse"',
        'createType="monolithicFlat"',
      ),
    words: /VMDK type is monolithicFlat/,
  },
  {
    name: 'a VMDK with an extent elsewhere',
    make: () => text(copyOf(cleanVmdk, 'extent.vmdk'), '"clean.vmdk"', '"/etc/shado"'),
    words: /data is in other files/,
  },
  {
    name: 'a VMDK with a parent',
    make: () => text(copyOf(cleanVmdk, 'parent.vmdk'), 'parentCID=ffffffff', 'parentCID=12345678'),
    words: /delta on another VMDK/,
  },
  {
    name: 'a VMDK that hides its parent where only qemu-img looks',
    make: () => {
      // The declared descriptor is moved to a clean copy further on; qemu-img reads byte 512 all the same.
      const path = copyOf(cleanVmdk, 'hidden.vmdk');
      const descriptor = readFileSync(path).subarray(512, 512 + 20 * 512);
      patch(path, 40 * 512, descriptor);
      const place = Buffer.alloc(8);
      place.writeBigUInt64LE(40n);
      patch(path, 28, place);
      return text(path, 'ddb.adapterType', 'parentFileNameHint="/etc/shadow"'.slice(0, 20));
    },
    words: /delta on another VMDK/,
  },
  {
    name: 'a VMDK without a size, which makes qemu-img follow the descriptor',
    make: () => patched(copyOf(cleanVmdk, 'nosize.vmdk'), 12, Buffer.alloc(8)),
    words: /no size and points at a descriptor/,
  },
  {
    name: 'a differencing VHD',
    make: () => {
      // Disk type 4 in the footer's copy at the start and in the footer.
      const path = samples.convert('differencing.vpc', 'vpc');
      const type = Buffer.from([0, 0, 0, 4]);
      patch(path, 60, type);
      return patched(path, statSync(path).size - 512 + 60, type);
    },
    words: /differencing VHD/,
  },
  {
    name: 'a QED image with a backing file',
    make: () => {
      tool(
        'qemu-img',
        'create',
        '-q',
        '-f',
        'qed',
        '-b',
        secret,
        '-F',
        'raw',
        samples.path('x.qed'),
      );
      return samples.path('x.qed');
    },
    words: /QED image.*qemu-img convert/,
  },
  {
    name: 'a web page',
    make: () => samples.write('page.img', '\n <!DOCTYPE html><html><title>404</title></html>'),
    words: /web page, not an image/,
  },
  {
    name: 'an error in XML',
    make: () =>
      samples.write('error.img', '<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>'),
    words: /web page, not an image/,
  },
  {
    name: 'text',
    make: () => samples.write('note.img', 'not found\n'.repeat(512)),
    words: /is text/,
  },
  { name: 'nothing', make: () => samples.write('empty.img', ''), words: /is empty/ },
  {
    name: 'a tar archive (OVA)',
    make: () => {
      tool('tar', '-C', dir, '-cf', samples.path('x.ova'), 'secret');
      return samples.path('x.ova');
    },
    words: /tar archive \(an OVA is one\)/,
  },
  {
    name: 'a ZIP archive',
    make: () =>
      samples.write('x.zip', Buffer.concat([Buffer.from('PK\x03\x04'), Buffer.alloc(600)])),
    words: /ZIP archive/,
  },
  {
    name: 'a raw disk that ends within a sector',
    make: () => samples.write('odd.raw', readFileSync(samples.raw).subarray(0, MIB + 100)),
    words: /no multiple of 512/,
  },
  {
    name: 'a packed image with another packed one in it',
    make: () => {
      const inner = copyOf(samples.raw, 'double');
      tool('gzip', '-1', inner);
      tool('xz', '-0', `${inner}.gz`);
      return `${inner}.gz.xz`;
    },
    words: /packed twice/,
  },
  {
    name: 'a packed overlay',
    make: () => {
      tool('gzip', '-k', qcow2('packed.qcow2', `backing_file=${secret},backing_fmt=raw`));
      return samples.path('packed.qcow2.gz');
    },
    words: /overlay on another file/,
  },
  {
    name: 'a packed file that is cut off',
    make: () => {
      tool('gzip', '-1', copyOf(samples.raw, 'cut'));
      truncateSync(samples.path('cut.gz'), MIB);
      return samples.path('cut.gz');
    },
    words: /gzip cannot unpack it.*unexpected end of file/,
  },
];

for (const format of ['qcow2', 'vmdk', 'vdi', 'vhdx', 'vpc']) {
  test(`refused: a ${format} that is cut off`, async () => {
    const path = samples.convert(`cut.${format}`, format);
    truncateSync(path, Math.floor((statSync(path).size * 6) / 10 / 512) * 512);
    await rejects(rig.ensure(`cut-${format}`, path), { code: 'image/refused', message: /cut off/ });
    nothingIsLeft(`cut-${format}`);
  });
}

for (const [index, { name, make, words, opened = false }] of CASES.entries()) {
  test(`refused: ${name}`, async () => {
    const path = make();
    started.length = 0;
    await rejects(rig.ensure(`case-${index}`, path), { code: 'image/refused', message: words });
    const looked = started.filter((command) => command.includes(' qemu-img '));
    assert.is(looked.length > 0, opened, `qemu-img started: ${looked.join('; ')}`);
    nothingIsLeft(`case-${index}`);
  });
}

test('refused: a packed file that unpacks to more than is allowed, before the disk is full', async () => {
  const small = await makeRig(join(dir, 'small'), {
    limits: { minFreeBytes: 0, maxVirtualSizeBytes: 4 * MIB },
  });
  tool('gzip', '-1', copyOf(samples.raw, 'bomb'));
  await rejects(small.ensure('bomb', samples.path('bomb.gz')), {
    code: 'image/refused',
    message: /unpacks to more than 4194304 bytes/,
  });
  assert.equal(readdirSync(small.driver.layout.partials), []);
  await small.close();
});

test('a raw disk that starts like text in its first sector only is a disk', async () => {
  const content = readFileSync(samples.raw);
  content.write('#!ipxe\n'.repeat(60));
  const report = await rig.ensure('ipxe', samples.write('ipxe.raw', content));
  assert.is(report.sourceFormat, 'raw');
});

test('every tool runs under limits, dies with the daemon, and is told the format', async () => {
  started.length = 0;
  await rig.ensure('limits', samples.convert('limits.vdi', 'vdi'));
  const commands = started.filter((command) => command.includes('qemu-img'));
  // The last looks at what was made of it.
  assert.equal(
    commands.map((command) => / -f (\w+)/.exec(command)?.[1]),
    ['vdi', 'vdi', 'vdi', 'qcow2'],
  );
  for (const command of commands) {
    assert.match(command, /^--pdeathsig KILL prlimit --as=\d+ --cpu=\d+ --core=0 .*-f \w+/);
  }
});

function nothingIsLeft(blobId: string): void {
  assert.equal(readdirSync(rig.driver.layout.partials), []);
  assert.not.ok(readdirSync(rig.driver.layout.blobs).includes(blobId));
  assert.is(rig.ledger.get('replica', blobId), undefined);
}

test.after(() => rig.close());
/** qemu-img times itself to choose LUKS's cost, and gives up when this machine's clock was too coarse just then. */
function insist(excuse: RegExp, make: () => unknown): void {
  for (let tries = 1; ; tries++) {
    try {
      return void make();
    } catch (error) {
      if (tries === 20 || !excuse.test(String(error))) throw error;
    }
  }
}

test.run();
