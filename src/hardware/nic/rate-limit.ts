/**
 * Speed limits: the port's own, in both directions, and one per Tx queue as a fraction of it (RTTBCNRC).
 *
 * Each limit is one number, the time from which the next frame may go ("virtual scheduling"): a frame moves it on by the
 * frame's time on the wire, and it never lags more than BURST_NS behind the clock. That lag is the bucket: an engine that
 * was away for a moment catches up, and one that was away for long does not flood its peer. All start full, so nothing of
 * this has to be saved.
 *
 * What comes in while the engine is away waits in the card's packet buffer, however slow the port is: of the time that it was
 * away, it catches up as much as that buffer holds.
 */
import { RTTBCNRC_ENABLE } from './offsets.js';
import { CONTROL, type NicShared, QUEUE_COUNT, REGION } from './shared.js';

/** Preamble, start delimiter, CRC and inter-frame gap. */
const WIRE_OVERHEAD_BYTES = 24;
const BURST_NS = 1_000_000;
/** The 82599's receive packet buffer. */
const RX_BUFFER_BYTES = 512 * 1024;
/** What a queue's fraction is taken of when the port is unlimited. */
const DEFAULT_LINK_MBPS = 10_000;
/** RTTBCNRC 27:0 is a fixed-point number with 14 fractional bits. */
const FACTOR_MASK = 0x0fff_ffff;
const FACTOR_ONE = 1 << 14;

export class RateLimits {
  readonly #words: Int32Array;
  readonly #queueFreeNs = new Float64Array(QUEUE_COUNT);
  /** Before its first step an engine has not been away. */
  #nowNs = Infinity;
  #portNsPerByte = 0;
  #rxFreeNs = 0;
  /** How far receiving may lag: BURST_NS, or more until what waited for an engine that was away is in. */
  #rxLagNs = BURST_NS;
  /** The step took a frame from the wire. */
  #hasReceived = false;
  #txFreeNs = 0;
  /** Earliest time at which something that was refused in this step may go. */
  #dueNs = Infinity;

  constructor(shared: NicShared) {
    this.#words = shared.words;
  }

  /** Call at the begin of a step; one time holds for all its frames. */
  beginStep(nowNs: number): void {
    const mbps = this.#words[REGION.control + CONTROL.linkSpeedMbps]!;
    const awayNs = nowNs - this.#nowNs;
    this.#nowNs = nowNs;
    this.#portNsPerByte = mbps > 0 ? 8000 / mbps : 0;
    this.#dueNs = Infinity;
    if (!this.#hasReceived) this.#rxLagNs = BURST_NS;
    this.#hasReceived = false;
    this.#rxLagNs = Math.max(this.#rxLagNs, Math.min(awayNs, RX_BUFFER_BYTES * this.#portNsPerByte));
  }

  /** When a refused frame may go, Infinity if none was refused in this step. */
  get dueNs(): number {
    return this.#dueNs;
  }

  mayReceive(): boolean {
    if (this.#portNsPerByte === 0 || this.#rxFreeNs <= this.#nowNs) return true;
    return this.#refuse(this.#rxFreeNs);
  }

  countReceived(frameBytes: number): void {
    if (this.#portNsPerByte === 0) return;
    this.#hasReceived = true;
    this.#rxFreeNs = this.#advance(this.#rxFreeNs, frameBytes, this.#portNsPerByte, this.#rxLagNs);
  }

  mayTransmit(queue: number): boolean {
    if (this.#portNsPerByte !== 0 && this.#txFreeNs > this.#nowNs) return this.#refuse(this.#txFreeNs);
    const rate = this.#words[REGION.txRate + queue]!;
    if ((rate & RTTBCNRC_ENABLE) === 0 || this.#queueFreeNs[queue]! <= this.#nowNs) return true;
    return this.#refuse(this.#queueFreeNs[queue]!);
  }

  countTransmitted(queue: number, frameBytes: number): void {
    if (this.#portNsPerByte !== 0) {
      this.#txFreeNs = this.#advance(this.#txFreeNs, frameBytes, this.#portNsPerByte);
    }
    const rate = this.#words[REGION.txRate + queue]!;
    if ((rate & RTTBCNRC_ENABLE) === 0) return;
    const linkNsPerByte = this.#portNsPerByte || 8000 / DEFAULT_LINK_MBPS;
    // a factor below one would be faster than the link
    const factor = Math.max(1, (rate & FACTOR_MASK) / FACTOR_ONE);
    this.#queueFreeNs[queue] = this.#advance(this.#queueFreeNs[queue]!, frameBytes, linkNsPerByte * factor);
  }

  #advance(freeNs: number, frameBytes: number, nsPerByte: number, lagNs = BURST_NS): number {
    return Math.max(freeNs, this.#nowNs - lagNs) + (frameBytes + WIRE_OVERHEAD_BYTES) * nsPerByte;
  }

  #refuse(untilNs: number): false {
    if (untilNs < this.#dueNs) this.#dueNs = untilNs;
    return false;
  }
}
