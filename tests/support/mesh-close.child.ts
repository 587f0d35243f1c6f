// Two meshes that spoke and were closed; prints what is left in this process, and has to end by itself.
import { meshLab } from './mesh-lab.ts';

const lab = meshLab();
let answer: unknown;
const to = { kind: 'instance', id: 'one' };
await lab.inCluster(async (cluster) => {
  const [a] = [await cluster.start('a'), await cluster.start('b')];
  const options = { trace: 't', timeoutMs: 10_000 };
  answer = (await a.mesh.ask('b', to, 'hello', options)).value;
});
lab.close();
// By now nothing of ours is left but sockets that are saying goodbye; standard output is a pipe.
process.on('exit', () => {
  const resources = process.getActiveResourcesInfo().filter((kind) => !kind.startsWith('Pipe'));
  process.stdout.write(JSON.stringify({ answer, resources }));
});
