// A lab to be killed: makes one with a machine, says which processes it is, and waits. Arguments: directory, subnet.
import { addNode, makeLab } from '../../deploy/lab/lab.ts';
import { CACHE } from './daemon.ts';

const [directory = '', subnet = ''] = process.argv.slice(2);
const lab = await makeLab({ directory, subnet, isAttached: true, settings: {}, cacheDir: CACHE });
const node = await addNode(lab, 'n1');
console.log(JSON.stringify([lab.switch, node.machine]));
setInterval(() => undefined, 3_600_000);
