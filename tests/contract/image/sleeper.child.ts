// A daemon with a tool that takes its time. Arguments: a directory, its trace id.
import { exec } from '../../../src/drivers/exec.ts';
import { QUICK, limitedTools } from '../../../src/drivers/image/tool.ts';

const [dir = '', trace = ''] = process.argv.slice(2);
const { signal } = new AbortController();
await limitedTools(exec, dir)('sleep', ['30'], { trace, signal, limits: QUICK });
