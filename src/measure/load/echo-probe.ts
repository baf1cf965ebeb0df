/**
 * Sends numbered datagrams to a guest's echo port at a steady rate and watches the replies: round-trip time, loss,
 * duplicates, reordering, and the longest time without any reply, which is how long a migration looked to its peer.
 */
import type { LatencySummary } from '../../hardware/wire/latency-histogram.js';
import { LatencyHistogram } from '../../hardware/wire/latency-histogram.js';
import { ARRIVAL_DUPLICATE, ARRIVAL_TOO_OLD, SequenceTracker } from '../../hardware/wire/sequence-tracker.js';
import { EchoSender, type EchoTarget } from './echo-sender.js';
import { LongestGap } from './longest-gap.js';
import type { TimeSeriesReport } from './time-series.js';
import { TimeSeries } from './time-series.js';
import type { Load, TrafficPeer } from './traffic-peer.js';

export interface EchoProbeOptions {
  readonly peer: TrafficPeer;
  readonly targetIp: string;
  readonly targetMac?: string;
  readonly targetPort?: number;
  /** ICMP echo requests instead of datagrams: for a guest with an IP stack of its own. */
  readonly ping?: boolean;
  /** Probes per second. */
  readonly rateHz?: number;
  /** UDP payload of a probe; at least 18. */
  readonly payloadBytes?: number;
  /** A probe without a reply counts as lost after this long. */
  readonly timeoutMs?: number;
  readonly bucketMs?: number;
}

export interface EchoProbeReport {
  readonly sent: number;
  /** Different probes answered. */
  readonly replies: number;
  /** Probes without an answer whose time-out has passed. */
  readonly lost: number;
  /** Probes that may still be answered. */
  readonly pending: number;
  readonly duplicates: number;
  readonly reordered: number;
  readonly corrupt: number;
  /** Longest time between two replies (or since the last one, while the probe runs). */
  readonly longestGapMs: number;
  /** When that gap began, on the machine's common clock; 0 when there is none. */
  readonly longestGapStartNs: number;
  /** How late the probe itself was at worst: a gap no longer than this may be its own process's, not the guest's. */
  readonly longestStallMs: number;
  readonly rtt: LatencySummary;
  /** Round-trip times in microseconds, by the time of the reply. */
  readonly series: TimeSeriesReport;
}

const DEFAULT_RATE_HZ = 1000;
const DEFAULT_PAYLOAD_BYTES = 18;
const DEFAULT_TIMEOUT_MS = 1000;
const DEFAULT_BUCKET_MS = 10;
/** After a pause of the sender itself, at most this much is caught up at once. */
const MAX_CATCH_UP = 32;
/** Send times that are remembered to tell lost from pending. */
const HISTORY = 1 << 16;

export class EchoProbe implements Load {
  private readonly peer: TrafficPeer;
  private readonly echo: EchoSender;
  private readonly intervalNs: number;
  private readonly timeoutNs: number;
  private readonly tracker = new SequenceTracker(0);
  private readonly rtt = new LatencyHistogram();
  private readonly series: TimeSeries;
  private readonly sentNs = new Float64Array(HISTORY);
  private running = false;
  private dueNs = 0;
  private readonly gap = new LongestGap();
  private longestStallNs = 0;

  /** @throws RangeError for a payload that cannot carry the test words. */
  constructor(options: EchoProbeOptions) {
    this.peer = options.peer;
    this.intervalNs = 1e9 / (options.rateHz ?? DEFAULT_RATE_HZ);
    this.timeoutNs = (options.timeoutMs ?? DEFAULT_TIMEOUT_MS) * 1e6;
    const { targetIp, targetMac, targetPort, ping = false, payloadBytes = DEFAULT_PAYLOAD_BYTES } = options;
    const target: EchoTarget = {
      ip: targetIp,
      ping,
      ...(targetMac !== undefined && { mac: targetMac }),
      ...(targetPort !== undefined && { port: targetPort }),
    };
    this.echo = new EchoSender(this.peer, target, payloadBytes, (seq, sentNs) => this.take(seq, sentNs));
    this.series = new TimeSeries(this.peer.clock.nowNs(), options.bucketMs ?? DEFAULT_BUCKET_MS);
  }

  start(): void {
    if (this.running) return;
    this.running = true;
    this.dueNs = this.peer.clock.nowNs();
    this.gap.restart();
    this.peer.addLoad(this);
  }

  /** Sends no more; late replies are still taken. */
  stop(): void {
    if (!this.running) return;
    this.gap.look(this.peer.clock.nowNs());
    this.running = false;
    this.peer.removeLoad(this);
  }

  nextDueNs(): number {
    return this.running ? this.dueNs : Number.POSITIVE_INFINITY;
  }

  step(nowNs: number): number {
    if (!this.running || nowNs < this.dueNs) return 0;
    if (!this.echo.ready()) {
      // Nothing is lost before the first probe: wait for the target's address.
      this.dueNs = nowNs + this.intervalNs;
      return 0;
    }
    this.longestStallNs = Math.max(this.longestStallNs, nowNs - this.dueNs);
    let count = 0;
    while (this.dueNs <= nowNs && count < MAX_CATCH_UP) {
      this.sendOne();
      this.dueNs += this.intervalNs;
      count++;
    }
    if (this.dueNs <= nowNs) this.dueNs = nowNs + this.intervalNs;
    return count;
  }

  report(): EchoProbeReport {
    const nowNs = this.peer.clock.nowNs();
    if (this.running) this.gap.look(nowNs);
    const { sent, corrupt } = this.echo;
    const unanswered = sent - this.tracker.distinct;
    const pending = this.countPendingSince(nowNs - this.timeoutNs);
    return {
      sent,
      replies: this.tracker.distinct,
      lost: unanswered - pending,
      pending,
      duplicates: this.tracker.duplicates + this.tracker.tooOld,
      reordered: this.tracker.reordered,
      corrupt,
      longestGapMs: this.gap.longestMs,
      longestGapStartNs: this.gap.longestStartNs,
      longestStallMs: this.longestStallNs / 1e6,
      rtt: this.rtt.summary(),
      series: this.series.report(nowNs),
    };
  }

  private sendOne(): void {
    const seq = this.echo.sent;
    this.sentNs[seq & (HISTORY - 1)] = this.echo.send();
  }

  private take(seq: number, sentNs: number): void {
    const arrival = this.tracker.accept(seq);
    if (arrival === ARRIVAL_DUPLICATE || arrival === ARRIVAL_TOO_OLD) return;
    // Probes are few: their own reading of the clock leaves out how long this step has been under way.
    const nowNs = this.peer.clock.nowNs();
    const rttNs = nowNs - sentNs;
    this.rtt.record(rttNs);
    this.series.add(nowNs, rttNs / 1e3);
    if (this.running) this.gap.reply(nowNs);
  }

  /** Unanswered probes that were sent after a moment. */
  private countPendingSince(momentNs: number): number {
    let count = 0;
    const { sent } = this.echo;
    const oldest = Math.max(0, sent - HISTORY);
    for (let seq = sent - 1; seq >= oldest && this.sentNs[seq & (HISTORY - 1)]! > momentNs; seq--) {
      if (!this.tracker.has(seq)) count++;
    }
    return count;
  }
}
