// Actors on nact, and the only file that knows nact: start, spawn, dispatch and stop, nothing else.
// nact gives each actor its turns on the event loop; everything it gets wrong is kept out here.
//
// S1  One flat level: every cell is a child of the system itself. nact copies an actor's child map for
//     each message and does not stop children with their parent.
// S2  The mailbox is ours and bounded; nact's holds one wake-up at most. A full or stopped cell says so.
// S3  A failing handler is caught here. onCrash only ever resumes and never throws: nact wedges the
//     actor or runs two handlers at once on most other decisions.
// S4  A cell is one activation, by a serial number that is never used again: what is posted to a stopped
//     cell is refused, and can't reach a later actor of the same address.
// S5  nact's stop is called between slices only, so no handler outlives it; `ended` resolves then.
// S6  The system's name is the node's plus an incarnation: nact resolves references by name, in a map
//     that all systems of a process share.
import { dispatch, spawn, start, stop, type Ref } from 'nact';
import { ActorCell, type CellHost, type CellOptions, type CellRef, type Handler } from './cell.ts';
import type { OnBug, Runnable } from './cell.ts';

type SystemRef = ReturnType<typeof start>;
type Supervision = NonNullable<Parameters<typeof spawn>[3]>;

/** Makes cells; `stop` ends those that are left, and the system. */
export class ActorSystem {
  readonly name: string;
  readonly #ref: SystemRef;
  readonly #cells = new Set<Runnable>();
  readonly #host: CellHost;
  #activations = 0;
  #isStopped = false;

  constructor(node: string, incarnation: string, report: OnBug) {
    this.name = `${node}.${incarnation}`;
    this.#ref = startNamed(this.name);
    const onBug = safely(report);
    const supervision: Supervision = {
      initialState: null,
      onCrash: (_message, error, context) => {
        onBug(error);
        return context.resume;
      },
    };
    this.#host = {
      onBug,
      spawn: (cell) => new NactRef(this.#ref, cell, supervision),
      forget: (cell) => this.#cells.delete(cell),
    };
  }

  get size(): number {
    return this.#cells.size;
  }

  /** A new activation. A paused one accepts entries and takes its first turn after resume(). */
  spawn<T>(handler: Handler<T>, options: CellOptions<T>): ActorCell<T> {
    if (this.#isStopped) throw new Error(`actor system ${this.name} is stopped`);
    const cell = new ActorCell<T>(++this.#activations, handler, options, this.#host);
    this.#cells.add(cell);
    return cell;
  }

  /** Refuses what is posted from now on and resolves when no handler runs any more. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    const cells = [...this.#cells];
    for (const cell of cells) cell.close();
    await Promise.all(cells.map((cell) => cell.ended));
    stop(this.#ref);
  }
}

/** A cell's nact actor, named by its activation. */
class NactRef implements CellRef {
  readonly #ref: Ref<null>;

  constructor(system: SystemRef, cell: Runnable, supervision: Supervision) {
    const turn = (_state: null, _wake: null) => cell.run();
    this.#ref = spawn(system, turn, String(cell.activation), supervision);
  }

  wake(): void {
    dispatch(this.#ref, null);
  }

  stop(): void {
    stop(this.#ref);
  }
}

/** A reporter that fails while nact runs a turn would wedge the actor and end the process (S3). */
function safely(onBug: OnBug): OnBug {
  return (error) => {
    try {
      onBug(error);
    } catch (nested) {
      process.emitWarning(`a bug could not be reported: ${String(nested)}`);
    }
  };
}

/** nact takes the name from an object and ignores the string that its types ask for. */
function startNamed(name: string): SystemRef {
  const named: unknown = { name };
  return start(named as string);
}
