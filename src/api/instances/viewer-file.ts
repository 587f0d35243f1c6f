// The connection file for remote-viewer (contract: instances 11.4).
export interface Screen {
  readonly kind: 'vnc' | 'spice';
  /** Null: on no machine yet. */
  readonly host: string | null;
  /** Null while it is off. */
  readonly port: number | null;
  readonly tlsPort: number | null;
  /** PEM; empty: none. */
  readonly authority: string;
}

/** What isn't known has no line: a viewer says itself that it cannot connect to nothing. */
export function viewerFile({ kind, host, port, tlsPort, authority }: Screen): string {
  const lines = [
    '[virt-viewer]',
    `type=${kind}`,
    ...(host === null ? [] : [`host=${host}`]),
    ...(port === null ? [] : [`port=${port}`]),
    ...(tlsPort === null ? [] : [`tls-port=${tlsPort}`]),
    'delete-this-file=1',
    // The format has one line for each value, and this way of writing a line's end in it.
    ...(authority === '' ? [] : [`ca=${authority.replaceAll('\n', '\\n')}`]),
  ];
  return `${lines.join('\n')}\n`;
}
