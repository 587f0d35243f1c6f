// What a transfer needs of a socket, and how it ends one.

export interface BlobWire {
  /** `sent` is called once the socket has let go of the bytes, or has closed. */
  send(bytes: Uint8Array, sent?: () => void): void;
  close(code: number, reason: string): void;
}

/** WebSocket close codes of ours; the same numbers as the mesh's (transport/mesh/link.ts). */
export const CLOSE = { protocol: 4000, refused: 4001, done: 4002, silent: 4003 } as const;

/** A close takes 123 bytes, and ws throws at more. */
const MAX_REASON_BYTES = 120;

/** At most MAX_REASON_BYTES of UTF-8, no character cut in two. */
export function shortReason(text: string): string {
  const bytes = Buffer.from(text).subarray(0, MAX_REASON_BYTES);
  return new TextDecoder().decode(bytes, { stream: true });
}
