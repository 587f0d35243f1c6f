// Whether two daemons may talk, and in which version. Pure: both ends judge alike.
import type { Hello } from './frame.ts';

export type Verdict =
  | { readonly ok: true; readonly protocol: number }
  /** Nothing will change by dialling again with the same software and settings. */
  | { readonly ok: false; readonly reason: string };

export type Greeting = Pick<Hello, 'protocolMin' | 'protocolMax' | 'cluster' | 'node'>;

/** `name`: the peer's name by its certificate. */
export function judgeHello(own: Greeting, peer: Greeting, name: string): Verdict {
  if (peer.cluster !== own.cluster)
    return no(`this is cluster ${own.cluster}, the peer is of ${peer.cluster}`);
  if (peer.node !== name) return no(`the certificate of ${name} says hello as ${peer.node}`);
  if (peer.node === own.node) return no(`both ends are called ${own.node}`);
  const protocol = Math.min(own.protocolMax, peer.protocolMax);
  if (protocol < own.protocolMin || protocol < peer.protocolMin) {
    const ours = `${own.protocolMin} to ${own.protocolMax}`;
    return no(`protocols ${ours} here, ${peer.protocolMin} to ${peer.protocolMax} there`);
  }
  return { ok: true, protocol };
}

function no(reason: string): Verdict {
  return { ok: false, reason };
}
