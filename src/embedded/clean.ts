// deploy/clean.sh: removes what a killed daemon left on this machine; takes the daemon's settings.
import { codeOf, reasonOf } from '../../actors/kernel/errors.ts';
import { configOfProcess } from '../config.ts';
import { removeLeftovers } from './leftovers.ts';

try {
  const config = configOfProcess();
  const removed = await removeLeftovers(config);
  const { processes, namespaces, links, tables, mounts } = removed;
  const names = processes.map(({ program, pid }) => `${program} (${pid})`);
  const lists = { processes: names, namespaces, links, tables, mounts };
  for (const [what, list] of Object.entries(lists))
    if (list.length > 0) console.log(`removed ${what}: ${list.join(', ')}`);
  console.log(`nothing of ${config.dataDir} is left outside it`);
} catch (error) {
  console.error(`troupe: ${reasonOf(error)} [${codeOf(error)}]`);
  process.exitCode = 1;
}
