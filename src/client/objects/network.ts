// A virtual network, and the interfaces on it.
import type { BodyOf, Operator } from '../operator.ts';
import type * as views from '../operations.ts';
import { Handle, wishKey } from './handle.ts';
import { Metadata } from './metadata.ts';
import { eventsOf, type EventFilter } from './past-events.ts';

export type NewNetwork = BodyOf<'POST /networks'>;

export class Network extends Handle<views.Network> {
  protected readonly kind = 'network';

  get id(): string {
    return this.view.uuid;
  }

  get metadata(): Metadata {
    return new Metadata(this.operator, '/networks/{network_ref}', this.id);
  }

  protected fetch(): Promise<views.Network> {
    return this.operator.call('GET /networks/{network_ref}', this.#here());
  }

  interfaces(): Promise<readonly views.Interface[]> {
    return this.operator.call('GET /networks/{network_ref}/interfaces', this.#here());
  }

  /** Addresses that are given out, or rest. */
  addresses(): Promise<readonly views.Address[]> {
    return this.operator.call('GET /networks/{network_ref}/addresses', this.#here());
  }

  /** What has happened to it, newest first. */
  pastEvents(filter: EventFilter = {}): Promise<readonly views.Event[]> {
    return eventsOf(this.operator, 'GET /networks/{network_ref}/events', this.#here(), filter);
  }

  /** An address of the floating block whose packets come into the network untranslated. */
  routeAddress(): Promise<string> {
    return this.operator.call('POST /networks/{network_ref}/route', {
      ...this.#here(),
      idempotencyKey: wishKey(),
    });
  }

  async unrouteAddress(address: string): Promise<void> {
    const params = { network_ref: this.id, address };
    await this.operator.call('DELETE /networks/{network_ref}/route/{address}', { params });
  }

  /** A name that the network's DNS answers for besides its instances'. */
  async setName(name: string, value: string): Promise<void> {
    const body = { name, value };
    await this.operator.call('POST /networks/{network_ref}/dns', { ...this.#here(), body });
  }

  async removeName(name: string): Promise<void> {
    await this.operator.call('DELETE /networks/{network_ref}/dns', {
      ...this.#here(),
      body: { name },
    });
  }

  /** Accepted; waitUntil('deleted') says when it is done, which may be when its last instance goes. */
  async delete(): Promise<this> {
    const view = await this.operator.call('DELETE /networks/{network_ref}', this.#here());
    return view === null ? this : this.saw(view);
  }

  #here() {
    return { params: { network_ref: this.id } };
  }
}

export class Networks {
  readonly #operator: Operator;

  constructor(operator: Operator) {
    this.#operator = operator;
  }

  /** Accepted; waitUntil('created') says when it can be used. */
  async create(body: NewNetwork): Promise<Network> {
    const view = await this.#operator.call('POST /networks', { body, idempotencyKey: wishKey() });
    return new Network(this.#operator, view);
  }

  /** By UUID or name. Error: NotFoundError. */
  async get(ref: string): Promise<Network> {
    const params = { network_ref: ref };
    return new Network(
      this.#operator,
      await this.#operator.call('GET /networks/{network_ref}', { params }),
    );
  }

  async list({ all = false } = {}): Promise<readonly Network[]> {
    const found = await this.#operator.call('GET /networks', { body: { all } });
    return found.map((view) => new Network(this.#operator, view));
  }
}

/** One NIC of one instance. */
export class NetworkInterface extends Handle<views.Interface> {
  protected readonly kind = 'interface';

  get id(): string {
    return this.view.uuid;
  }

  get metadata(): Metadata {
    return new Metadata(this.operator, '/interfaces/{interface_uuid}', this.id);
  }

  protected fetch(): Promise<views.Interface> {
    return this.operator.call('GET /interfaces/{interface_uuid}', this.#here());
  }

  /** Reserves an address by which the outside reaches it; `view.floating` then. */
  async float(): Promise<this> {
    await this.operator.call('POST /interfaces/{interface_uuid}/float', this.#here());
    return this.refresh();
  }

  async defloat(): Promise<this> {
    await this.operator.call('POST /interfaces/{interface_uuid}/defloat', this.#here());
    return this.refresh();
  }

  #here() {
    return { params: { interface_uuid: this.id } };
  }
}
