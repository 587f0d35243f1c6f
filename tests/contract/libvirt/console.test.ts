// Console and screenshot streams with a guest that talks back: the UEFI shell on a serial port.
import { rejects } from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { connectLibvirt, type Libvirt } from '../../../src/drivers/libvirt/client.ts';
import { isLibvirtError } from '../../../src/drivers/libvirt/errors.ts';
import type { LibvirtStream } from '../../../src/drivers/libvirt/stream.ts';
import { startLibvirtd, type TestLibvirtd } from '../../support/libvirtd.ts';
import { until } from '../../unit/drivers/libvirt/until.ts';
import { tinySpec, withDomain } from './domains.ts';
import { buildDomainXml } from '../../../src/drivers/libvirt/domain-xml.ts';

const test = suite('libvirt streams on a real libvirtd');
/** OVMF takes about 10 s to its shell under TCG on an idle machine. */
const SHELL_DEADLINE_MS = 90_000;
let daemon: TestLibvirtd;
let libvirt: Libvirt;

test.before(async () => {
  daemon = await startLibvirtd();
  libvirt = await connectLibvirt({ socketPath: daemon.socketPath });
});

test.after(async () => {
  await libvirt?.close();
  await daemon?.stop();
});

function collect(stream: LibvirtStream): { text: string; ended: boolean; errors: unknown[] } {
  const seen = { text: '', ended: false, errors: [] as unknown[] };
  stream.on('error', (error) => seen.errors.push(error));
  stream.on('data', (chunk: Buffer) => (seen.text += chunk.toString('latin1')));
  stream.once('close', () => (seen.ended = true));
  return seen;
}

test('a console carries both ways, is logged, and ends with the domain', async () => {
  const log = join(daemon.directory, 'console.log');
  const spec = tinySpec({
    memoryMiB: 128,
    serial: { source: { kind: 'pty' }, log },
    firmware: {
      kind: 'uefi',
      loader: '/usr/share/OVMF/OVMF_CODE_4M.fd',
      nvram: join(daemon.directory, 'nvram.fd'),
      nvramTemplate: '/usr/share/OVMF/OVMF_VARS_4M.fd',
    },
  });
  const domain = await libvirt.domains.define(buildDomainXml(spec));
  try {
    await libvirt.domains.start(domain, { paused: true });
    const stream = await libvirt.guest.openConsole(domain);
    const seen = collect(stream);
    await libvirt.domains.resume(domain);
    await until(() => seen.text.includes('ESC'), SHELL_DEADLINE_MS);
    stream.write('\u001b');
    await until(() => /Shell> [^>]*$/.test(seen.text), SHELL_DEADLINE_MS);
    stream.write('echo "from the host: 6*7"\r');
    await until(() => /\nfrom the host: 6\*7/.test(seen.text), SHELL_DEADLINE_MS);
    assert.match(readFileSync(log, 'latin1'), 'from the host');
    await libvirt.domains.destroy(domain);
    await until(() => seen.ended);
    assert.equal(seen.errors, []);
  } finally {
    await libvirt.domains.undefine(domain);
  }
});

/** libvirtd 9.0 was seen to die of a forced opening, once in dozens of runs, by no fault of ours that we know: once more then. */
async function unlessItDies(body: () => Promise<void>): Promise<void> {
  try {
    await body();
  } catch (error) {
    if (!/not connected to libvirtd/.test(String(error))) throw error;
    console.log('  libvirtd died of a forced console; once more');
    await libvirt.close();
    const again = async () => {
      const opened = await connectLibvirt({ socketPath: daemon.socketPath }).catch(() => undefined);
      if (opened !== undefined) libvirt = opened;
      return opened !== undefined;
    };
    await until(again);
    await body();
  }
}

test('one reader at a time, unless forced; then the first one ends', async () => {
  await unlessItDies(oneReader);
});

async function oneReader(): Promise<void> {
  await withDomain(libvirt, {}, async (domain) => {
    const first = await libvirt.guest.openConsole(domain);
    const seen = collect(first);
    await rejects(libvirt.guest.openConsole(domain), (error: unknown) =>
      isLibvirtError(error, 'operation-failed'),
    );
    const second = await libvirt.guest.openConsole(domain, { force: true });
    await until(() => seen.ended);
    assert.ok(isLibvirtError(seen.errors[0], 'rpc-error'), String(seen.errors[0]));
    second.destroy();
    const third = await untilOpens(domain);
    third.destroy();
  });

  /** libvirtd notices the end of an aborted console by itself, a moment later. */
  async function untilOpens(domain: { name: string; uuid: string; id: number }) {
    let opened: LibvirtStream | undefined;
    await until(async () => {
      opened = await libvirt.guest.openConsole(domain).catch(() => undefined);
      return opened !== undefined;
    });
    if (opened === undefined) throw new Error('no console');
    return opened;
  }
}

test('a console that nobody reads, and one that the guest does not read, hold up no call', async () => {
  await withDomain(libvirt, {}, async (domain) => {
    const stream = await libvirt.guest.openConsole(domain);
    // A suspended guest takes nothing: the daemon's buffers fill up and it stops reading the stream.
    await libvirt.domains.suspend(domain);
    const flood = Buffer.alloc(4 * 1024 * 1024, 'x');
    let isWritten = false;
    stream.write(flood, () => (isWritten = true));
    for (let call = 0; call < 20; call++) {
      assert.is((await libvirt.domains.state(domain)).state, 'paused');
    }
    assert.not(isWritten);
    stream.destroy();
  });
});

test('closing the client ends its consoles', async () => {
  await withDomain(libvirt, {}, async (domain) => {
    const other = await connectLibvirt({ socketPath: daemon.socketPath });
    const seen = collect(await other.guest.openConsole(domain));
    await other.close();
    await until(() => seen.ended);
    assert.is((await libvirt.domains.state(domain)).state, 'running');
  });
});

test('a screenshot is a picture of the size of the screen; without a screen it is refused', async () => {
  const graphics = [{ kind: 'vnc', socket: join(daemon.directory, 'vnc') }] as const;
  await withDomain(libvirt, { graphics, video: { model: 'vga' } }, async (domain) => {
    const { mime, image } = await libvirt.guest.screenshot(domain);
    assert.is(mime, 'image/png');
    assert.equal([...image.subarray(0, 4)], [0x89, 0x50, 0x4e, 0x47]);
    const [width, height] = [image.readUInt32BE(16), image.readUInt32BE(20)];
    assert.ok(width >= 640 && height >= 400, `${width}x${height}`);
  });
  await withDomain(libvirt, {}, async (domain) => {
    await rejects(libvirt.guest.screenshot(domain), (error: unknown) => isLibvirtError(error));
  });
});

test.run();
