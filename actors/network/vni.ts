const MAX_VNI = 2 ** 24 - 1;

/** 1 to 16777215 (contract: networks 5.1). `random` is uniform in [0, 1). */
export function randomVni(random: () => number): number {
  return 1 + Math.floor(random() * MAX_VNI);
}

/** Of 16 million; more than a few taken in a row means that something else is wrong. */
export const VNI_TRIES = 32;
