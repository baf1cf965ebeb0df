/**
 * A sink of test frames: give `accept` as a generator's `onTransmit`, or as the sink of any wire's receive(), and
 * report() says what arrived.
 */
import type { Clock } from '../clock.js';
import type { ArrivalReport } from './arrival-stats.js';
import { ArrivalStats } from './arrival-stats.js';
import { FrameReader, PROTOCOL_UDP } from './frames.js';
import type { FrameSink } from './wire.js';

export interface FrameSinkReport extends ArrivalReport {
  readonly frames: number;
  readonly frameBytes: number;
  /** Frames that are no test frames: ARP and the like. */
  readonly foreign: number;
}

export class FrameSinkStats {
  /** The sink itself; takes every frame. */
  readonly accept: FrameSink;
  private readonly clock: Clock;
  private readonly reader = new FrameReader();
  private readonly arrivals = new ArrivalStats();
  private frames = 0;
  private frameBytes = 0;
  private foreign = 0;

  constructor(clock: Clock) {
    this.clock = clock;
    this.accept = (bytes, offset, length) => {
      this.take(bytes, offset, length);
      return true;
    };
  }

  report(): FrameSinkReport {
    const { frames, frameBytes, foreign } = this;
    return { frames, frameBytes, foreign, ...this.arrivals.report() };
  }

  private take(bytes: Uint8Array, offset: number, length: number): void {
    const reader = this.reader;
    this.frames++;
    this.frameBytes += length;
    if (!reader.parse(bytes, offset, length) || reader.protocol !== PROTOCOL_UDP) {
      this.foreign++;
      return;
    }
    this.arrivals.take(
      bytes,
      reader.payloadOffset,
      reader.payloadBytes,
      reader.sourcePort,
      this.clock.nowNs(),
    );
  }
}
