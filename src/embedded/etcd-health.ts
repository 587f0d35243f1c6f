// Whether an etcd serves: its own health page, over the connection that the store will use.
import { request as requestPlain } from 'node:http';
import { request as requestSecure } from 'node:https';

/** What the store needs to connect; fits EtcdEndpoint of transport/store. */
export interface EtcdAccess {
  /** `http://host:port` or `https://host:port`. */
  readonly hosts: readonly string[];
  readonly credentials?: EtcdCredentials;
  /** Of its certificate, where that is not the host's. */
  readonly serverName?: string;
}

/** PEM. */
export type EtcdCredentials =
  | { readonly rootCertificate: Buffer }
  | { readonly rootCertificate: Buffer; readonly certChain: Buffer; readonly privateKey: Buffer };

const TIMEOUT_MS = 3_000;

/**
 * Resolves when it has a leader and can be written to. A full store counts as healthy: it still serves
 * reads and deletes, and what to do about it is the store's user's business.
 */
export async function checkEtcdHealth(
  url: string,
  credentials: EtcdCredentials | undefined,
  signal: AbortSignal,
): Promise<void> {
  const body = await get(new URL('/health?exclude=NOSPACE', url), credentials, signal);
  if (!body.includes('"health":"true"')) throw new Error(`its health is ${body.slice(0, 200)}`);
}

function get(
  url: URL,
  credentials: EtcdCredentials | undefined,
  signal: AbortSignal,
): Promise<string> {
  const { rootCertificate: ca, ...pair } = credentials ?? {};
  const { certChain: cert, privateKey: key } = {
    certChain: undefined,
    privateKey: undefined,
    ...pair,
  };
  const limit = AbortSignal.any([signal, AbortSignal.timeout(TIMEOUT_MS)]);
  const request = url.protocol === 'https:' ? requestSecure : requestPlain;
  return new Promise((resolve, reject) => {
    const sent = request(url, { ca, cert, key, agent: false, signal: limit }, (response) => {
      let text = '';
      response.setEncoding('utf8');
      response.on('data', (chunk: string) => (text += chunk));
      response.on('end', () => resolve(text));
      response.on('error', reject);
    });
    sent.on('error', reject);
    sent.end();
  });
}
