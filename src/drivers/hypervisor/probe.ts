// Finds out what this machine can run guests with: KVM or emulation (TCG), and which CPU model.
//
// B1  Only a guest of our own that reached user space counts: /dev/kvm may exist and run real-mode code,
//     and still hang a 64-bit kernel for ever; `-cpu host` may abort where a named model works.
// B2  Every attempt has a deadline, and the first hang ends the attempts with that accelerator: KVM that
//     hangs one CPU model hangs the others too, while an abort is quick and says nothing about the next.
// B3  The answer is remembered for as long as what it depends on stays the same (probe-cache.ts). A hang
//     of KVM is believed only when TCG, which is slower, then made it within KVM's deadline; otherwise the
//     machine was too busy to tell, and the next start asks again.
import { access, constants, readFile } from 'node:fs/promises';
import { release } from 'node:os';
import { createHash } from 'node:crypto';
import { TroupeError, reasonOf } from '../../../actors/kernel/errors.ts';
import type { Log } from '../../../actors/kernel/ports.ts';
import type { Exec } from '../exec.ts';
import { readProbed, writeProbed } from './probe-cache.ts';

export interface Probed {
  readonly accelerator: 'kvm' | 'tcg';
  /** QEMU's word: `host`, `max`, or a named model. */
  readonly cpuModel: string;
  /** One sentence when guests run slower than they could. */
  readonly warning: string | null;
  readonly qemuVersion: string;
}

export interface ProbeOptions {
  readonly exec: Exec;
  readonly log: Log;
  /** Kernel and initrd of the tiny guest (deploy/guest/build-probe.sh). */
  readonly kernel: string;
  readonly initrd: string;
  /** Where the answer is remembered: a file in the data directory. */
  readonly cacheFile: string;
  readonly trace: string;
  readonly signal?: AbortSignal;
  /** `/dev/kvm` unless a test says otherwise. */
  readonly kvmDevice?: string;
  readonly kvmTimeoutMs?: number;
  readonly tcgTimeoutMs?: number;
}

interface Candidate {
  readonly accelerator: 'kvm' | 'tcg';
  readonly cpuModel: string;
}

type Attempt = 'works' | 'hangs' | { readonly failure: string };

const QEMU = 'qemu-system-x86_64';
/** What the guest's init writes to its serial port (deploy/guest/probe/init). */
const MARKER = 'troupe-probe: user space reached';
const KVM_TIMEOUT_MS = 8_000;
// TCG needs 2 s on an idle machine; a machine that boots may be anything but idle.
const TCG_TIMEOUT_MS = 60_000;
/** Best first: everything the host has, then a safe model that any 64-bit CPU can carry. */
const KVM_MODELS = ['host', 'max', 'Nehalem', 'Opteron_G3', 'kvm64', 'qemu64'];
const TCG_MODELS = ['max', 'Nehalem', 'qemu64'];

/**
 * Boots the tiny guest until a way to run it works, best way first; instantly when the answer is
 * remembered. Errors: `host/tool-missing` (no QEMU), `host/tool-failed` (nothing works, with each reason).
 */
export async function probe(options: ProbeOptions): Promise<Probed> {
  const qemuVersion = await readQemuVersion(options);
  const kvm = await kvmState(options.kvmDevice ?? '/dev/kvm');
  const key = await machineKey(qemuVersion, kvm);
  const known = await readProbed(options.cacheFile, key);
  if (known !== undefined) return known;
  options.log('info', 'finding out how this machine runs guests (once per kernel and QEMU)');
  const kvmSearch = kvm === 'usable' ? await search(kvmCandidates, options) : NOT_TRIED;
  const startedAtMono = performance.now();
  const tcgSearch =
    kvmSearch.found === undefined ? await search(tcgCandidates, options) : NOT_TRIED;
  const tcgMs = performance.now() - startedAtMono;
  const failures = [...kvmSearch.failures, ...tcgSearch.failures];
  const found = kvmSearch.found ?? tcgSearch.found;
  if (found === undefined) throw nothingWorks(failures);
  const warning = found.accelerator === 'kvm' ? null : tcgWarning(kvm, failures);
  const probed = { ...found, warning, qemuVersion };
  options.log(warning === null ? 'info' : 'warn', warning ?? 'KVM works', { ...found, failures });
  const isCredible = !kvmSearch.hung || tcgMs < (options.kvmTimeoutMs ?? KVM_TIMEOUT_MS);
  if (isCredible) await writeProbed(options.cacheFile, key, probed); // B3
  return probed;
}

interface Search {
  readonly found: Candidate | undefined;
  readonly hung: boolean;
  readonly failures: readonly string[];
}

const NOT_TRIED: Search = { found: undefined, hung: false, failures: [] };

const kvmCandidates = KVM_MODELS.map((cpuModel): Candidate => ({ accelerator: 'kvm', cpuModel }));
const tcgCandidates = TCG_MODELS.map((cpuModel): Candidate => ({ accelerator: 'tcg', cpuModel }));

