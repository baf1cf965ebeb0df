/**
 * What arrived of numbered, checked test payloads: whole or corrupt, lost, twice, out of order, how late, and the
 * longest silence. Flows are told apart by their source port.
 */
import type { LatencySummary } from './latency-histogram.js';
import { LatencyHistogram } from './latency-histogram.js';
import { SequenceTracker } from './sequence-tracker.js';
import { payloadIsGood, payloadSeq, payloadTimestampNs } from './test-payload.js';

/** The part of a report that is cheap to have. */
export interface ArrivalCounts {
  readonly datagrams: number;
  readonly payloadBytes: number;
  readonly corrupt: number;
  readonly lost: number;
  readonly duplicates: number;
  readonly reordered: number;
  readonly longestGapMs: number;
  /** When that gap began, on the machine's common clock; 0 when there is none. */
  readonly longestGapStartNs: number;
  readonly flows: number;
}

export interface ArrivalReport extends ArrivalCounts {
  readonly latency: LatencySummary;
}

const PORTS = 65536;

export class ArrivalStats {
  private readonly flowOfPort = new Int32Array(PORTS).fill(-1);
  private readonly trackers: SequenceTracker[] = [];
  private readonly latency = new LatencyHistogram();
  private datagrams = 0;
  private payloadBytes = 0;
  private corrupt = 0;
  private lastNs = 0;
  private longestGapNs = 0;
  private longestGapStartNs = 0;

  /** Notes one datagram. False: its payload is not whole. */
  take(bytes: Uint8Array, offset: number, length: number, sourcePort: number, nowNs: number): boolean {
    this.datagrams++;
    this.payloadBytes += length;
    if (!payloadIsGood(bytes, offset, length)) {
      this.corrupt++;
      return false;
    }
    const gapNs = nowNs - this.lastNs;
    if (gapNs > this.longestGapNs && this.lastNs !== 0) {
      this.longestGapNs = gapNs;
      this.longestGapStartNs = this.lastNs;
    }
    this.lastNs = nowNs;
    this.latency.record(nowNs - payloadTimestampNs(bytes, offset));
    this.trackerOf(sourcePort).accept(payloadSeq(bytes, offset));
    return true;
  }

  report(): ArrivalReport {
    return { ...this.counts(), latency: this.latency.summary() };
  }

  counts(): ArrivalCounts {
    const sum = (value: (tracker: SequenceTracker) => number): number =>
      this.trackers.reduce((total, tracker) => total + value(tracker), 0);
    return {
      datagrams: this.datagrams,
      payloadBytes: this.payloadBytes,
      corrupt: this.corrupt,
      lost: sum((tracker) => tracker.missing),
      duplicates: sum((tracker) => tracker.duplicates + tracker.tooOld),
      reordered: sum((tracker) => tracker.reordered),
      longestGapMs: this.longestGapNs / 1e6,
      longestGapStartNs: this.longestGapStartNs,
      flows: this.trackers.length,
    };
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
