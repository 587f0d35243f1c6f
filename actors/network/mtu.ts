// The one place that computes MTUs: bridge, VTEP, veth, tap and DHCP option all use the number given here.
import { TroupeError } from '../kernel/errors.ts';

/** What VXLAN over IPv4 adds to a guest's packet: Ethernet 14, VXLAN 8, UDP 8, IPv4 20. */
export const VXLAN_OVERHEAD_BYTES = 50;
/** Guests may use IPv6 among themselves, which needs at least this much. */
const SMALLEST_GUEST_MTU = 1280;
/** The largest MTU that the kernel gives a tap. */
const LARGEST_GUEST_MTU = 65_521;

/**
 * MTU of everything on a segment, guests included, when the machines reach each other over links of
 * `underlayMtu` bytes. The same whether or not a segment has peers yet: a guest's MTU cannot change when
 * a second machine joins. Errors: `config/invalid` outside what guests and kernel can use.
 */
export function segmentMtu(underlayMtu: number): number {
  const mtu = underlayMtu - VXLAN_OVERHEAD_BYTES;
  const smallest = SMALLEST_GUEST_MTU + VXLAN_OVERHEAD_BYTES;
  const largest = LARGEST_GUEST_MTU + VXLAN_OVERHEAD_BYTES;
  if (Number.isInteger(underlayMtu) && underlayMtu >= smallest && underlayMtu <= largest) {
    return mtu;
  }
  throw new TroupeError(
    'config/invalid',
    `an underlay MTU of ${underlayMtu} leaves no usable guest MTU; set it to a whole number from ${smallest} to ${largest} on the link between the machines`,
    { underlayMtu },
  );
}
