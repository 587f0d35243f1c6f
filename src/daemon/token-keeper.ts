// The cluster's token secrets, as one record in the store that every daemon follows: whoever starts first makes it, and
// whoever finds first that it is due, or is told to, rotates it.
import { randomBytes } from 'node:crypto';
import type { Clock } from '../../actors/kernel/clock.ts';
import { TroupeError } from '../../actors/kernel/errors.ts';
import type { Log } from '../../actors/kernel/ports.ts';
import { closed, decoder, nullable, Type } from '../../actors/kernel/schema.ts';
import { decodeEnvelope, encodeEnvelope } from '../../transport/store/codec.ts';
import { follow, type Follow } from '../../transport/store/follow.ts';
import type { Keys } from '../../transport/store/keys.ts';
import type { Store } from '../../transport/store/store.ts';
import {
  countingSecrets,
  isDue,
  rotated,
  signingSecret,
  type TokenSecret,
  type TokenSecrets,
} from '../api/identity/token-secrets.ts';
import { Repeating } from './repeating.ts';

const DAY_MS = 86_400_000;
/** Between two looks whether another is due; a look costs nothing. */
const LOOK_MS = 3_600_000;
const SECRET_BYTES = 32;
const TRIES = 5;

export interface TokenKeeperOptions {
  readonly store: Store;
  readonly keys: Keys;
  readonly clock: Clock;
  readonly random: () => number;
  readonly log: Log;
  readonly trace: () => string;
  /** 0: never by itself. */
  readonly rotateDays: number;
}

const decode = decoder(
  'token secrets',
  Type.Array(
    closed({
      secret: Type.String(),
      signsFromMs: Type.Number(),
      countsUntilMs: nullable(Type.Number()),
    }),
  ),
  'store/bad-value',
);

export class TokenKeeper implements TokenSecrets {
  readonly #options: TokenKeeperOptions;
  readonly #key: string;
  readonly #follow: Follow;
  readonly #repeating: Repeating;
  #all: readonly TokenSecret[] = [];

  private constructor(options: TokenKeeperOptions) {
    this.#options = options;
    const { store, keys, clock, random, log, trace } = options;
    this.#key = keys.alloc('secret', 'token');
    this.#follow = follow(
      store,
      keys.allocs('secret'),
      {
        changes: (changes) => {
          for (const change of changes) {
            // One that is removed by hand goes on to count here, until the daemon starts again.
            if (change.key === this.#key && change.kind === 'put') this.#take(change.entry.value);
          }
        },
        failed: (error) => log('error', 'token secrets are not followed any more', { error }),
      },
      { clock, random },
    );
    this.#repeating = new Repeating({
      clock,
      log,
      everyMs: LOOK_MS,
      trace,
      failed: 'the token secret was not rotated',
      run: () => this.#rotateWhenDue(),
    });
  }

  /** Makes the record if there is none. Errors: `store/*`. */
  static async open(options: TokenKeeperOptions): Promise<TokenKeeper> {
    const { store, keys, clock } = options;
    const key = keys.alloc('secret', 'token');
    const first = rotated([], randomBytes(SECRET_BYTES), { nowMs: clock.nowMs(), isAtOnce: true });
    await store.txn({
      compare: [{ target: 'create', key, is: '==', than: 0 }],
      then: [{ op: 'put', key, value: encode(first) }],
    });
    const keeper = new TokenKeeper(options);
    try {
      await keeper.#follow.ready();
      return keeper;
    } catch (error) {
      await keeper.close();
      throw error;
    }
  }

  signing(): Uint8Array {
    const found = signingSecret(this.#all, this.#options.clock.nowMs());
    if (found !== undefined) return found.secret;
    throw new TroupeError('store/bad-value', `${this.#key} holds no token secret`);
  }

  accepted(): readonly Uint8Array[] {
    return countingSecrets(this.#all, this.#options.clock.nowMs()).map(({ secret }) => secret);
  }

  /** `isAtOnce`: every token there is ends now. Errors: `store/*`. */
  async rotate(isAtOnce: boolean): Promise<void> {
    const { store, clock } = this.#options;
    for (let tried = 0; tried < TRIES; tried++) {
      const entry = await store.get(this.#key);
      const before = entry === null ? [] : read(entry.value);
      const at = { nowMs: clock.nowMs(), isAtOnce };
      const value = encode(rotated(before, randomBytes(SECRET_BYTES), at));
      const { succeeded } = await store.txn({
        compare: [{ target: 'mod', key: this.#key, is: '==', than: entry?.modRevision ?? 0 }],
        then: [{ op: 'put', key: this.#key, value }],
      });
      if (!succeeded) continue;
      // Known here at once: what is signed next is signed with it.
      return this.#take(value);
    }
    throw new TroupeError('store/conflict', 'others rotate the token secret at the same time');
  }

  async close(): Promise<void> {
    await this.#repeating.stop();
    await this.#follow.close();
  }

  async #rotateWhenDue(): Promise<void> {
    const { clock, rotateDays, log } = this.#options;
    if (rotateDays === 0 || !isDue(this.#all, clock.nowMs(), rotateDays * DAY_MS)) return;
    log('info', 'the token secret is rotated, as it is old enough');
    await this.rotate(false);
  }

  /** Those that are known stay the same objects: the verifier goes by them. */
  #take(value: Uint8Array): void {
    const known = this.#all;
    this.#all = read(value).map((one) => {
      const same = known.find(({ secret }) => Buffer.compare(secret, one.secret) === 0);
      return same === undefined ? one : { ...one, secret: same.secret };
    });
  }
}

function encode(all: readonly TokenSecret[]): Uint8Array {
  const state = all.map((one) => ({ ...one, secret: Buffer.from(one.secret).toString('base64') }));
  return encodeEnvelope({ schema: 2, state });
}

/** Schema 1 was one secret for ever. Error: `store/bad-value`. */
function read(value: Uint8Array): TokenSecret[] {
  const decoded = decodeEnvelope(value);
  if (!decoded.ok) throw new TroupeError('store/bad-value', `token secrets: ${decoded.reason}`);
  const { state } = decoded.envelope;
  if (typeof state === 'string') {
    return [{ secret: Buffer.from(state, 'base64'), signsFromMs: 0, countsUntilMs: null }];
  }
  return decode(state).map((one) => ({ ...one, secret: Buffer.from(one.secret, 'base64') }));
}
