// What is asked of the agent in a guest, whichever of the two it has; src/drivers/guest speaks to both.
//
// G1  Nothing is repeated: a call that fails may have been carried out, and says so by rejecting.
// G2  Errors: `guest/refused` with the guest's own reason, after which the agent answers on; `guest/lost` when it
//     does not any more, or never did; `actor/stopped` when called off.
// G3  Everything from the guest is hostile: bounded, and never more than bytes and numbers.

export interface Executed {
  readonly returnCode: number;
  readonly stdout: Uint8Array;
  readonly stderr: Uint8Array;
}

/** Times in seconds since the epoch. */
export interface FileStat {
  readonly mode: number;
  readonly size: number;
  readonly uid: number;
  readonly gid: number;
  readonly atime: number;
  readonly mtime: number;
  readonly ctime: number;
}

export interface GuestFile {
  readonly stat: FileStat;
  /** To be read to its end, or given up by its return(). */
  readonly chunks: AsyncIterable<Uint8Array>;
}

export interface GuestAgent {
  /** Runs a line of the guest's shell as the agent's user, and waits for its end. */
  execute(commandLine: string, signal: AbortSignal): Promise<Executed>;
  /** Refused: `path does not exist`, `path is not a file`. */
  readFile(path: string, signal: AbortSignal): Promise<GuestFile>;
  /** Makes the file, or replaces what is in it. */
  writeFile(path: string, content: AsyncIterable<Uint8Array>, signal: AbortSignal): Promise<void>;
  /** `mode`: permissions as a number, or symbolic as `u+x,go-w`. */
  changeMode(path: string, mode: number | string, signal: AbortSignal): Promise<void>;
}
