// The little of the telnet protocol (RFC 854) that a serial console needs: the options that make the line
// transparent are agreed to, all others refused, and 255 is doubled on the way.

const IAC = 255;
const DONT = 254;
const DO = 253;
const WONT = 252;
const WILL = 251;
const SUBNEGOTIATION = 250;
const SUBNEGOTIATION_END = 240;

const BINARY = 0;
const ECHO = 1;
const SUPPRESS_GO_AHEAD = 3;

type Expecting = 'text' | 'command' | 'option' | 'subnegotiation' | 'subnegotiation-command';

export interface Received {
  /** What the other side says, without the protocol. */
  readonly text: Buffer;
  /** To be sent back as it is. */
  readonly reply: Buffer;
}

/** One connection's state: commands may be cut anywhere between two chunks. */
export class Telnet {
  #expecting: Expecting = 'text';
  #command = 0;
  /** Answers given, `command,option`: an answer is never repeated, or two sides go on for ever. */
  readonly #answered = new Set<string>();

  receive(chunk: Uint8Array): Received {
    const text: number[] = [];
    const reply: number[] = [];
    for (const byte of chunk) this.#take(byte, text, reply);
    return { text: Buffer.from(text), reply: Buffer.from(reply) };
  }

  #take(byte: number, text: number[], reply: number[]): void {
    switch (this.#expecting) {
      case 'text':
        if (byte === IAC) this.#expecting = 'command';
        else text.push(byte);
        return;
      case 'command':
        this.#expecting = 'text';
        if (byte === IAC) text.push(IAC);
        else if (byte === SUBNEGOTIATION) this.#expecting = 'subnegotiation';
        else if (byte >= WILL) this.#expectOption(byte);
        return;
      case 'option':
        this.#expecting = 'text';
        reply.push(...this.#answer(this.#command, byte));
        return;
      case 'subnegotiation':
        if (byte === IAC) this.#expecting = 'subnegotiation-command';
        return;
      case 'subnegotiation-command':
        this.#expecting = byte === SUBNEGOTIATION_END ? 'text' : 'subnegotiation';
    }
  }

  #expectOption(command: number): void {
    this.#command = command;
    this.#expecting = 'option';
  }

  #answer(command: number, option: number): readonly number[] {
    const answer = answerTo(command, option);
    if (answer === undefined || this.#answered.has(`${answer},${option}`)) return [];
    this.#answered.add(`${answer},${option}`);
    return [IAC, answer, option];
  }
}

/** As the other side has to get it. */
export function telnetEscaped(bytes: Uint8Array): Buffer {
  return Buffer.from([...bytes].flatMap((byte) => (byte === IAC ? [IAC, IAC] : [byte])));
}

function answerTo(command: number, option: number): number | undefined {
  const isTransparent = option === BINARY || option === SUPPRESS_GO_AHEAD;
  if (command === WILL) return isTransparent || option === ECHO ? DO : DONT;
  if (command === DO) return isTransparent ? WILL : WONT;
  return undefined;
}
