/**
 * A VIF's rate limit: one number, the time from which the next frame may go. A frame moves it on by its time on a wire of
 * that rate; it never lags more than a burst behind the clock, so that a core that was away for a moment catches up.
 */

/** Preamble, start delimiter, CRC and inter-frame gap. */
export const WIRE_OVERHEAD_BYTES = 24;
export const BURST_NS = 1_000_000;

export class RateMeter {
  #freeNs = 0;
  #rateMbps = 0;

  /** When the next frame may go; before `nowNs`: at once. */
  dueNs(rateMbps: number): number {
    // who had no limit, or another one, begins with a full burst
    if (rateMbps !== this.#rateMbps) {
      this.#rateMbps = rateMbps;
      this.#freeNs = 0;
    }
    return rateMbps === 0 ? 0 : this.#freeNs;
  }

  count(frameBytes: number, nowNs: number): void {
    if (this.#rateMbps === 0) return;
    const wireNs = ((frameBytes + WIRE_OVERHEAD_BYTES) * 8000) / this.#rateMbps;
    this.#freeNs = Math.max(this.#freeNs, nowNs - BURST_NS) + wireNs;
  }
}
