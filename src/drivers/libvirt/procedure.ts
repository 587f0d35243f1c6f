// What a procedure is: a row of the tables in procedures-*.ts. Names and numbers are libvirt's own; a
// number is never reused there, because an old client must work with a new daemon.
import { QEMU_PROGRAM, REMOTE_PROGRAM } from './frame.ts';
import { nothing } from './xdr.ts';
import type { Codec } from './xdr.ts';

export interface Procedure<Arguments, Result> {
  /** libvirt's name without the REMOTE_PROC_ or QEMU_PROC_, in lower case. */
  readonly name: string;
  readonly program: number;
  readonly number: number;
  readonly args: Codec<Arguments>;
  readonly result: Codec<Result>;
}

/** A procedure of the program that all hypervisors share. */
export function remote<A, R = void>(
  name: string,
  number: number,
  args: Codec<A>,
  result?: Codec<R>,
): Procedure<A, R> {
  return row(REMOTE_PROGRAM, { name, number }, args, result);
}

/** A procedure of the program that only the QEMU driver has. */
export function qemu<A, R = void>(
  name: string,
  number: number,
  args: Codec<A>,
  result?: Codec<R>,
): Procedure<A, R> {
  return row(QEMU_PROGRAM, { name, number }, args, result);
}

function row<A, R>(
  program: number,
  id: { name: string; number: number },
  args: Codec<A>,
  result?: Codec<R>,
): Procedure<A, R> {
  // Without a result codec R is void, which is what `nothing` carries.
  return { ...id, program, args, result: result ?? (nothing as Codec<R>) };
}
