// Events as they happen: of one object after its newest ones, or of everything that the caller may see.
import {
  eventStream,
  StreamError,
  type EventFilter,
  type StreamItem,
} from '../client/event-stream.ts';
import type { View } from '../client/client.ts';
import type { Call, Command } from './command.ts';
import { showMore } from './event-text.ts';
import { CliError } from './failure.ts';

export const followCommand: Command = {
  name: 'event follow',
  summary: 'Show what happens in a namespace, as it happens',
  args: [],
  flags: {
    kind: { type: 'string', value: 'KIND', help: 'only of instances, networks, ...' },
    id: { type: 'string', value: 'UUID', help: 'only of this object; needs --kind' },
    type: { type: 'string', short: 't', value: 'TYPE', help: 'only of this type' },
    of: {
      type: 'string',
      value: 'NAMESPACE',
      help: "another namespace's, as far as it trusts yours",
    },
    after: { type: 'string', value: 'REVISION', help: 'begin after this store revision (now)' },
  },
  examples: ['troupe event follow', 'troupe event follow --kind instance --json'],
  notes: 'It goes on through outages until Ctrl-C. With --json, one event a line, with its object.',
  run: async (call) => {
    const { flags } = call;
    const after = flags.number('after', 0);
    const [kind, id, namespace] = ['kind', 'id', 'of'].map((name) => flags.text(name));
    const filter = {
      ...(kind === undefined ? {} : { kind }),
      ...(id === undefined ? {} : { id }),
      ...(namespace === undefined ? {} : { namespace }),
      ...(after === undefined ? {} : { after }),
    };
    await followStream(call, filter, null);
  },
};

/** Until Ctrl-C. `limit`: of what was before, only the newest so many; null: all that is told. */
export function followStream(call: Call, filter: EventFilter, limit: number | null): Promise<void> {
  const { world, flags } = call;
  const type = flags.text('type');
  const types = type === undefined ? {} : { types: [type] };
  const screen = new Screen(call, limit);
  return new Promise((resolve, reject) => {
    const reading = eventStream(call.client().sockets, { ...filter, ...types }).subscribe({
      next: (item) => screen.show(item),
      error: (error: unknown) => {
        world.signal.removeEventListener('abort', stop);
        if (world.signal.aborted) return resolve();
        reject(error instanceof StreamError ? new CliError(error.message) : error);
      },
    });
    function stop(): void {
      reading.unsubscribe();
      resolve();
    }
    world.signal.addEventListener('abort', stop);
  });
}

class Screen {
  readonly #call: Call;
  readonly #limit: number | null;
  /** What was before, until all of it is known; null: from then on. */
  #before: View[] | null;
  #isFirst = true;
  #isOut = false;

  constructor(call: Call, limit: number | null) {
    this.#call = call;
    this.#limit = limit;
    this.#before = limit === null ? null : [];
  }

  show(item: StreamItem): void {
    switch (item.what) {
      case 'event':
        this.#isOut = false;
        return this.#showEvent(this.#limit === null ? withObject(item) : item.event);
      case 'gap':
        if (this.#before === null) this.#tellGap(item.count);
        return;
      case 'live':
        if (this.#before !== null) this.#print(this.#before);
        this.#before = null;
        return;
      case 'lost':
        if (!this.#isOut) this.#call.say(`${item.reason}; trying again`);
        this.#isOut = true;
    }
  }

  #showEvent(event: View): void {
    if (this.#before === null) return this.#print([event]);
    this.#before.push(event);
    if (this.#before.length > (this.#limit ?? 0)) this.#before.shift();
  }

  #print(events: readonly View[]): void {
    showMore(this.#call, events, this.#isFirst);
    if (events.length > 0) this.#isFirst = false;
  }

  #tellGap(count: number | null): void {
    const some = count === null ? 'some' : String(count);
    this.#call.say(`${some} events are no longer kept, and are not shown`);
  }
}

/** As the list of one object has it, with what it is about before the message. */
function withObject({ event, ...about }: Extract<StreamItem, { what: 'event' }>): View {
  const { kind, id, namespace } = about;
  return { kind, id, namespace, ...event, message: `${kind} ${id}: ${String(event['message'])}` };
}
