// What a machine asks the owner of things that it found on itself: whether they are to stay. The owner may run on
// any daemon, and may have spoken last before this machine's daemon started.
import { closed, received, Type, type Static } from '../kernel/schema.ts';

/** Members of `account-for`, which every kind that owns things on machines takes; replies with an Account. */
export const accountFor = { node: Type.String() };

/** `isKept`: it has, or may still have, something there, and sees to it. `generation`: of its wanted state. */
export const Account = closed({ isKept: Type.Boolean(), generation: Type.Integer() });
export type Account = Static<typeof Account>;

export const decodeAccount = received('account', Account);
