// A virtual machine.
import type { AnswerOf, BodyOf, Operation, Operator } from '../operator.ts';
import type * as views from '../operations.ts';
import { Handle, wishKey } from './handle.ts';
import { Metadata } from './metadata.ts';
import { eventsOf, type EventFilter } from './past-events.ts';

export type SnapshotWish = BodyOf<'POST /instances/{instance_ref}/snapshot'>;
export type NewInstance = BodyOf<'POST /instances'>;
export type NewInterface = NonNullable<
  BodyOf<'POST /instances/{instance_ref}/interfaces'>['network']
>;

export class Instance extends Handle<views.Instance> {
  protected readonly kind = 'instance';

  get id(): string {
    return this.view.uuid;
  }

  get metadata(): Metadata {
    return new Metadata(this.operator, '/instances/{instance_ref}', this.id);
  }

  protected fetch(): Promise<views.Instance> {
    return this.operator.call('GET /instances/{instance_ref}', this.#here());
  }

  protected override failure(view: views.Instance): string | null {
    return view.error_message;
  }

  async powerOn(): Promise<this> {
    return this.#power('POST /instances/{instance_ref}/poweron');
  }

  async powerOff(): Promise<this> {
    return this.#power('POST /instances/{instance_ref}/poweroff');
  }

  async pause(): Promise<this> {
    return this.#power('POST /instances/{instance_ref}/pause');
  }

  async unpause(): Promise<this> {
    return this.#power('POST /instances/{instance_ref}/unpause');
  }

  /** Asks the guest, or resets it. */
  async reboot({ hard = false } = {}): Promise<this> {
    const verb = hard ? 'reboothard' : 'rebootsoft';
    return this.#power(`POST /instances/{instance_ref}/${verb}`);
  }

  /** One more interface, also while the guest runs. */
  plug(network: NewInterface): Promise<views.Interface> {
    return this.operator.call('POST /instances/{instance_ref}/interfaces', {
      ...this.#here(),
      body: { network },
      idempotencyKey: wishKey(),
    });
  }

  interfaces(): Promise<readonly views.Interface[]> {
    return this.operator.call('GET /instances/{instance_ref}/interfaces', this.#here());
  }

  /** What will be of each disk, by device: a blob that is there once snapshots() has it. */
  snapshot(body: SnapshotWish = {}): Promise<AnswerOf<'POST /instances/{instance_ref}/snapshot'>> {
    return this.operator.call('POST /instances/{instance_ref}/snapshot', {
      ...this.#here(),
      body,
      idempotencyKey: wishKey(),
    });
  }

  /** Those that are there. */
  snapshots(): Promise<AnswerOf<'GET /instances/{instance_ref}/snapshot'>> {
    return this.operator.call('GET /instances/{instance_ref}/snapshot', this.#here());
  }

  /** What has happened to it, newest first. */
  pastEvents(filter: EventFilter = {}): Promise<readonly views.Event[]> {
    return eventsOf(this.operator, 'GET /instances/{instance_ref}/events', this.#here(), filter);
  }

  /** The end of the serial console's log; `bytes` negative: all of it. */
  console(bytes = 10_240): Promise<Uint8Array> {
    const body = { length: bytes };
    return this.operator.bytes('GET /instances/{instance_ref}/consoledata', {
      ...this.#here(),
      body,
    });
  }

  async clearConsole(): Promise<void> {
    await this.operator.call('DELETE /instances/{instance_ref}/consoledata', this.#here());
  }

  /** Accepted; waitUntil('deleted') says when it is done. */
  async delete(): Promise<this> {
    return this.saw(await this.operator.call('DELETE /instances/{instance_ref}', this.#here()));
  }

  async #power(at: Operation & `POST /instances/{instance_ref}/${string}`): Promise<this> {
    await this.operator.call(at, this.#here() as never);
    return this.refresh();
  }

  #here() {
    return { params: { instance_ref: this.id } };
  }
}

export class Instances {
  readonly #operator: Operator;

  constructor(operator: Operator) {
    this.#operator = operator;
  }

  /** Once its addresses and its node are decided; waitUntil('created') says when it runs. */
  async create(body: NewInstance): Promise<Instance> {
    const view = await this.#operator.call('POST /instances', { body, idempotencyKey: wishKey() });
    return new Instance(this.#operator, view);
  }

  /** By UUID or name. Error: NotFoundError. */
  async get(ref: string): Promise<Instance> {
    const params = { instance_ref: ref };
    const view = await this.#operator.call('GET /instances/{instance_ref}', { params });
    return new Instance(this.#operator, view);
  }

  /** `all`: deleted ones too, as long as they are remembered. */
  async list({ all = false } = {}): Promise<readonly Instance[]> {
    const found = await this.#operator.call('GET /instances', { body: { all } });
    return found.map((view) => new Instance(this.#operator, view));
  }
}
