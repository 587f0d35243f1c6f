// Reading snapshots: stored value -> migrations, one step each -> the kind's own decoder.
//
// P1  A snapshot that can't be read is an error, never an empty object.
// P2  A snapshot of a newer schema is not guessed at: a rolled-back daemon leaves it alone.
import { reasonOf, TroupeError } from './errors.ts';
import type { SnapshotFormat } from './kind.ts';
import type { StoredSnapshot } from './ports.ts';

/** The state in a stored snapshot. Throws TroupeError `actor/bad-snapshot`. */
export function readSnapshot<S>(format: SnapshotFormat<S>, stored: StoredSnapshot): S {
  const { schema } = stored;
  if (!Number.isInteger(schema) || schema < 1)
    throw bad(`expected a schema number from 1, found ${String(schema)}`);
  if (schema > format.schema)
    throw bad(`schema ${schema} is newer than ${format.schema}, the newest this daemon knows`);
  try {
    return format.decode(migrate(format, stored));
  } catch (error) {
    if (error instanceof TroupeError && error.code === 'actor/bad-snapshot') throw error;
    throw bad(reasonOf(error), error);
  }
}

function migrate<S>(format: SnapshotFormat<S>, stored: StoredSnapshot): unknown {
  let value = stored.state;
  for (let schema = stored.schema; schema < format.schema; schema++) {
    const step = format.migrations[schema];
    if (step === undefined) throw bad(`no migration from schema ${schema} to ${schema + 1}`);
    value = step(value);
  }
  return value;
}

function bad(reason: string, cause?: unknown): TroupeError {
  return new TroupeError('actor/bad-snapshot', `snapshot unreadable: ${reason}`, {}, cause);
}
