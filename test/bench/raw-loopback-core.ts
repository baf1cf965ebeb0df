/**
 * One end of a plain TCP connection that moves bytes and does nothing with them: what a link of this machine can carry.
 *
 *   data events    the way sockets are mostly used
 *   own buffer     the socket reads into one buffer, as the migration's receiver does: the fastest that Node offers
 */
import net from 'node:net';
import { parentPort, workerData } from 'node:worker_threads';
import { realClock } from '../../src/hardware/clock.js';

export type RawEnd =
  | { readonly role: 'receive'; readonly bytes: number; readonly ownBuffer: boolean }
  | { readonly role: 'send'; readonly bytes: number; readonly port: number };

const WRITE_BYTES = 512 * 1024;
const WRITES_IN_FLIGHT = 4;
const end = workerData as RawEnd;

function receive(wanted: number, ownBuffer: boolean): void {
  let got = 0;
  const count = (bytes: number): boolean => {
    got += bytes;
    if (got >= wanted) parentPort!.postMessage({ atNs: realClock.nowNs() });
    return true;
  };
  const server = net.createServer({ pauseOnConnect: true }, (socket) => {
    if (!ownBuffer) {
      socket.on('data', (chunk) => count(chunk.length));
      socket.resume();
      return;
    }
    const bare = socket as unknown as { _handle: unknown };
    const buffer = Buffer.allocUnsafeSlow(2 * 1024 * 1024);
    const onread = { buffer: () => buffer, callback: count };
    const taken = new net.Socket({ handle: bare._handle, onread } as unknown as net.SocketConstructorOpts);
    bare._handle = null;
    taken.resume();
  });
  server.listen(0, '127.0.0.1', () => parentPort!.postMessage((server.address() as net.AddressInfo).port));
}

function send(wanted: number, port: number): void {
  const bytes = Buffer.alloc(WRITE_BYTES, 1);
  let sent = 0;
  let inFlight = 0;
  const socket = net.connect(port, '127.0.0.1', () => {
    parentPort!.postMessage({ atNs: realClock.nowNs() });
    more();
  });
  const more = (): void => {
    while (sent < wanted && inFlight < WRITES_IN_FLIGHT) {
      sent += WRITE_BYTES;
      inFlight++;
      socket.write(bytes, () => {
        inFlight--;
        more();
      });
    }
  };
}

if (end.role === 'receive') receive(end.bytes, end.ownBuffer);
else send(end.bytes, end.port);
