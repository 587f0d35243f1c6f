// How one lease's renewals travel to etcd: a keepalive stream on a connection of its own.
//
// B1  A link that is reset drops its client, TCP connection included: the next renewal dials anew, at
//     the next host. A connection that died silently costs one renewal, and dead hosts one each: a
//     random choice can meet the same dead host until the lease is over.
// B2  Answers come in the order of the renewals of a stream, so the oldest open one is meant.
import type { IDuplexStream, ILeaseKeepAliveRequest, ILeaseKeepAliveResponse } from 'etcd3';
import { EtcdClient, type EtcdEndpoint } from './etcd-client.ts';
import type { LeaseLink } from './lease-keeper.ts';

type Stream = IDuplexStream<ILeaseKeepAliveRequest, ILeaseKeepAliveResponse>;

/** `revoke` is the store's unary call. */
export function etcdLeaseLink(
  endpoint: EtcdEndpoint,
  revoke: (id: string) => Promise<void>,
  random: () => number,
): LeaseLink {
  const { hosts } = endpoint;
  let dialled = Math.floor(random() * hosts.length);
  let current: KeepaliveStream | undefined;
  let isClosed = false;
  const reset = () => {
    current?.close();
    current = undefined;
  };
  return {
    renew(id) {
      if (isClosed) return Promise.reject(new Error('the lease link is closed'));
      if (current === undefined || current.isBroken) {
        reset();
        const at = dialled % hosts.length;
        dialled++;
        current = new KeepaliveStream({ ...endpoint, hosts: hosts.slice(at, at + 1) });
      }
      return current.renew(id);
    },
    reset,
    close() {
      isClosed = true;
      reset();
    },
    revoke,
  };
}

class KeepaliveStream {
  readonly #client: EtcdClient;
  readonly #stream: Promise<Stream>;
  #waiting: PromiseWithResolvers<boolean>[] = [];
  isBroken = false;

  constructor(endpoint: EtcdEndpoint) {
    this.#client = new EtcdClient(endpoint);
    this.#stream = this.#client.leaseClient.leaseKeepAlive().then((stream) => {
      stream.on('error', (error) => this.#break(error));
      stream.on('end', () => this.#break(new Error('etcd ended the keepalive stream')));
      stream.on('data', (answer) => this.#waiting.shift()?.resolve(Number(answer.TTL) > 0));
      return stream;
    });
    this.#stream.catch((error: unknown) => this.#break(error));
  }

  async renew(id: string): Promise<boolean> {
    const stream = await this.#stream;
    if (this.isBroken) throw new Error('the keepalive stream broke');
    const answer = Promise.withResolvers<boolean>();
    this.#waiting.push(answer);
    stream.write({ ID: id });
    return answer.promise;
  }

  close(): void {
    this.#break(new Error('the keepalive stream is closed'));
    this.#stream.then(
      (stream) => {
        stream.end();
        stream.cancel();
        this.#client.close();
      },
      () => this.#client.close(),
    );
  }

  #break(error: unknown): void {
    this.isBroken = true;
    for (const answer of this.#waiting.splice(0)) answer.reject(error);
  }
}
