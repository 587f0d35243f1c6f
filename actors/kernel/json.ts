// Plain data: what states, messages and events are made of. No Map, Date, class or function inside.

export type Json = null | boolean | number | string | readonly Json[] | JsonObject;
export interface JsonObject {
  readonly [key: string]: Json | undefined;
}
