import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { suite } from 'uvu';
import { throws } from 'node:assert/strict';
import { lockDataDirectory } from '../../../src/embedded/data-lock.ts';
import { makeInstallation } from '../../support/installation.ts';

const test = suite('data lock');

const HOLDER = `
import { lockDataDirectory } from ${JSON.stringify(import.meta.resolve('../../../src/embedded/data-lock.ts'))};
lockDataDirectory(process.argv[1]);
console.log('locked');
setInterval(gc, 10);
`;

test('a second daemon is told the pid of the first, until that is killed', async () => {
  const installation = await makeInstallation();
  const { dataDir } = installation;
  const words = ['--expose-gc', '--input-type=module-typescript', '-e', HOLDER, dataDir];
  const holder = spawn('setpriv', ['--pdeathsig', 'KILL', process.execPath, ...words], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  try {
    await once(holder.stdout, 'data');
    throws(() => lockDataDirectory(dataDir), {
      code: 'host/locked',
      message: `a Troupe daemon (pid ${holder.pid}) already uses ${dataDir}: stop it, or choose another directory with --data-dir`,
    });
    holder.kill('SIGKILL');
    await once(holder, 'exit');
    const lock = lockDataDirectory(dataDir);
    lock.release();
    lockDataDirectory(dataDir).release();
  } finally {
    holder.kill('SIGKILL');
    await installation.remove();
  }
});

test('a directory that cannot be made is one sentence', () => {
  throws(() => lockDataDirectory('/etc/hostname/here'), {
    code: 'host/tool-failed',
    message: /^the data directory \/etc\/hostname\/here cannot be used: /,
  });
});

test.run();
