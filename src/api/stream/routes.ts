// Routes of the event stream, and tickets for what speaks WebSocket.
import { TroupeError, codeOf, reasonOf } from '../../../actors/kernel/errors.ts';
import { closed, oneOf, Type } from '../../../actors/kernel/schema.ts';
import {
  CLOSE,
  onlyUpgrades,
  PURPOSES,
  socketRoute,
  type Channel,
  type ChannelEnd,
  type Opening,
} from '../http/channel.ts';
import { json, optional, route, type Caller, type Route } from '../http/route.ts';
import { unauthenticated } from '../identity/auth.ts';
import { resolve } from '../objects/reference.ts';
import { instances } from '../objects/resources.ts';
import { badRequest, type ApiServices } from '../services.ts';
import { consoleSocketRoutes } from './consoles.ts';
import { endFrame } from './frames.ts';
import { holderOf } from './sessions.ts';
import type { Subscriber } from './subscriber.ts';
import { subscription, type Subscription } from './subscription.ts';
import { TICKET_LIFETIME_MS } from './tickets.ts';

/** Until the frame that says what is subscribed to. */
const FIRST_FRAME_MS = 10_000;

const TicketView = closed({
  ticket: Type.String(),
  /** Seconds. */
  expires_in: Type.Integer(),
  /** Where to open the WebSocket with it, from the API's base URL on. */
  path: Type.String(),
});

export function streamRoutes(services: ApiServices): Route[] {
  return [
    socketRoute(
      route('GET /stream', {
        summary: 'Events over WebSocket: from a revision on, or live',
        answer: { upgrade: 'websocket' },
        rule: 'own',
        errors: [426],
        handle: onlyUpgrades,
      }),
      'stream',
      ({ caller }) => openStream(services, caller),
    ),
    ticketRoute(services),
    ...consoleSocketRoutes(services),
  ];
}

function ticketRoute(services: ApiServices): Route {
  const resource = instances(services.read);
  return route('POST /tickets', {
    summary: 'A ticket that opens one WebSocket once, for those who cannot send a header',
    answer: { json: TicketView },
    errors: [404],
    rule: 'own',
    body: {
      purpose: oneOf(PURPOSES),
      instance: optional(Type.String()),
      origin: optional(Type.String()),
    },
    handle: ({ caller, body: { purpose, instance, origin } }) => {
      const holder = holderOf(services, caller);
      if (holder === undefined) throw unauthenticated('');
      const isAboutOne = purpose !== 'stream';
      if (isAboutOne !== (typeof instance === 'string')) {
        throw badRequest('instance is to be given for console and vdi, and for nothing else');
      }
      const objectId = isAboutOne ? resolve(resource, instance ?? '', caller).id : null;
      const worth = { ...holder, purpose, objectId, origin: checkedOrigin(origin ?? null) };
      const ticket = services.tickets.issue(worth);
      const path = objectId === null ? '/stream' : `/instances/${objectId}/${purpose}`;
      return json({
        ticket,
        expires_in: TICKET_LIFETIME_MS / 1000,
        path: `${path}?ticket=${ticket}`,
      });
    },
  });
}

function checkedOrigin(origin: string | null): string | null {
  if (origin === null) return null;
  if (URL.canParse(origin) && new URL(origin).origin === origin) return origin;
  throw badRequest('origin should be as in https://cloud.example: scheme, host and port only');
}

function openStream(services: ApiServices, caller: Caller): Opening {
  const conversation = new Conversation(services, caller);
  return {
    objectId: null,
    speak: (channel) => conversation.begin(channel),
    refusal: () => conversation.refusal,
    abandon: () => undefined,
  };
}

/** One client of the stream: its first frame subscribes, and there is no second. */
class Conversation {
  readonly #services: ApiServices;
  readonly #caller: Caller;
  #subscription: Subscription | undefined;
  #reader: Subscriber | undefined;

  constructor(services: ApiServices, caller: Caller) {
    this.#services = services;
    this.#caller = caller;
  }

  get refusal(): string | null {
    return this.#subscription?.refusal() ?? null;
  }

  begin(channel: Channel): ChannelEnd {
    const { clock, hub } = this.#services;
    const late = clock.after(FIRST_FRAME_MS, () => {
      this.#end(channel, CLOSE.badRequest, 'nothing was subscribed to in time');
    });
    return {
      received: (frame) => {
        late.cancel();
        this.#receive(channel, frame);
      },
      end: (code, reason) => this.#end(channel, code, reason),
      closed: () => {
        late.cancel();
        if (this.#reader !== undefined) hub.leave(this.#reader);
      },
    };
  }

  #receive(channel: Channel, frame: Uint8Array): void {
    try {
      if (this.#subscription !== undefined) throw badRequest('a socket takes one subscription');
      this.#subscription = subscription(this.#services, this.#caller, frame);
      this.#reader = this.#services.hub.join(channel, this.#subscription);
    } catch (error) {
      if (!(error instanceof TroupeError)) throw error;
      const code = codeOf(error) === 'api/not-found' ? CLOSE.forbidden : CLOSE.badRequest;
      this.#end(channel, code, reasonOf(error));
    }
  }

  #end(channel: Channel, code: number, reason: string): void {
    if (this.#reader !== undefined) return this.#reader.end(code, reason);
    channel.sendText(endFrame(code, reason));
    channel.close(code, reason);
  }
}
