// Instances as libvirt domains on this machine: implements Hypervisor of actors/instance/ports.ts.
//
// Y1  What is done to one instance is done one after the other, different instances in parallel; the
//     fence is checked when the turn comes, not when the call was made.
// Y2  Without libvirt every call fails at once with `hypervisor/unavailable`; nothing waits for it to come
//     back, and guests run on without it and without us.
// Y3  In the ledger before libvirt hears of it, out of the ledger after libvirt has forgotten it.
// Y4  Only domains with this daemon's mark are ever changed (own-domains.ts).
import { rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Duplex } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import type {
  DiskCopies,
  DomainReport,
  DomainSpec,
  Hypervisor,
  HypervisorCapabilities,
  Screenshot,
} from '../../../actors/instance/ports.ts';
import type { GuestAgent } from '../../../actors/instance/guest-agent.ts';
import type { Clock } from '../../../actors/kernel/clock.ts';
import { TroupeError } from '../../../actors/kernel/errors.ts';
import { formatAddress } from '../../../actors/kernel/kind.ts';
import type { Log } from '../../../actors/kernel/ports.ts';
import type { Drift, WantedBy } from '../../../actors/network/ports.ts';
import { AGENT_SIDE_CHANNEL, AgentWatch } from '../guest/agent-watch.ts';
import type { Ledger } from '../ledger.ts';
import { connectLibvirt, type Libvirt } from '../libvirt/client.ts';
import { isLibvirtError } from '../libvirt/errors.ts';
import { domainRef } from '../libvirt/wire.ts';
import { readBootId } from './boot-id.ts';
import { auditDomains, type IsWanted } from './audit.ts';
import { clearLog, readLog } from './console-log.ts';
import { copyDisks, endLeftCopies } from './copy-disks.ts';
import { converge, reportDomain, type ConvergeTools } from './converge.ts';
import { channelSocket, consoleLog, graphicsKind, nvramFile, socketFolder } from './definition.ts';
import { domainName, DomainRecords } from './domain-record.ts';
import { DomainWatch, type ChangeListener } from './domain-watch.ts';
import { toTroupeError } from './failure.ts';
import { inspectMachine, type Machine } from './machine.ts';
import { OwnDomains } from './own-domains.ts';
import { qemuAgentCall } from './qemu-agent-call.ts';
import { PortPool, type PortRange } from './port-pool.ts';
import type { Probed } from './probe.ts';
import { undefineDomain } from './remove.ts';
import { dialConsole, SerialLines } from './serial-line.ts';
import { explainStillborn } from './stillborn.ts';
import { Turns } from '../turns.ts';
import { UsageReader, type DomainUsage } from './usage.ts';

export interface LibvirtHypervisorOptions {
  /** libvirtd's read-write socket. */
  readonly socketPath: string;
  readonly ledger: Ledger;
  readonly log: Log;
  readonly clock: Clock;
  /** Uniform in [0, 1). */
  readonly random: () => number;
  /** A folder per instance is below it: console log, UEFI variables, sockets. */
  readonly instancesDir: string;
  /** What probe() found. */
  readonly probed: Probed;
  /** `q35` unless told. */
  readonly machineType?: 'q35' | 'pc';
  /** Address that serial consoles listen on. */
  readonly consoleListen: string;
  /** Address that graphical consoles listen on. */
  readonly vdiListen: string;
  /** libvirt has a certificate to show to viewers of SPICE screens, which then get TLS alone. False unless told. */
  readonly hasSpiceTls?: boolean;
  /** 30000 to 50000 unless told. */
  readonly portRange?: PortRange;
  /** Tells this daemon's domains from another's on the same libvirt: cluster and node. */
  readonly hostTag: string;
  /** How long start() waits for libvirtd; 30 s unless told. */
  readonly startTimeoutMs?: number;
  /**
   * The run directory of an embedded libvirtd that ends all guests when it is stopped, and then loses
   * this directory; so that they are started again. Left out: guests end by themselves or with the host.
   */
  readonly runDir?: string;
  /** Calls with libvirtd at once; must stay below its max_client_requests. 4 unless told. */
  readonly maxInFlight?: number;
}

