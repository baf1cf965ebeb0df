/** The other thread of shared-cable.test.ts: sends back what comes. */
import { parentPort, workerData } from 'node:worker_threads';
import { realClock } from '../../../src/hardware/clock.js';
import { driveFromEventLoop } from '../../../src/hardware/wire/event-loop-driver.js';
import type { SharedCableHandle } from '../../../src/hardware/wire/shared-cable.js';
import { openSharedCable } from '../../../src/hardware/wire/shared-cable.js';

// Keeps the thread alive while nothing else does.
parentPort!.on('message', () => {});

const wire = openSharedCable(workerData as SharedCableHandle);
driveFromEventLoop(
  {
    step: () => {
      const count = wire.receive((bytes, offset, length) => wire.transmit(bytes, offset, length), 64);
      wire.flush();
      return count;
    },
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
