/** Takes test frames from a guest (packet-source) at a peer's port, verifies each, and reports what arrived. */
import type { ArrivalReport } from '../../hardware/wire/arrival-stats.js';
import { ArrivalStats } from '../../hardware/wire/arrival-stats.js';
import type { TimeSeriesReport } from './time-series.js';
import { TimeSeries } from './time-series.js';
import type { TrafficPeer } from './traffic-peer.js';

export interface BulkReceiverOptions {
  readonly peer: TrafficPeer;
  readonly port?: number;
  readonly bucketMs?: number;
}

export interface BulkReceiverReport extends ArrivalReport {
  /** Datagrams per bucket; the sums are their payload bytes. */
  readonly series: TimeSeriesReport;
}

const SINK_PORT = 9;
const DEFAULT_BUCKET_MS = 100;

export class BulkReceiver {
  private readonly peer: TrafficPeer;
  private readonly port: number;
  private readonly arrivals = new ArrivalStats();
  private readonly series: TimeSeries;

  constructor(options: BulkReceiverOptions) {
    this.peer = options.peer;
    this.port = options.port ?? SINK_PORT;
    this.series = new TimeSeries(this.peer.clock.nowNs(), options.bucketMs ?? DEFAULT_BUCKET_MS);
  }

  start(): void {
    this.peer.bindUdp(this.port, (bytes, offset, length, nowNs, sourcePort) => {
      if (this.arrivals.take(bytes, offset, length, sourcePort, nowNs)) this.series.add(nowNs, length);
    });
  }

  stop(): void {
    this.peer.bindUdp(this.port, null);
  }

  report(): BulkReceiverReport {
    return { ...this.arrivals.report(), series: this.series.report(this.peer.clock.nowNs()) };
  }
}
