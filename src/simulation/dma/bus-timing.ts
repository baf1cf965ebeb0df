/**
 * How fast a device's writes reach memory, and how they are cut: a PCIe 2.0 x8 slot, 3.2 bytes per nanosecond, some
 * hundred nanoseconds through the root complex. Now and then the bus is held up for long: that is when a page is copied
 * with half of a frame in it.
 */
import type { Choices } from '../clockwork/choices.js';

export interface BusTiming {
  readonly bytesPerNs: number;
  /** From the write to the moment its first byte may be there. */
  readonly latencyNs: number;
  /** Added to the latency, uniform. */
  readonly jitterNs: number;
  readonly minChunkBytes: number;
  readonly maxChunkBytes: number;
  /** Chance for each write that it is held up, and for how long at most. */
  readonly holdChance: number;
  readonly maxHoldNs: number;
  /** Flow control: more than this is never pending, the oldest lands instead. */
  readonly maxPendingBytes: number;
  /** Chunks that land in one event at most; fewer events, coarser tearing. */
  readonly maxLandedAtOnce: number;
}

const BYTES_PER_NS = 3.2;

/** A bus of some temper: how finely writes are cut, and how often it is held up, differs from run to run. */
export function drawBusTiming(choices: Choices): BusTiming {
  return {
    bytesPerNs: BYTES_PER_NS,
    latencyNs: 300,
    jitterNs: choices.pick([0, 700, 3_000]),
    minChunkBytes: 16,
    maxChunkBytes: choices.pick([64, 256, 512]),
    holdChance: choices.pick([0, 0.01, 0.05]),
    maxHoldNs: choices.pick([20_000, 200_000]),
    maxPendingBytes: 64 * 1024,
    maxLandedAtOnce: choices.pick([2, 8, 32, 128]),
  };
}
