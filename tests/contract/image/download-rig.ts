// What the download tests share: one driver, one image to serve, and servers that go away after each test.
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { makeRig, scratch } from './rig.ts';
import { rudeServer, type Content, type RudeServer, type Script } from './rude-server.ts';
import { makeSamples, sha } from './samples.ts';

export async function downloadRig() {
  const dir = scratch();
  const samples = makeSamples(dir);
  const source = samples.convert('source.qcow2', 'qcow2');
  const body = readFileSync(source);
  const rig = await makeRig(join(dir, 'driver'));
  const servers = new Set<RudeServer>();
  let blob = 0;
  const current = () => `blob-${blob}`;
  const keep = (server: RudeServer) => {
    servers.add(server);
    return server;
  };
  const good: Content = { body, etag: '"v1"', lastModified: 'Sun, 06 Nov 1994 08:49:37 GMT' };
  return {
    dir,
    samples,
    source,
    sourceHash: sha('sha256', source),
    body,
    /** The body with its validators. */
    good,
    rig,
    /** An id for the blob of this test, and that id again. */
    next: () => `blob-${++blob}`,
    current,
    partialSource: () => join(rig.driver.layout.partial(current()), 'source'),
    /** Nothing half made is left of the current blob. */
    isClean: () => !existsSync(rig.driver.layout.partial(current())),
    /** A server that closeServers() ends. */
    start: async (...scripts: Script[]) => keep(await rudeServer(...scripts)),
    keep,
    closeServers: async () => {
      for (const server of servers) await server.close();
      servers.clear();
    },
  };
}
