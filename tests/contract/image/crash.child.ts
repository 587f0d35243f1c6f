// A daemon that kills itself at one tool run of making an instance's disks. Arguments: its directory, the
// image, which run (counted from 0), when (before, during, after), and its trace id.
import { exec, type Exec } from '../../../src/drivers/exec.ts';
import { makeDisks } from './crash-steps.ts';
import { makeRig } from './rig.ts';

const [dir = '', image = '', at = '', when = '', trace = ''] = process.argv.slice(2);
let runs = 0;

const crashing: Exec = async (program, args, options) => {
  const isTheOne = runs++ === Number(at);
  if (isTheOne && when === 'before') die();
  const running = exec(program, args, options);
  if (isTheOne && when === 'during') setTimeout(die, 5);
  const result = await running;
  if (isTheOne && when === 'after') die();
  return result;
};

function die(): never {
  process.kill(process.pid, 'SIGKILL');
  throw new Error('still here');
}

await makeDisks(await makeRig(dir, { exec: crashing }), image, trace);
console.log(runs);
