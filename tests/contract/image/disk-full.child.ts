// Runs inside a mount namespace of its own, on a small tmpfs: prints what each kind of work says when the
// disk really is full, and what is left afterwards. Arguments: the directory to mount on, the source directory.
import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { appendFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { codeOf, reasonOf } from '../../../actors/kernel/errors.ts';
import { ChunkFile } from '../../../src/drivers/image/chunk-file.ts';
import { makeRig, tree, wantedBy } from './rig.ts';
import { rudeServer } from './rude-server.ts';

const [mountPoint = '', sources = ''] = process.argv.slice(2);
execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=12m', 'tmpfs', mountPoint]);
const rig = await makeRig(join(mountPoint, 'driver'));
const body = randomBytes(16 * 2 ** 20);
const announced = await rudeServer((_request, response) => response.end(body));
const silent = await rudeServer((_request, response) => {
  response.write(body.subarray(0, 100));
  response.end(body.subarray(100));
});

const CONTENT = {
  sourceSizeBytes: 1,
  sourceSha256: 'cd'.repeat(32),
  sourceFormat: 'qcow2',
  format: 'qcow2',
  mimeType: 'application/octet-stream',
  virtualSizeBytes: 1,
  etag: null,
  lastModified: null,
} as const;

interface Outcome {
  readonly work: string;
  readonly code: string;
  readonly message: string;
  readonly left: readonly string[];
}
const outcomes: Outcome[] = [];

async function record(work: string, run: () => Promise<unknown>): Promise<void> {
  const failure = await run().then(
    () => ({ code: 'done', message: '' }),
    (error: unknown) => ({ code: codeOf(error), message: reasonOf(error) }),
  );
  outcomes.push({ work, ...failure, left: tree(rig.dir).filter((path) => path.includes('/x')) });
}

/** Up to the last block. */
function fill(path: string): void {
  try {
    for (;;) appendFileSync(path, Buffer.alloc(4096));
  } catch (error) {
    if (!reasonOf(error).includes('ENOSPC')) throw error;
  }
}

await record('download of announced length', () => rig.ensure('x1', announced.url));
await record('download of unknown length', () => rig.ensure('x2', silent.url));
await record('copy', () => rig.ensure('x3', join(sources, 'large.raw')));
await record('conversion', () => rig.ensure('x4', join(sources, 'medium.raw')));
await record('unpacking', () => rig.ensure('x5', join(sources, 'bomb.raw.gz')));
await record('copy from a peer', () => {
  // There was room when it began.
  rig.driver.connect({
    fetch: ({ path, sizeBytes, sha512, frontier }) => {
      const file = new ChunkFile({ path, sizeBytes, sha512, frontier });
      fill(join(mountPoint, 'ballast'));
      file.write(0, body.subarray(0, sizeBytes));
      return Promise.resolve(file.digests);
    },
  });
  const content = { ...CONTENT, sizeBytes: 4 * 2 ** 20, sha512: 'ab'.repeat(64) };
  const source = { kind: 'peers', nodes: ['a'], content } as const;
  return rig.ensure('x7', '/unused', { source, sha512: content.sha512 });
});
const by = wantedBy('instance/x6');
await record('config drive', () =>
  rig.driver.ensureConfigDrive('x6', { large: Buffer.alloc(400_000) }, by),
);
const spec = { instanceId: 'x6', device: 'vda', baseBlobId: null, sizeGiB: 1 };
await record('disk', () => rig.driver.ensureDisk(spec, by));
rmSync(join(mountPoint, 'ballast'));
await record('disk once there is room', () => rig.driver.ensureDisk(spec, by));
await Promise.all([announced.close(), silent.close()]);
await rig.close();
console.log(JSON.stringify(outcomes));
