/**
 * Takes test frames and says what arrived: whole or corrupt, lost, twice, out of order, how late, and the longest
 * silence. Flows are told apart by their source port. Give `accept` as a generator's `onTransmit`, or as the sink of
 * any wire's receive().
 */
import type { Clock } from '../clock.js';
import { FrameReader, PROTOCOL_UDP } from './frames.js';
import type { LatencySummary } from './latency-histogram.js';
import { LatencyHistogram } from './latency-histogram.js';
import { SequenceTracker } from './sequence-tracker.js';
import { payloadIsGood, payloadSeq, payloadTimestampNs } from './test-payload.js';
import type { FrameSink } from './wire.js';

export interface FrameSinkReport {
  readonly frames: number;
  readonly bytes: number;
  /** Frames that are no test frames: ARP and the like. */
  readonly foreign: number;
  readonly corrupt: number;
  readonly lost: number;
  readonly duplicates: number;
  readonly reordered: number;
  readonly longestGapMs: number;
  readonly flows: number;
  readonly latency: LatencySummary;
}

const PORTS = 65536;

export class FrameSinkStats {
  /** The sink itself; takes every frame. */
  readonly accept: FrameSink;
  frames = 0;
  bytes = 0;
  foreign = 0;
  corrupt = 0;
  private readonly clock: Clock;
  private readonly reader = new FrameReader();
  private readonly flowOfPort = new Int32Array(PORTS).fill(-1);
  private readonly trackers: SequenceTracker[] = [];
  private readonly latency = new LatencyHistogram();
  private lastArrivalNs = -1;
  private longestGapNs = 0;

  constructor(clock: Clock) {
    this.clock = clock;
    this.accept = (bytes, offset, length) => {
      this.take(bytes, offset, length);
      return true;
    };
  }

  report(): FrameSinkReport {
    const sum = (value: (tracker: SequenceTracker) => number): number =>
      this.trackers.reduce((total, tracker) => total + value(tracker), 0);
    return {
      frames: this.frames,
      bytes: this.bytes,
      foreign: this.foreign,
      corrupt: this.corrupt,
      lost: sum((tracker) => tracker.missing),
      duplicates: sum((tracker) => tracker.duplicates),
      reordered: sum((tracker) => tracker.reordered),
      longestGapMs: this.longestGapNs / 1e6,
      flows: this.trackers.length,
      latency: this.latency.summary(),
    };
  }

  private take(bytes: Uint8Array, offset: number, length: number): void {
    const reader = this.reader;
    if (!reader.parse(bytes, offset, length) || reader.protocol !== PROTOCOL_UDP) {
      this.foreign++;
      return;
    }
    this.frames++;
    this.bytes += length;
    if (!payloadIsGood(bytes, reader.payloadOffset, reader.payloadBytes)) {
      this.corrupt++;
      return;
    }
    const nowNs = this.clock.nowNs();
    if (this.lastArrivalNs >= 0 && nowNs - this.lastArrivalNs > this.longestGapNs) {
      this.longestGapNs = nowNs - this.lastArrivalNs;
    }
    this.lastArrivalNs = nowNs;
    this.latency.record(nowNs - payloadTimestampNs(bytes, reader.payloadOffset));
    this.trackerOf(reader.sourcePort).accept(payloadSeq(bytes, reader.payloadOffset));
  }

  private trackerOf(sourcePort: number): SequenceTracker {
    let flow = this.flowOfPort[sourcePort]!;
    if (flow < 0) {
      flow = this.trackers.length;
      this.flowOfPort[sourcePort] = flow;
      this.trackers.push(new SequenceTracker());
    }
    return this.trackers[flow]!;
  }
}
