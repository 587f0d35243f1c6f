// The published agent as a server sees it: frames on a stream, a little file system, commands that answer as told.
import { createServer, type Server, type Socket } from 'node:net';
import { encodePacket, PacketReader, type SfPacket } from '../../src/drivers/guest/sf-frame.ts';

type Packet = Readonly<Record<string, unknown>>;

export class FakeSfAgent {
  readonly files = new Map<string, Buffer>();
  readonly modes = new Map<string, unknown>();
  /** What came, in order; pings too. */
  readonly heard: SfPacket[] = [];
  /** Of its guest's service manager. */
  system = { result: true, message: 'running' };
  bootTime = 1_726_000_171;
  /** Answers nothing any more. */
  isMute = false;
  readonly #server: Server;
  #socket: Socket | undefined;

  /** Listens, as QEMU does for the guest's port. */
  constructor(path: string) {
    this.#server = createServer((socket) => this.#take(socket)).listen(path);
  }

  get isConnected(): boolean {
    return this.#socket !== undefined;
  }

  start(version = '0.3.16'): void {
    const message = `version ${version}`;
    this.send({ command: 'agent-start', message, system_boot_time: this.bootTime });
  }

  send(packet: SfPacket): void {
    this.#socket?.write(encodePacket(packet));
  }

  /** As when QEMU ends. */
  hangUp(): void {
    this.#socket?.destroy();
  }

  async close(): Promise<void> {
    this.hangUp();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #take(socket: Socket): void {
    const reader = new PacketReader();
    this.#socket = socket;
    socket.on('data', (chunk: Buffer) => {
      for (const packet of reader.push(chunk)) this.#answer(packet);
    });
    socket.on('error', () => undefined);
    socket.on('close', () => {
      if (this.#socket === socket) this.#socket = undefined;
    });
  }

  #answer(packet: SfPacket): void {
    this.heard.push(packet);
    if (this.isMute) return;
    const { command, unique } = packet;
    const reply = (members: Packet) =>
      this.send({ ...members, command: `${command}-response`, unique });
    const path = String(packet['path']);
    switch (command) {
      case 'ping':
        return this.send({ command: 'pong', unique });
      case 'is-system-running':
        return reply({ ...this.system, system_boot_time: this.bootTime });
      case 'execute':
        return this.#execute(String(packet['command-line']), reply);
      case 'get-file':
        return this.#get(path, reply);
      case 'put-file':
        return this.#put(path, packet, reply);
      case 'chmod':
        this.modes.set(path, packet['mode']);
        return reply({ path });
      default:
    }
  }

  #execute(line: string, reply: (members: Packet) => void): void {
    if (line === 'hang') return;
    const code = line.startsWith('exit ') ? Number(line.slice(5)) : 0;
    const output = { stdout: `ran ${line}`, stderr: '' };
    reply({ 'command-line': line, result: code === 0, 'return-code': code, ...output });
  }

  #get(path: string, reply: (members: Packet) => void): void {
    const bytes = this.files.get(path);
    if (bytes === undefined) {
      return reply({ result: false, path, message: 'path does not exist' });
    }
    reply({ result: true, path, stat_result: { mode: 0o100644, size: bytes.length, uid: 0 } });
    for (let offset = 0; offset < bytes.length; offset += 50_000) {
      const chunk = bytes.subarray(offset, offset + 50_000).toString('base64');
      reply({ path, offset, encoding: 'base64', chunk });
    }
    reply({ path, offset: bytes.length, encoding: 'base64', chunk: null });
  }

  #put(path: string, packet: SfPacket, reply: (members: Packet) => void): void {
    if ('stat_result' in packet) return void this.files.set(path, Buffer.alloc(0));
    const { chunk } = packet;
    if (typeof chunk !== 'string') return reply({ path });
    const before = this.files.get(path) ?? Buffer.alloc(0);
    this.files.set(path, Buffer.concat([before, Buffer.from(chunk, 'base64')]));
  }
}
