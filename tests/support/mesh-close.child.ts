// Two meshes that spoke and were closed; prints what is left in this process, and has to end by itself.
import { systemClock } from '../../actors/kernel/clock.ts';
import { Mesh } from '../../transport/mesh/mesh.ts';
import { testAuthority } from './mesh-certificates.ts';
import { meshHello } from './mesh-pair.ts';

const authority = testAuthority();
const ports = new Map<string, number>();

async function open(node: string): Promise<Mesh> {
  const mesh = await Mesh.open({
    hello: meshHello(node),
    identity: authority.identity(node),
    listen: { host: '127.0.0.1', port: 0 },
    addressOf: (name) => ({ host: '127.0.0.1', port: ports.get(name) ?? 0 }),
    handle: (_from, _to, body) => Promise.resolve({ value: body as string, revision: 0 }),
    clock: systemClock,
    random: Math.random,
    log: () => {},
  });
  ports.set(node, mesh.port);
  return mesh;
}

const [a, b] = [await open('a'), await open('b')];
const to = { kind: 'instance', id: 'one' };
const { value } = await a.ask('b', to, 'hello', { trace: 't', timeoutMs: 10_000 });
await Promise.all([a.close(), b.close()]);
authority.close();
// By now nothing of ours is left but sockets that are saying goodbye; standard output is a pipe.
process.on('exit', () => {
  const resources = process.getActiveResourcesInfo().filter((kind) => !kind.startsWith('Pipe'));
  process.stdout.write(JSON.stringify({ answer: value, resources }));
});
