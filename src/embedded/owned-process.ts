// Finds the processes of one data directory in the machine's process list, without any record.
//
// O1  By mount namespace: what sees our directory at /etc/libvirt was started by our libvirtd.
// O2  By environment: services carry the data directory in OWNER_VARIABLE.
// O3  By arguments or network namespace: programs that work on files below our directories or inside
//     our namespaces. Only those that Troupe starts: an editor open on a log file, or an operator's
//     shell in a namespace, is not ours to end.
import { readdirSync, readFileSync, readlinkSync, statSync } from 'node:fs';
import { basename, join } from 'node:path';
import { identityOf, type ProcessIdentity } from './process-identity.ts';
import { OWNER_VARIABLE } from './service.ts';

export interface OwnedProcess extends ProcessIdentity {
  readonly program: string;
}

const OUR_PROGRAMS =
  /^(dnsmasq|etcd|libvirtd|perl|qemu-(system-\w+|img|nbd|io|storage-daemon)|swtpm|genisoimage)$/;

export interface Whose {
  readonly dataDir: string;
  readonly runDir: string;
  /** Names of our network namespaces. */
  readonly namespaces?: readonly string[];
}

/** Every process that belongs to the data directory, this one excepted. */
export function ownedProcesses(whose: Whose): OwnedProcess[] {
  const { dataDir, runDir, namespaces = [] } = whose;
  const isBelowLibvirtd = namespaceTest(dataDir);
  const networks = new Set(namespaces.map((name) => inodeOf(`/run/netns/${name}`)));
  networks.delete(-1);
  const isOurs = (pid: number, program: string) =>
    OUR_PROGRAMS.test(program) &&
    (hasArgument(pid, [`${dataDir}/`, `${runDir}/`]) ||
      networks.has(inodeOf(`/proc/${pid}/ns/net`)));
  return allProcesses().filter(
    ({ pid, program }) =>
      pid !== process.pid &&
      (isBelowLibvirtd(pid) ||
        readWords(`/proc/${pid}/environ`).includes(`${OWNER_VARIABLE}=${dataDir}`) ||
        isOurs(pid, program)),
  );
}

/** Those started by the embedded libvirtd of the data directory, itself and its QEMUs included. */
export function processesInNamespacesOf(dataDirectory: string): OwnedProcess[] {
  const isInside = namespaceTest(dataDirectory);
  return allProcesses().filter(({ pid }) => isInside(pid));
}

function allProcesses(): OwnedProcess[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((name) => {
      const identity = identityOf(Number(name));
      return identity === undefined ? [] : [{ ...identity, program: programOf(identity.pid) }];
    });
}

/** A test of pids: whether their /etc/libvirt is the one of this data directory. */
function namespaceTest(dataDirectory: string): (pid: number) => boolean {
  const ours = statSync(join(dataDirectory, 'libvirt/etc'), { throwIfNoEntry: false });
  if (ours === undefined) return () => false;
  const known = new Map<string, boolean>();
  return (pid) => {
    try {
      const namespace = readlinkSync(`/proc/${pid}/ns/mnt`);
      const answer = known.get(namespace) ?? isSameFile(`/proc/${pid}/root/etc/libvirt`, ours);
      known.set(namespace, answer);
      return answer;
    } catch {
      // A kernel thread, or it has just ended.
      return false;
    }
  };
}

function isSameFile(path: string, other: { readonly dev: number; readonly ino: number }): boolean {
  const found = statSync(path, { throwIfNoEntry: false });
  return found?.dev === other.dev && found.ino === other.ino;
}

/** -1, which no file has, when there is none at this path. */
function inodeOf(path: string): number {
  try {
    return statSync(path).ino;
  } catch {
    return -1;
  }
}

function hasArgument(pid: number, parts: readonly string[]): boolean {
  const words = readWords(`/proc/${pid}/cmdline`);
  return words.some((word) => parts.some((part) => word.includes(part)));
}

function programOf(pid: number): string {
  return basename(readWords(`/proc/${pid}/cmdline`)[0] ?? '');
}

/** The NUL-separated words of a file in /proc; none when the process has ended. */
function readWords(path: string): string[] {
  try {
    return readFileSync(path, 'utf8').split('\0');
  } catch {
    return [];
  }
}
