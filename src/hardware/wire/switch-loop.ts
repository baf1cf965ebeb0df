/** Runs a learning switch from this thread's event loop until it is stopped. */
import { realClock } from '../clock.js';
import type { LoopHandle } from './event-loop-driver.js';
import { driveFromEventLoop } from './event-loop-driver.js';
import type { LearningSwitch } from './learning-switch.js';

/** Ageing needs a step now and then though nothing arrives: the driver's longest sleep is often enough for it. */
export function runSwitch(fabric: LearningSwitch): LoopHandle {
  const loop = driveFromEventLoop(
    {
      step: () => fabric.step(),
      nextDueNs: () => fabric.nextDueNs(),
      get onWake() {
        return fabric.onWake;
      },
      set onWake(wake) {
        fabric.onWake = wake;
      },
    },
    realClock,
  );
  return {
    stop: async () => {
      await loop.stop();
      await fabric.close();
    },
  };
}
