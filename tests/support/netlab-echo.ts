// A server that tells each client the address it came from, and the client for it: who a peer sees after all translations.
//
// netlab-echo.ts serve PORT            TCP and UDP
// netlab-echo.ts ask tcp|udp ADDRESS PORT   prints the answer; exit code 1 when there is none within a second
import { createSocket } from 'node:dgram';
import { connect, createServer } from 'node:net';

const [mode, ...words] = process.argv.slice(2);
if (mode === 'serve') serve(Number(words[0]));
else ask(words[0] ?? '', words[1] ?? '', Number(words[2]));

function serve(port: number): void {
  createServer((socket) =>
    socket.on('error', () => undefined).end(socket.remoteAddress ?? ''),
  ).listen(port, '0.0.0.0');
  const udp = createSocket('udp4');
  udp.on('message', (_, from) => udp.send(from.address, from.port, from.address));
  udp.bind(port);
}

function ask(protocol: string, address: string, port: number): void {
  const answer = (text: Buffer) => {
    process.stdout.write(text);
    process.exit(0);
  };
  setTimeout(() => process.exit(1), 1000);
  if (protocol === 'tcp') {
    connect(port, address)
      .on('data', answer)
      .on('error', () => process.exit(1));
    return;
  }
  const udp = createSocket('udp4').on('message', answer);
  udp.send('?', port, address);
}