const DEFAULT_PORTS: PortRange = { first: 30_000, last: 50_000 };
const START_TIMEOUT_MS = 30_000;
const START_PAUSE_MS = 200;
/** A full disk does not empty by itself: between two tries to go on after an I/O error. */
const IO_RETRY_MS = 30_000;
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

interface Running {
  readonly libvirt: Libvirt;
  readonly tools: ConvergeTools;
  readonly usage: UsageReader;
}

/** Call start() before anything else and close() at the end. */
export class LibvirtHypervisor implements Hypervisor {
  readonly #options: LibvirtHypervisorOptions;
  readonly #turns = new Turns();
  readonly #records: DomainRecords;
  readonly #ports: PortPool;
  readonly #watch: DomainWatch;
  readonly #lines = new SerialLines();
  readonly #agents: AgentWatch;
  readonly #ioRetriedAt = new Map<string, number>();
  #deafen: () => void = () => undefined;
  #running: Running | undefined;

  constructor(options: LibvirtHypervisorOptions) {
    const { ledger, log, random, portRange: range = DEFAULT_PORTS } = options;
    this.#options = options;
    this.#records = new DomainRecords(ledger);
    this.#ports = new PortPool({ range, random, held: () => this.#records.heldPorts() });
    this.#watch = new DomainWatch({
      records: this.#records,
      turns: this.#turns,
      log,
      look: (instanceId) => this.#look(instanceId),
    });
    this.#agents = new AgentWatch({
      clock: options.clock,
      qemuCall: (instanceId) => qemuAgentCall(() => this.#tools().libvirt, instanceId),
      socketPath: (id) => channelSocket(this.#folder(id), AGENT_SIDE_CHANNEL),
      onChange: (instanceId) => this.#watch.changed(instanceId),
    });
  }

  /**
   * Connects and does libvirt's slow first call. From then on the connection comes back by itself.
   * Error: `hypervisor/unavailable` when libvirtd does not answer in time.
   */
  async start(signal?: AbortSignal): Promise<void> {
    const { probed, machineType = 'q35', runDir } = this.#options;
    const bootId = await readBootId(runDir);
    const libvirt = await this.#connect(signal);
    try {
      const machine = await inspectMachine(libvirt, probed, machineType);
      const tools = this.#toolsFor(libvirt, machine, bootId);
      const pidDir = join(dirname(this.#options.socketPath), 'qemu');
      const usage = new UsageReader({ libvirt, records: this.#records, pidDir });
      await endLeftCopies({ ...this.#options, libvirt });
      this.#running = { libvirt, tools, usage };
      this.#deafen = libvirt.subscribe((event) => {
        if (event.kind === 'agent') {
          this.#agents.channelChanged(event.domain.uuid, event.state === 'connected');
        }
        this.#watch.hear(event);
      });
    } catch (error) {
      await libvirt.close();
      throw toTroupeError(error, 'asking libvirt what it can do');
    }
  }

  /** Lets what is under way end, then disconnects. Guests run on. */
  async close(): Promise<void> {
    const running = this.#running;
    this.#running = undefined;
    this.#agents.stop();
    await this.#turns.idle();
    // The end of the connection is our own doing: nobody has to hear of it.
    this.#deafen();
    await running?.libvirt.close();
  }

  /** What this machine can run. Error: `hypervisor/unavailable` before start(). */
  get capabilities(): HypervisorCapabilities {
    return this.#tools().machine.capabilities;
  }

  async ensureDomain(spec: DomainSpec, by: WantedBy): Promise<DomainReport> {
    return await this.#turn(spec.instanceId, by, async () => {
      const converged = await converge(this.#tools(), spec, by);
      this.#agents.expect(spec.instanceId, spec.sideChannels);
      const report = this.#agents.reported(spec.instanceId, converged);
      this.#watch.remember(spec.instanceId, report);
      return report;
    });
  }

  async removeDomain(instanceId: string, by: WantedBy): Promise<void> {
    await this.#turn(instanceId, by, () => this.#remove(instanceId));
  }

  async domains(): Promise<readonly string[]> {
    const own = await translated('listing domains', () => this.#tools().own.list());
    return own.map(({ instanceId }) => instanceId);
  }

  onChange(listener: ChangeListener): () => void {
    return this.#watch.subscribe(listener);
  }

  lookAgain(isMeant: (instanceId: string) => boolean): void {
    this.#watch.lookAgain(isMeant);
  }

  /** How a screen is shown here that was asked for as `vdi`. */
  screenKind(vdi: string): 'vnc' | 'spice' {
    return graphicsKind(vdi, this.#tools().machine);
  }

  async readConsole(instanceId: string, lengthBytes: number): Promise<Uint8Array> {
    return await readLog(consoleLog(this.#folder(instanceId)), lengthBytes);
  }

  async clearConsole(instanceId: string): Promise<void> {
    await clearLog(consoleLog(this.#folder(instanceId)));
  }

  /** What the guests here use, those that run or are paused. */
  async usage(): Promise<readonly DomainUsage[]> {
    return await translated('counting what guests use', () => this.#started().usage.read());
  }

  async screenshot(instanceId: string): Promise<Screenshot> {
    const domain = domainRef(instanceId, domainName(instanceId));
    return await translated(`screen of instance ${instanceId}`, () =>
      this.#tools()
        .libvirt.guest.screenshot(domain)
        .catch((error: unknown) => {
          if (!isLibvirtError(error, 'operation-invalid')) throw error;
          const reason = 'Invalid lifecycle state: the guest does not run, and has no screen';
          throw new TroupeError('object/wrong-phase', reason, {}, error);
        }),
    );
  }

  agentOf(instanceId: string): GuestAgent {
    return this.#agents.agentOf(instanceId);
  }

  async copyDisks(copies: DiskCopies): Promise<void> {
    const { instanceId } = copies;
    const { ledger, clock } = this.#options;
    await translated(`copying the disks of instance ${instanceId}`, () =>
      copyDisks(
        {
          ...this.#tools(),
          ledger,
          clock,
          turn: (work) => this.#turns.run(instanceId, work),
        },
        copies,
      ),
    );
  }

  /**
   * The bytes of a running guest's console, both ways. The serial one is shared by all who have it open; of graphic ones
   * each has its own (VNC, SPICE). The caller destroys it. Error: `object/wrong-phase` when there is none now.
   */
  async openConsole(instanceId: string, which: 'serial' | 'graphic'): Promise<Duplex> {
    const { consoleListen, vdiListen } = this.#options;
    // Asked of libvirt: once a guest is off, its port may be that of another program.
    const report = await translated('looking for a console', () => this.#look(instanceId));
    const port = which === 'serial' ? report?.consolePort : report?.vdiPort;
    if (port === undefined || port === null) {
      throw new TroupeError('object/wrong-phase', 'the instance is off: it has no console now');
    }
    if (which === 'graphic') return await dialConsole({ host: vdiListen, port });
    return await this.#lines.attach(instanceId, { host: consoleListen, port });
  }

  /**
   * Compares libvirt's domains of ours with the ledger and with what is wanted (undefined: not known yet).
   * Removes what is in the ledger and wanted by nobody; anything else is only reported.
   */
  async audit(isWanted: IsWanted, trace: string): Promise<readonly Drift[]> {
    const { log } = this.#options;
    return await translated('auditing domains', () =>
      auditDomains({
        own: this.#tools().own,
        records: this.#records,
        turns: this.#turns,
        isWanted,
        remove: (instanceId) => this.#remove(instanceId),
        logPath: (instanceId) => consoleLog(this.#folder(instanceId)),
        log: (level, message, fields) => log(level, message, { ...fields, trace }),
      }),
    );
  }

  /** Y1. */
  async #turn<T>(instanceId: string, by: WantedBy, work: () => Promise<T>): Promise<T> {
    this.#folder(instanceId);
    return await this.#turns.run(instanceId, async () => {
      if (by.signal.aborted) throw new TroupeError('actor/stopped', `${instanceId}: called off`);
      this.#options.ledger.fence(formatAddress(by.owner), by);
      return await translated(`domain of instance ${instanceId}`, () =>
        work().catch((error: unknown) => this.#explain(instanceId, error)),
      );
    });
  }

  async #explain(instanceId: string, error: unknown): Promise<never> {
    const domain = domainRef(instanceId, domainName(instanceId));
    throw await explainStillborn(this.#tools().libvirt, domain, error);
  }

  async #remove(instanceId: string): Promise<void> {
    const folder = this.#folder(instanceId);
    await undefineDomain(this.#tools(), instanceId);
    await rm(socketFolder(folder), { recursive: true, force: true });
    await rm(nvramFile(folder), { force: true });
    this.#agents.forget(instanceId);
    this.#watch.forget(instanceId);
    this.#ioRetriedAt.delete(instanceId);
    this.#records.forget(instanceId);
  }

  async #look(instanceId: string): Promise<DomainReport | undefined> {
    const record = this.#records.get(instanceId);
    if (this.#running === undefined || record === undefined) return undefined;
    const { tools } = this.#running;
    const domain = await tools.own.find(instanceId);
    if (domain === undefined) return undefined;
    return this.#agents.reported(instanceId, await reportDomain(tools, domain.ref, record));
  }

  async #connect(signal?: AbortSignal): Promise<Libvirt> {
    const { socketPath, clock, maxInFlight, startTimeoutMs = START_TIMEOUT_MS } = this.#options;
    const giveUpAt = clock.monoMs() + startTimeoutMs;
    for (;;) {
      const left = giveUpAt - clock.monoMs();
      try {
        return await connectLibvirt({
          socketPath,
          connectTimeoutMs: Math.max(left, START_PAUSE_MS),
          ...(maxInFlight === undefined ? {} : { maxInFlight }),
          ...(signal === undefined ? {} : { signal }),
        });
      } catch (error) {
        const mayComeUp = isLibvirtError(error, 'unreachable') && left > START_PAUSE_MS;
        if (!mayComeUp) throw toTroupeError(error, `libvirtd at ${socketPath}`);
        await delay(START_PAUSE_MS);
      }
    }
  }

  #toolsFor(libvirt: Libvirt, machine: Machine, bootId: string): ConvergeTools {
    const { hostTag, consoleListen, vdiListen, hasSpiceTls = false, log } = this.#options;
    return {
      libvirt,
      machine,
      log,
      hostTag,
      consoleListen,
      vdiListen,
      hasSpiceTls,
      bootId,
      own: new OwnDomains(libvirt, hostTag),
      records: this.#records,
      ports: this.#ports,
      folder: (instanceId) => this.#folder(instanceId),
      mayRetryIo: (instanceId) => this.#mayRetryIo(instanceId),
    };
  }

  #tools(): ConvergeTools {
    return this.#started().tools;
  }

  #started(): Running {
    if (this.#running !== undefined) return this.#running;
    throw new TroupeError('hypervisor/unavailable', 'the hypervisor driver is not started');
  }

  #mayRetryIo(instanceId: string): boolean {
    const now = this.#options.clock.monoMs();
    if (now - (this.#ioRetriedAt.get(instanceId) ?? -Infinity) < IO_RETRY_MS) return false;
    this.#ioRetriedAt.set(instanceId, now);
    return true;
  }

  /** Refuses an id that is no UUID before it becomes a path. */
  #folder(instanceId: string): string {
    if (UUID.test(instanceId)) return join(this.#options.instancesDir, instanceId);
    throw new TroupeError('hypervisor/refused', `an instance's id is a UUID, not '${instanceId}'`);
  }
}

async function translated<T>(what: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw toTroupeError(error, what);
  }
}
