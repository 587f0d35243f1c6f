/** A MAC of our own: `02:00:00:` and three random octets (contract: networks 5.2). `random` is uniform in [0, 1). */
export function randomMac(random: () => number): string {
  const octets = [2, 0, 0, random() * 256, random() * 256, random() * 256];
  return octets.map((octet) => Math.floor(octet).toString(16).padStart(2, '0')).join(':');
}

/** Of 16 million; more than a few taken in a row means that something else is wrong. */
export const MAC_TRIES = 32;