/** The first candidate that works; ends early at a hang (B2). */
async function search(candidates: readonly Candidate[], options: ProbeOptions): Promise<Search> {
  const failures: string[] = [];
  for (const candidate of candidates) {
    const attempt = await boot(candidate, options);
    if (attempt === 'works') return { found: candidate, hung: false, failures };
    const hung = attempt === 'hangs';
    const how = hung ? 'did not reach user space in time' : attempt.failure;
    failures.push(`${candidate.accelerator} with CPU ${candidate.cpuModel}: ${how}`);
    if (hung) return { found: undefined, hung, failures };
  }
  return { found: undefined, hung: false, failures };
}

async function boot(candidate: Candidate, options: ProbeOptions): Promise<Attempt> {
  const { kvmTimeoutMs = KVM_TIMEOUT_MS, tcgTimeoutMs = TCG_TIMEOUT_MS } = options;
  const timeoutMs = candidate.accelerator === 'kvm' ? kvmTimeoutMs : tcgTimeoutMs;
  const { trace, signal } = options;
  try {
    const { stdout } = await options.exec(QEMU, bootArguments(candidate, options), {
      trace,
      timeoutMs,
      ...(signal === undefined ? {} : { signal }),
    });
    if (stdout.includes(MARKER)) return 'works';
    return { failure: 'ended before user space' };
  } catch (error) {
    if (!(error instanceof TroupeError)) throw error;
    if (error.code === 'host/timeout') return 'hangs';
    if (error.code === 'host/tool-failed') return { failure: lastLine(error.message) };
    throw error;
  }
}

function bootArguments(candidate: Candidate, { kernel, initrd }: ProbeOptions): string[] {
  const { accelerator, cpuModel } = candidate;
  return [
    ['-nodefaults', '-no-user-config', '-no-reboot', '-display', 'none', '-monitor', 'none'],
    ['-machine', `q35,accel=${accelerator}`, '-cpu', cpuArgument(candidate), '-m', '128'],
    ['-name', `troupe-probe-${accelerator}-${cpuModel}`, '-serial', 'stdio'],
    ['-kernel', kernel, '-initrd', initrd, '-append', 'console=ttyS0 quiet panic=-1'],
  ].flat();
}

/** As the domain's XML will have it: TCG's qemu64 says it has AMD's SVM, which libvirt then misses. */
function cpuArgument({ accelerator, cpuModel }: Candidate): string {
  return accelerator === 'tcg' && cpuModel === 'qemu64' ? 'qemu64,-svm' : cpuModel;
}

type KvmState = 'usable' | 'missing' | 'forbidden';

async function kvmState(device: string): Promise<KvmState> {
  try {
    await access(device, constants.R_OK | constants.W_OK);
    return 'usable';
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ENOENT' ? 'missing' : 'forbidden';
  }
}

function tcgWarning(kvm: KvmState, failures: readonly string[]): string {
  const slow = 'guests run by emulation (TCG), many times slower than they could';
  switch (kvm) {
    case 'missing':
      return `This machine has no /dev/kvm, so ${slow}: turn on virtualisation in its firmware, load kvm_intel or kvm_amd, or, inside a virtual machine, nested virtualisation.`;
    case 'forbidden':
      return `This process may not open /dev/kvm, so ${slow}: run Troupe as root.`;
    case 'usable':
      return `This machine's KVM does not run a guest to user space (${failures.findLast(isOfKvm)}), so ${slow}.`;
  }
}

function isOfKvm(failure: string): boolean {
  return failure.startsWith('kvm ');
}

function nothingWorks(failures: readonly string[]): TroupeError {
  return new TroupeError(
    'host/tool-failed',
    `no guest reached user space on this machine, neither with KVM nor with TCG: ${failures.join('; ')}`,
  );
}

async function readQemuVersion({ exec, trace }: ProbeOptions): Promise<string> {
  const { stdout } = await exec(QEMU, ['--version'], { trace, timeoutMs: 10_000 });
  return /version (\S+)/.exec(stdout)?.[1] ?? stdout.trim();
}

/** Hash of all that the answer depends on: kernel, QEMU, CPU and whether KVM is offered at all. */
async function machineKey(qemuVersion: string, kvm: KvmState): Promise<string> {
  const cpu = await readFile('/proc/cpuinfo', 'utf8').catch(reasonOf);
  const model = /^model name\s*:.*$/m.exec(cpu)?.[0] ?? '';
  const flags = /^flags\s*:.*$/m.exec(cpu)?.[0] ?? '';
  const parts = [release(), qemuVersion, kvm, model, flags];
  return createHash('sha256').update(parts.join('\n')).digest('hex');
}

function lastLine(text: string): string {
  return text.trim().split('\n').at(-1)?.slice(0, 300) ?? '';
}
