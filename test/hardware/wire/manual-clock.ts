/** A clock that tests move by hand. */
import type { Clock } from '../../../src/hardware/clock.js';

export interface ManualClock extends Clock {
  advanceMs(ms: number): void;
}

export function manualClock(startNs = 1e9): ManualClock {
  let nowNs = startNs;
  return {
    nowNs: () => nowNs,
    advanceMs: (ms) => {
      nowNs += ms * 1e6;
    },
  };
}
