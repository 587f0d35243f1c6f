// The programmatic client: typed objects with their verbs, over any nodes of a cluster.
import type { Observable } from 'rxjs';
import { Connection, type ConnectionOptions } from './connection.ts';
import { eventStream, type EventFilter, type StreamItem } from './event-stream.ts';
import { Artifacts } from './objects/artifact.ts';
import { Blobs } from './objects/blob.ts';
import { Labels } from './objects/label.ts';
import { Instances } from './objects/instance.ts';
import { NetworkInterface, Networks } from './objects/network.ts';
import { Operator } from './operator.ts';
import type { Transport } from './transport.ts';

export interface TroupeOptions extends Omit<ConnectionOptions, 'urls' | 'transport'> {
  /** Base URLs of one or more nodes; the others are tried when one does not answer. */
  readonly urls: string | readonly string[];
}

export class Troupe {
  readonly instances: Instances;
  readonly networks: Networks;
  readonly artifacts: Artifacts;
  readonly blobs: Blobs;
  readonly labels: Labels;
  /** Whatever has no verb of its own here: every route of the API, typed. */
  readonly api: Operator;

  constructor({ urls, ...options }: TroupeOptions, transport: Transport) {
    const all = typeof urls === 'string' ? [urls] : urls;
    const bare = all.map((url) => url.replace(/\/+$/, ''));
    this.api = new Operator(new Connection({ ...options, transport, urls: bare }));
    this.instances = new Instances(this.api);
    this.networks = new Networks(this.api);
    this.artifacts = new Artifacts(this.api);
    this.blobs = new Blobs(this.api);
    this.labels = new Labels(this.api);
  }

  /**
   * What happens, as it happens, or from a place in the past on; it outlives its connections (event-stream.ts). Errors:
   * StreamError, and those of a login.
   */
  events(filter: EventFilter = {}): Observable<StreamItem> {
    return eventStream(this.api.connection, filter);
  }

  /** By its UUID. Error: NotFoundError. */
  async interface(id: string): Promise<NetworkInterface> {
    const params = { interface_uuid: id };
    return new NetworkInterface(
      this.api,
      await this.api.call('GET /interfaces/{interface_uuid}', { params }),
    );
  }
}
