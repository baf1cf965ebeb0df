/**
 * Time and chance are passed in, so that a test or a simulator can replay a run from one seed.
 */

/** Monotonic time in nanoseconds, as a double (exact for 104 days). All threads of a process share its origin. */
export interface Clock {
  nowNs(): number;
}

export interface Random {
  /** Uniform over 0..2^32-1. */
  nextU32(): number;
}

const originMs = performance.timeOrigin;

/** The real clock. `performance.timeOrigin` differs between threads of a process; adding it makes them agree. */
export const realClock: Clock = {
  nowNs: () => (originMs - EPOCH_MS + performance.now()) * 1e6,
};
/** Subtracted so that a nanosecond count stays well inside 2^53: 2026-01-01T00:00:00Z. */
const EPOCH_MS = 1767225600000;

/** A small seeded generator (mulberry32): good enough for jitter and test data, never for secrets. */
export function seededRandom(seed: number): Random {
  let state = seed >>> 0;
  return {
    nextU32() {
      state = (state + 0x6d2b79f5) >>> 0;
      let t = state;
      t = Math.imul(t ^ (t >>> 15), t | 1);
      t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
      return (t ^ (t >>> 14)) >>> 0;
    },
  };
}
