// Crashes on demand, for tests: the daemon kills itself at a named boundary of an actor's work.
//
// A point is `kind/effect/stage` or `kind/turn/stage` (see Boundary); `#n` behind it means the n-th time.
import type { Boundary } from '../../actors/kernel/environment.ts';

/** Undefined without a crash point: nothing is called then. */
export function crashAt(point: string | null): ((boundary: Boundary) => void) | undefined {
  if (point === null) return undefined;
  const [wanted, count = '1'] = point.split('#');
  let left = Number(count);
  return (boundary) => {
    if (nameOf(boundary) !== wanted || --left > 0) return;
    // As a power cut would: no handler runs, nothing is flushed.
    process.kill(process.pid, 'SIGKILL');
  };
}

function nameOf(boundary: Boundary): string {
  return `${boundary.address.kind}/${boundary.effect ?? 'turn'}/${boundary.stage}`;
}
