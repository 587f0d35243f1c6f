// How the tour reaches its guest: from inside the network's own namespace on this machine, as the guest's router
// would. No port of the machine is opened for it.
import { access } from 'node:fs/promises';
import { join } from 'node:path';
import { mkdir, readFile } from 'node:fs/promises';
import { reasonOf } from '../../actors/kernel/errors.ts';
import type { Exec } from '../drivers/exec.ts';
import { until } from './wait.ts';

export interface GuestLink {
  /** Resolves with the first answer's line. Error: `actor/timeout`. */
  ping(timeoutMs: number): Promise<string>;
  /** Runs a command in the guest; resolves with what it printed. Error: `actor/timeout`, with ssh's last words. */
  ssh(
    command: string,
    timeoutMs: number,
  ): Promise<{ readonly user: string; readonly output: string }>;
  /** What a person types to get in. */
  command(user: string): string;
}

/** Users of common cloud images, tried in turn. */
const USERS = ['root', 'debian', 'ubuntu', 'fedora', 'cloud-user', 'rocky', 'almalinux', 'cirros'];

export interface GuestLinkOptions {
  readonly exec: Exec;
  /** Of the network on this machine. */
  readonly netns: string;
  readonly address: string;
  readonly keyFile: string;
  readonly trace: string;
}

export function guestLink({ exec, netns, address, keyFile, trace }: GuestLinkOptions): GuestLink {
  const inside = (command: readonly string[], okCodes: readonly number[], timeoutMs: number) =>
    exec('ip', ['netns', 'exec', netns, ...command], { trace, okCodes, timeoutMs });
  return {
    ping: (timeoutMs) =>
      until(`an answer to ping from ${address}`, { timeoutMs }, async () => {
        const command = ['ping', '-n', '-c', '1', '-W', '1', address];
        const { stdout } = await inside(command, [0, 1, 2], 10_000);
        return stdout.split('\n').find((line) => line.includes('bytes from'));
      }),
    ssh: async (command, timeoutMs) => {
      let said = '';
      try {
        return await until(`an ssh login at ${address}`, { timeoutMs }, async () => {
          for (const user of USERS) {
            const { code, stdout, stderr } = await inside(
              ['ssh', ...sshOptions(keyFile), `${user}@${address}`, command],
              ANY_CODE,
              40_000,
            );
            if (code === 0) return { user, output: stdout.trim() };
            said = (stderr.trim() || stdout.trim()).split('\n').at(-1) ?? '';
            // 255 is ssh's own: nobody answers yet, unless it is the key that is not this user's. Other codes are
            // the guest's: cloud images let root in only to say who else to be.
            if (code === 255 && !said.includes('Permission denied')) break;
          }
          return undefined;
        });
      } catch (error) {
        throw new Error(`${reasonOf(error)}; ssh says: ${said}`, { cause: error });
      }
    },
    command: (user) => `ip netns exec ${netns} ssh -i ${keyFile} ${user}@${address}`,
  };
}

const ANY_CODE = Array.from({ length: 256 }, (_, code) => code);

/** The guest is new each time, and its host key with it: nothing is remembered of it. */
function sshOptions(keyFile: string): string[] {
  const options = {
    BatchMode: 'yes',
    ConnectTimeout: '15',
    IdentitiesOnly: 'yes',
    LogLevel: 'ERROR',
    StrictHostKeyChecking: 'no',
    UserKnownHostsFile: '/dev/null',
  };
  return [
    '-i',
    keyFile,
    ...Object.entries(options).flatMap(([name, value]) => ['-o', `${name}=${value}`]),
  ];
}

/** The tour's own key pair, made once; resolves to the private key's path and the public key's text. */
export async function tourKey(
  dataDir: string,
  exec: Exec,
  trace: string,
): Promise<{ readonly file: string; readonly publicKey: string }> {
  const folder = join(dataDir, 'tour');
  const file = join(folder, 'id_ed25519');
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const isMade = await access(`${file}.pub`).then(
    () => true,
    () => false,
  );
  if (!isMade) {
    const args = ['-q', '-t', 'ed25519', '-N', '', '-C', 'troupe-tour', '-f', file];
    // Answers the question whether to overwrite a half-made pair.
    await exec('ssh-keygen', args, { trace, input: 'y\n' });
  }
  return { file, publicKey: (await readFile(`${file}.pub`, 'utf8')).trim() };
}
