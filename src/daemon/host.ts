// This machine's drivers, made and started in the order of their dependence.
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Clock } from '../../actors/kernel/clock.ts';
import { TroupeError } from '../../actors/kernel/errors.ts';
import type { Log } from '../../actors/kernel/ports.ts';
import type { Drift } from '../../actors/network/ports.ts';
import type { Config } from '../config.ts';
import { exec } from '../drivers/exec.ts';
import { LibvirtHypervisor } from '../drivers/hypervisor/hypervisor.ts';
import type { Probed } from '../drivers/hypervisor/probe.ts';
import { ImageDriver } from '../drivers/image/driver.ts';
import { DEFAULT_FETCH_POLICY } from '../drivers/image/fetch-policy.ts';
import { Ledger } from '../drivers/ledger.ts';
import { NetworkDriver } from '../drivers/network/network-driver.ts';
import { probeHost } from '../drivers/network/probe.ts';
import type { Underlay } from '../drivers/network/segment-wanted.ts';
import { findUnderlay } from './machine.ts';
import { nameTrouble } from './own-name.ts';

/** Our own libvirtd takes 64 requests of a client at a time (libvirtd-settings.ts); a foreign one may take five. */
const OWN_LIBVIRTD_CALLS = 32;

export interface Host {
  readonly ledger: Ledger;
  readonly images: ImageDriver;
  readonly network: NetworkDriver;
  readonly hypervisor: LibvirtHypervisor;
  readonly underlay: Underlay;
  /** Compares what is there with the ledger and with what is wanted; repairs by rule. */
  audit(isWanted: (owner: string) => boolean | undefined, trace: string): Promise<readonly Drift[]>;
  /** Lets go of libvirt and of what images are being worked on; what exists on the machine stays. */
  release(): Promise<void>;
  /** Removes taps, segments and what disks read through: for a daemon that ends together with its guests. */
  removeNetworks(trace: string): Promise<void>;
  /** The last thing. */
  close(): void;
}

export interface HostOptions {
  readonly config: Config;
  readonly libvirtSocket: string;
  /** How this machine runs guests. */
  readonly probed: Probed;
  readonly clock: Clock;
  readonly log: Log;
  readonly trace: string;
}

/** Errors: what the machine lacks (`host/*`), `hypervisor/unavailable`, `config/invalid`. */
export async function openHost(options: HostOptions): Promise<Host> {
  const { config, clock, log, trace } = options;
  await checkNetworking(log, trace);
  // Nothing waits for it: it may take ten seconds.
  void nameTrouble(clock).then((warning) => warning === null || log('warn', warning));
  const underlay = await findUnderlay(config, exec, trace);
  const ledger = new Ledger(join(config.dataDir, 'ledger.db'));
  const images = imageDriver(config, ledger, log);
  await images.start();
  const network = await networkDriver(config, underlay, ledger, log);
  await network.check(trace);
  const hypervisor = await startHypervisor(options, ledger, images);
  return {
    ledger,
    images,
    network,
    hypervisor,
    underlay,
    audit: async (isWanted, auditTrace) => [
      ...(await hypervisor.audit(isWanted, auditTrace)),
      ...(await network.audit(isWanted, auditTrace)),
    ],
    removeNetworks: async (stopTrace) => {
      await network.audit(() => false, stopTrace);
      await images.endReads();
    },
    release: async () => {
      await hypervisor.close();
      await images.close();
    },
    close: () => ledger.close(),
  };
}

async function checkNetworking(log: Log, trace: string): Promise<void> {
  const { problems, warnings } = await probeHost(exec, trace);
  for (const warning of warnings) log('warn', warning);
  if (problems.length > 0) throw new TroupeError('host/tool-failed', problems.join('; '));
}

function imageDriver(config: Config, ledger: Ledger, log: Log): ImageDriver {
  const { keepFreeBytes, maxDiskBytes, fetchAllow, fetchRefuse, uploadIdleMs, httpProxy } =
    config.image;
  return new ImageDriver({
    exec,
    ledger,
    log,
    dir: config.dataDir,
    uploadIdleMs,
    runDir: config.runDir,
    limits: { minFreeBytes: keepFreeBytes, maxVirtualSizeBytes: maxDiskBytes },
    fetchPolicy: {
      refuse: [...DEFAULT_FETCH_POLICY.refuse, ...fetchRefuse],
      allow: [...DEFAULT_FETCH_POLICY.allow, ...fetchAllow],
      ...(httpProxy === null ? {} : { httpProxy }),
    },
  });
}

async function networkDriver(
  config: Config,
  underlay: Underlay,
  ledger: Ledger,
  log: Log,
): Promise<NetworkDriver> {
  const runDir = join(config.runDir, 'network');
  await mkdir(runDir, { recursive: true });
  const { node, hostTag, floatingBlock } = config;
  return new NetworkDriver({ exec, ledger, log, node, hostTag, underlay, runDir, floatingBlock });
}

async function startHypervisor(
  { config, libvirtSocket, probed, clock, log }: HostOptions,
  ledger: Ledger,
  images: ImageDriver,
): Promise<LibvirtHypervisor> {
  const hypervisor = new LibvirtHypervisor({
    socketPath: libvirtSocket,
    ledger,
    log,
    clock,
    random: Math.random,
    instancesDir: images.layout.instances,
    probed,
    consoleListen: config.consoleAddress,
    vdiListen: config.vdiAddress,
    hostTag: `${config.cluster}-${config.node}-${config.hostTag}`,
    // A libvirtd of our own ends its guests when it is stopped for good, and the run directory goes with them.
    ...(config.libvirtSocket === null
      ? { runDir: config.runDir, maxInFlight: OWN_LIBVIRTD_CALLS, hasSpiceTls: true }
      : {}),
  });
  await hypervisor.start();
  return hypervisor;
}
