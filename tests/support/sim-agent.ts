// A guest's agent without a guest: some files, and a shell of a few words.
//
//   echo WORDS    prints them
//   exit CODE     ends with the code
//   yes BYTES     prints as many bytes
//   sleep         does not end by itself
//   die           takes the agent with it
import type { Executed, GuestAgent, GuestFile } from '../../actors/instance/guest-agent.ts';
import { TroupeError } from '../../actors/kernel/errors.ts';

const REGULAR_FILE = 0o100_000;

export class SimAgent implements GuestAgent {
  readonly files = new Map<string, { bytes: Buffer; mode: number | string }>();
  /** Lines that it was given, in order. */
  readonly lines: string[] = [];
  /** Set once it answers nobody any more. */
  isGone = false;
  readonly #ended: (() => void)[] = [];

  /** Ends what it was doing. */
  die(): void {
    this.isGone = true;
    for (const end of this.#ended.splice(0)) end();
  }

  async execute(commandLine: string, signal: AbortSignal): Promise<Executed> {
    this.#requireLife();
    this.lines.push(commandLine);
    const [word = '', ...rest] = commandLine.split(' ');
    const argument = rest.join(' ');
    switch (word) {
      case 'echo':
        return executed(0, `${argument}\n`);
      case 'exit':
        return executed(Number(argument), '', `exits with ${argument}\n`);
      case 'yes':
        return executed(0, 'y'.repeat(Number(argument)));
      case 'sleep':
        return await this.#sleep(signal);
      case 'die':
        this.die();
        throw lost();
      default:
        return executed(127, '', `${commandLine}: not found\n`);
    }
  }

  async readFile(path: string): Promise<GuestFile> {
    this.#requireLife();
    const file = this.files.get(path);
    if (file === undefined) throw new TroupeError('guest/refused', 'path does not exist');
    const mode = REGULAR_FILE | Number(file.mode);
    const stat = { mode, size: file.bytes.length, uid: 0, gid: 0, atime: 1, mtime: 2, ctime: 3 };
    return { stat, chunks: pieces(file.bytes) };
  }

  async writeFile(path: string, content: AsyncIterable<Uint8Array>): Promise<void> {
    this.#requireLife();
    if (path.endsWith('/')) throw new TroupeError('guest/refused', `${path} is a folder`);
    const chunks: Uint8Array[] = [];
    for await (const chunk of content) chunks.push(chunk);
    this.files.set(path, { bytes: Buffer.concat(chunks), mode: 0o600 });
  }

  async changeMode(path: string, mode: number | string): Promise<void> {
    this.#requireLife();
    const file = this.files.get(path);
    if (file === undefined) throw new TroupeError('guest/refused', 'path does not exist');
    file.mode = mode;
  }

  #sleep(signal: AbortSignal): Promise<Executed> {
    return new Promise((_resolve, reject) => {
      this.#ended.push(() => reject(lost()));
      const calledOff = () => reject(new TroupeError('actor/stopped', 'called off'));
      signal.addEventListener('abort', calledOff, { once: true });
    });
  }

  #requireLife(): void {
    if (this.isGone) throw lost();
  }
}

function executed(returnCode: number, stdout: string, stderr = ''): Executed {
  return { returnCode, stdout: Buffer.from(stdout), stderr: Buffer.from(stderr) };
}

async function* pieces(bytes: Buffer): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += 1_000) yield bytes.subarray(at, at + 1_000);
}

function lost(): TroupeError {
  return new TroupeError('guest/lost', 'the agent in the guest does not answer');
}
