/**
 * How fast a device's writes reach memory, and how they are cut. The defaults are a PCIe 2.0 x8 slot: 3.2 bytes per
 * nanosecond, some hundred nanoseconds through the root complex. Now and then the bus is held up for long: that is when a
 * page is copied with half of a frame in it.
 */
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

export const PCIE_TIMING: BusTiming = {
  bytesPerNs: 3.2,
  latencyNs: 300,
  jitterNs: 700,
  minChunkBytes: 16,
  maxChunkBytes: 256,
  holdChance: 0.01,
  maxHoldNs: 20_000,
  maxPendingBytes: 64 * 1024,
  maxLandedAtOnce: 8,
};
