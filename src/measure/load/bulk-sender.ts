/**
 * Offers test frames to a guest (packet-sink) at a given rate or as fast as the wire takes them. What arrived is the
 * receiver's to say; this end reports what it offered and what its own wire refused.
 */
import { ipNumber, ipText, macBytes, macText } from '../../hardware/wire/frames.js';
import { FrameGenerator } from '../../hardware/wire/generator.js';
import type { FrameSink } from '../../hardware/wire/wire.js';
import type { TimeSeriesReport } from './time-series.js';
import { TimeSeries } from './time-series.js';
import type { Load, TrafficPeer } from './traffic-peer.js';

export interface BulkSenderOptions {
  readonly peer: TrafficPeer;
  readonly targetIp: string;
  readonly targetMac?: string;
  readonly targetPort?: number;
  /** Size on the wire with its CRC. */
  readonly frameBytes: number;
  /** Frames per second; Infinity for as many as the wire takes. */
  readonly rateFps: number;
  readonly flows?: number;
  readonly firstSourcePort?: number;
  readonly bucketMs?: number;
}

export interface BulkSenderReport {
  readonly sentFrames: number;
  /** Frames whose time passed while the wire or this process could not take them. */
  readonly skippedFrames: number;
  /** Frames sent per bucket; the sums are their bytes. */
  readonly series: TimeSeriesReport;
}

const STEP_BUDGET = 256;
const ADDRESS_RETRY_NS = 10e6;
const DEFAULT_BUCKET_MS = 100;

export class BulkSender implements Load {
  private readonly options: BulkSenderOptions;
  private readonly peer: TrafficPeer;
  private readonly targetIp: number;
  private readonly series: TimeSeries;
  private readonly sink: FrameSink;
  private generator: FrameGenerator | null = null;
  private running = false;
  private nowNs = 0;

  constructor(options: BulkSenderOptions) {
    this.options = options;
    this.peer = options.peer;
    this.targetIp = ipNumber(options.targetIp);
    this.series = new TimeSeries(this.peer.clock.nowNs(), options.bucketMs ?? DEFAULT_BUCKET_MS);
    // Refused frames are offered again: what the wire cannot take now is not lost here.
    this.sink = (bytes, offset, length) => {
      if (!this.peer.transmit(bytes, offset, length)) return false;
      this.series.add(this.nowNs, length);
      return true;
    };
  }

  start(): void {
    if (this.running) return;
    this.running = true;
    this.generator?.start();
    this.peer.addLoad(this);
  }

  stop(): void {
    if (!this.running) return;
    this.running = false;
    this.generator?.stop();
    this.peer.removeLoad(this);
  }

  /** Frames per second from now on. */
  setRate(rateFps: number): void {
    this.generator?.setRate(rateFps);
  }

  step(nowNs: number): number {
    this.nowNs = nowNs;
    this.generator ??= this.createGenerator();
    return this.generator?.receive(this.sink, STEP_BUDGET) ?? 0;
  }

  nextDueNs(): number {
    if (!this.running) return Number.POSITIVE_INFINITY;
    return this.generator?.nextDueNs() ?? this.nowNs + ADDRESS_RETRY_NS;
  }

  report(): BulkSenderReport {
    return {
      sentFrames: this.generator?.sentFrames ?? 0,
      skippedFrames: this.generator?.skipped ?? 0,
      series: this.series.report(this.peer.clock.nowNs()),
    };
  }

  /** Null until the target's MAC is known. */
  private createGenerator(): FrameGenerator | null {
    const { options, peer } = this;
    const mac = options.targetMac === undefined ? peer.resolve(this.targetIp) : macBytes(options.targetMac);
    if (mac === null) return null;
    return new FrameGenerator({
      clock: peer.clock,
      sourceMac: macText(peer.mac),
      targetMac: macText(mac),
      sourceIp: ipText(peer.ip),
      targetIp: options.targetIp,
      frameBytes: options.frameBytes,
      rateFps: options.rateFps,
      ...(options.flows === undefined ? {} : { flows: options.flows }),
      ...(options.firstSourcePort === undefined ? {} : { firstSourcePort: options.firstSourcePort }),
      ...(options.targetPort === undefined ? {} : { targetPort: options.targetPort }),
    });
  }
}
