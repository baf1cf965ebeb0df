/**
 * The other process of wires.bench.ts: receives frames (or raw bytes) and answers with the count. Messages from the
 * parent: 'count' asks, 'end' ends.
 */
import { createServer } from 'node:net';
import { realClock } from '../../src/hardware/clock.js';
import { driveFromEventLoop } from '../../src/hardware/wire/event-loop-driver.js';
import { StreamWire } from '../../src/hardware/wire/stream.js';

const [kind, path] = process.argv.slice(2) as [string, string];
let count = 0;

if (kind === 'raw') {
  const server = createServer((socket) => {
    socket.on('data', (chunk) => {
      count += chunk.length;
    });
    socket.on('error', () => {});
  });
  server.listen(path, () => process.send!('ready'));
} else {
  const wire = new StreamWire({ address: { kind: 'unix', path }, server: true });
  const sink = (): boolean => {
    count++;
    return true;
  };
  driveFromEventLoop(
    {
      step: () => wire.receive(sink, 1024),
      nextDueNs: () => Number.POSITIVE_INFINITY,
      get onWake() {
        return wire.onWake;
      },
      set onWake(wake) {
        wire.onWake = wake;
      },
    },
    realClock,
  );
  await wire.ready;
  process.send!('ready');
}

process.on('message', (message) => {
  if (message === 'count') process.send!({ count });
  else process.exit(0);
});
