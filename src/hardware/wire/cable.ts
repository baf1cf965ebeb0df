/**
 * A cable between two holders in the same thread: what one end transmits, the other receives after the flush. Each
 * direction is a bounded ring; a full ring loses the frame and counts it, as a switch's queue would.
 */
import { FrameRing } from './frame-ring.js';
import type { FrameSink, Wire } from './wire.js';
import { zeroWireStats } from './wire-stats.js';

export interface CableOptions {
  /** Room of each direction; a power of two. */
  readonly ringBytes?: number;
}

const DEFAULT_RING_BYTES = 1 << 20;

class CableEnd implements Wire {
  readonly stats = zeroWireStats();
  onWake: (() => void) | null = null;
  peer: CableEnd | null = null;
  private readonly arrivals: FrameRing;
  private unannounced = 0;

  constructor(ringBytes: number) {
    this.arrivals = new FrameRing(new Uint8Array(ringBytes));
  }

  get linkUp(): boolean {
    return this.peer !== null;
  }

  receive(sink: FrameSink, budget: number): number {
    return this.arrivals.drain(sink, budget, this.stats);
  }

  transmit(bytes: Uint8Array, offset: number, length: number): boolean {
    if (this.peer === null || !this.peer.arrivals.push(bytes, offset, length)) {
      this.stats.txDropped++;
      return false;
    }
    this.stats.txFrames++;
    this.stats.txBytes += length;
    this.unannounced++;
    return true;
  }

  flush(): void {
    if (this.unannounced === 0) return;
    this.unannounced = 0;
    this.peer?.onWake?.();
  }

  async close(): Promise<void> {
    const peer = this.peer;
    if (peer === null) return;
    this.peer = null;
    peer.peer = null;
    peer.onWake?.();
  }
}

/** Two ends, each a {@link Wire}. Closing one takes the link down at both. */
export function createCable(options: CableOptions = {}): [Wire, Wire] {
  const ringBytes = options.ringBytes ?? DEFAULT_RING_BYTES;
  const left = new CableEnd(ringBytes);
  const right = new CableEnd(ringBytes);
  left.peer = right;
  right.peer = left;
  return [left, right];
}
