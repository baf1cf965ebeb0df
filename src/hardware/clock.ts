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

// CLOCK_MONOTONIC is one clock for all threads and processes of a machine; performance.now() is the cheap way to read it,
// once its own origin is known. The global is a getter, a third of a reading's cost: asked once.
const stopwatch = performance;
const originMs = performanceOriginMs();

/**
 * Where performance.now() has its zero on CLOCK_MONOTONIC. Read several times, the tightest pair of readings counts: the
 * first use of either clock in a thread takes milliseconds, and so may any when the thread loses its core.
 */
function performanceOriginMs(): number {
  let tightestMs = Number.POSITIVE_INFINITY;
  let foundMs = 0;
  for (let i = 0; i < 8; i++) {
    const beforeMs = stopwatch.now();
    const monotonicMs = Number(process.hrtime.bigint()) / 1e6;
    const afterMs = stopwatch.now();
    if (afterMs - beforeMs >= tightestMs) continue;
    tightestMs = afterMs - beforeMs;
    foundMs = monotonicMs - (beforeMs + afterMs) / 2;
  }
  return foundMs;
}

/** The real clock: comparable between all threads and processes of this machine. */
export const realClock: Clock = {
  nowNs: () => (originMs + stopwatch.now()) * 1e6,
};

/** Time that can also call back. A simulator passes virtual time. */
export interface TimerClock extends Clock {
  /** Calls once after the delay. Returns what cancels it. */
  after(delayMs: number, call: () => void): () => void;
  /** Resolves when everybody else who waits for this thread's event loop had a turn. */
  yield(): Promise<void>;
}

/** The process's own clock and timers. */
export const realTimers: TimerClock = {
  nowNs: realClock.nowNs,
  after(delayMs, call) {
    const timer = setTimeout(call, delayMs);
    return () => clearTimeout(timer);
  },
  yield: () => new Promise((resolve) => setImmediate(resolve)),
};

/**
 * How a thread sleeps until `words[index]` is no longer `seen`, for at most `limitMs`. It may return early: whoever
 * calls it looks again.
 */
export type WordWait = (words: Int32Array, index: number, seen: number, limitMs: number) => void;

/** Blocks the calling thread; Atomics.notify on the word wakes it. */
export const blockThread: WordWait = (words, index, seen, limitMs) => {
  Atomics.wait(words, index, seen, limitMs);
};

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
