// What is kept beside a replica, so that nothing has to be read or hashed again to answer for it.
import { readFile, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { ReplicaReport } from '../../../actors/blob/ports.ts';
import { TroupeError } from '../../../actors/kernel/errors.ts';
import { Type, closed, decoder, nullable, oneOf } from '../../../actors/kernel/schema.ts';
import { Facts } from '../../../actors/blob/state.ts';
import { publish } from './durable.ts';
import { REPORT_NAME, imageName } from './layout.ts';

const decodeReport = decoder(
  REPORT_NAME,
  closed({
    schema: Type.Literal(1),
    sizeBytes: Type.Integer({ minimum: 0 }),
    sha512: Type.String({ pattern: '^[0-9a-f]{128}$' }),
    sourceSizeBytes: Type.Integer({ minimum: 0 }),
    sourceSha256: Type.String({ pattern: '^[0-9a-f]{64}$' }),
    sourceFormat: Type.String(),
    format: oneOf(['qcow2', 'iso', 'raw']),
    mimeType: Type.String(),
    virtualSizeBytes: Type.Integer({ minimum: 0 }),
    etag: nullable(Type.String()),
    lastModified: nullable(Type.String()),
    dependsOn: Type.Optional(Type.String()),
    chunksSha256: Type.Optional(Type.String({ pattern: '^[0-9a-f]{64}$' })),
    facts: Type.Optional(Facts),
  }),
  'image/damaged',
);

export async function writeReport(dir: string, report: ReplicaReport): Promise<void> {
  const text = `${JSON.stringify({ schema: 1, ...report }, null, 2)}\n`;
  await writeFile(join(dir, REPORT_NAME), text, { mode: 0o444, flush: true });
}

/** More is known of a replica that is there; its old report holds until the new one does. */
export async function rewriteReport(dir: string, report: ReplicaReport): Promise<void> {
  const half = join(dir, `.${REPORT_NAME}`);
  const text = `${JSON.stringify({ schema: 1, ...report }, null, 2)}\n`;
  await rm(half, { force: true });
  await writeFile(half, text, { mode: 0o444, flush: true });
  await publish(half, join(dir, REPORT_NAME));
}

/**
 * The report of the replica in `dir`; null when there is none. Throws `image/damaged` when its parts do not
 * fit together (unreadable report, image missing or of another size).
 */
export async function readReport(dir: string): Promise<ReplicaReport | null> {
  const text = await readFile(join(dir, REPORT_NAME), 'utf8').catch(absent);
  if (text === null) return null;
  const { schema: _, ...report } = decodeReport(parse(text));
  const image = await stat(join(dir, imageName(report.format))).catch(absent);
  if (image?.size === report.sizeBytes) return report;
  throw new TroupeError(
    'image/damaged',
    `${dir} should hold ${report.sizeBytes} bytes and holds ${image?.size ?? 'none'}`,
  );
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

function absent(error: NodeJS.ErrnoException): null {
  if (error.code === 'ENOENT' || error.code === 'ENOTDIR') return null;
  throw error;
}
