// TCP ports on 127.0.0.1 for our own services: chosen once, then kept, so that addresses in logs and
// in people's shells stay right; chosen anew only when somebody else has taken one.
import { readFile, rename, writeFile } from 'node:fs/promises';
import { createServer, type AddressInfo } from 'node:net';

/** The ports remembered in `path`; undefined when there are none, or not as many. */
export async function rememberedPorts(
  path: string,
  count: number,
): Promise<readonly number[] | undefined> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch {
    return undefined;
  }
  const ports = text.trim().split(/\s+/).map(Number);
  return ports.length === count && ports.every((port) => port > 0 && port < 65536)
    ? ports
    : undefined;
}

/** Keeps those of `wanted` that are free and replaces the others; remembers the result in `path`. */
export async function choosePorts(path: string, wanted: readonly number[]): Promise<number[]> {
  const ports: number[] = [];
  for (const port of wanted) ports.push((await bindOnce(port)) ?? (await bindOnce(0)) ?? 0);
  await writeFile(`${path}.new`, `${ports.join(' ')}\n`, { mode: 0o600 });
  await rename(`${path}.new`, path);
  return ports;
}

/** The port, when it could be bound (0: any free one). Free now, not for ever: its user must check. */
function bindOnce(port: number): Promise<number | undefined> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(undefined));
    server.listen(port, '127.0.0.1', () => {
      const bound = (server.address() as AddressInfo).port;
      server.close(() => resolve(bound));
    });
  });
}
