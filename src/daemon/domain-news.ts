// What a domain does by itself (a guest's shutdown, a lost QEMU) is told to its instance until it has heard.
//
// N1  Told is the newest that was seen of a domain; what was to be told before it is dropped.
// N2  The instance's actor waits to hear, wherever it runs: news that cannot be delivered is told again, ever more
//     rarely, until the instance has answered or is gone.
// N3  A domain that no actor has ever spoken of to this machine is news to nobody.
import type { DomainReport, Hypervisor } from '../../actors/instance/ports.ts';
import { instanceRef } from '../../actors/instance/state.ts';
import { backoffMs } from '../../actors/kernel/backoff.ts';
import type { Clock, Timer } from '../../actors/kernel/clock.ts';
import { TroupeError, unlessGone } from '../../actors/kernel/errors.ts';
import type { Log, Random, Router } from '../../actors/kernel/ports.ts';
import type { Executors } from '../../actors/node/executors.ts';

export interface DomainNewsOptions {
  readonly hypervisor: Pick<Hypervisor, 'onChange'>;
  readonly executors: Pick<Executors, 'generationOf'>;
  readonly router: Pick<Router, 'ask'>;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
}

const PAUSES = { backoffMs: 500, maxBackoffMs: 30_000 };

/** News of one domain that its instance has not heard yet. */
interface News {
  report: DomainReport;
  timer: Timer | undefined;
}

/** Tells until stopped. */
export class DomainNews {
  readonly #options: DomainNewsOptions;
  readonly #untold = new Map<string, News>();
  readonly #deafen: () => void;
  #isStopped = false;

  constructor(options: DomainNewsOptions) {
    this.#options = options;
    this.#deafen = options.hypervisor.onChange((id, report) => this.#heard(id, report));
  }

  /** What is untold stays so: the next daemon looks at every domain when it starts. */
  stop(): void {
    this.#isStopped = true;
    this.#deafen();
    for (const { timer } of this.#untold.values()) timer?.cancel();
  }

  #heard(instanceId: string, report: DomainReport): void {
    const untold = this.#untold.get(instanceId);
    if (untold !== undefined) return void (untold.report = report);
    const news = { report, timer: undefined };
    this.#untold.set(instanceId, news);
    void this.#tell(instanceId, news);
  }

  async #tell(instanceId: string, news: News): Promise<void> {
    for (let failures = 0; !this.#isStopped;) {
      const { report } = news;
      const isTold = await this.#isTold(instanceId, report);
      if (!isTold) await this.#pause(news, ++failures);
      else if (news.report === report) break;
    }
    this.#untold.delete(instanceId);
  }

  /** Never rejects. True as well when there is nobody to tell. */
  async #isTold(instanceId: string, observed: DomainReport): Promise<boolean> {
    const { executors, router, random, log } = this.#options;
    const generation = executors.generationOf('domain', instanceId);
    if (generation === undefined) return true;
    const trace = random.uuid();
    const message = { kind: 'domain-observed', generation, observed, builtDisks: null } as const;
    try {
      await unlessGone(router.ask(instanceRef(instanceId), message, { trace }));
      return true;
    } catch (error) {
      log('warn', 'news of a domain not delivered', { instance: instanceId, trace, error });
      return error instanceof TroupeError && error.retry === 'never';
    }
  }

  #pause(news: News, failures: number): Promise<void> {
    const { clock, random } = this.#options;
    const delayMs = backoffMs(PAUSES, failures, random.number());
    return new Promise((resolve) => {
      if (!this.#isStopped) news.timer = clock.after(delayMs, resolve);
    });
  }
}
