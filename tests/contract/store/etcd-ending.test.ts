// close() leaves nothing running, whatever state the link is in: the process ends by itself.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { inLab } from './fault-lab.ts';

const test = suite('etcd ending');

for (const fault of ['', 'cut', 'stall'] as const) {
  test(`after close() the process ends by itself and has said nothing (${fault || 'link up'})`, () =>
    inLab(async ({ link }) => {
      const file = new URL('./closing-child.ts', import.meta.url).pathname;
      const child = spawn(process.execPath, [file, link.url, fault], { timeout: 30_000 });
      let output = '';
      child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()));
      child.stderr.on('data', (chunk: Buffer) => (output += chunk.toString()));
      await once(child.stdout, 'data');
      if (fault !== '') await link[fault]();
      const startedAt = performance.now();
      const exited = once(child, 'exit');
      child.stdin.write('go');
      const [code, signal] = (await exited) as [number | null, string | null];
      assert.equal([code, signal, output], [0, null, 'ready\nclosed\n']);
      const tookMs = performance.now() - startedAt;
      assert.ok(tookMs < 5_000, `${tookMs} ms`);
    }));
}

test.run();
