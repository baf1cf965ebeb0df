/**
 * Echo requests to the images that answer them (udp-echo, c-echo, and every image built on the library): the production
 * probes, one per size, each with a share of the rate. A reply that is not what was sent is a broken promise.
 */
import { UDP_PAYLOAD_OFFSET } from '../../../hardware/wire/frames.js';
import { PAYLOAD_HEAD_BYTES } from '../../../hardware/wire/test-payload.js';
import { EchoProbe, type EchoProbeReport } from '../../../measure/load/echo-probe.js';
import type { Peer, PeerCounts, TrafficMix } from './peer.js';
import { Station, type StationOptions } from './station-peer.js';

export interface EchoOptions extends StationOptions {
  readonly traffic: TrafficMix;
}

const PROBES = 3;
/** What the images' interfaces take, without a CRC. */
const MAX_FRAME_BYTES = 1514;

export class EchoPeer implements Peer {
  readonly #station: Station;
  readonly #probes: EchoProbe[] = [];

  constructor(options: EchoOptions) {
    const { choices, targetIp, traffic } = options;
    this.#station = new Station(options, 'echo');
    for (let i = 0; i < PROBES; i++) {
      const frameBytes = choices.between(traffic.minBytes, Math.min(MAX_FRAME_BYTES, traffic.maxBytes));
      const payloadBytes = Math.max(PAYLOAD_HEAD_BYTES, frameBytes - UDP_PAYLOAD_OFFSET);
      const rateHz = (traffic.framesPerSecond / PROBES) * (0.5 + choices.int(1000) / 1000);
      this.#probes.push(new EchoProbe({ peer: this.#station.peer, targetIp, rateHz, payloadBytes }));
    }
  }

  start(): void {
    for (const probe of this.#probes) probe.start();
    this.#station.wake();
  }

  stop(): void {
    for (const probe of this.#probes) probe.stop();
  }

  get sent(): number {
    return this.#sum((report) => report.sent);
  }

  get answered(): number {
    return this.#station.answered;
  }

  complaints(): readonly string[] {
    const corrupt = this.#sum((report) => report.corrupt);
    if (corrupt === 0) return this.#station.complaints.list;
    return [`${corrupt} echo replies are not what was sent`, ...this.#station.complaints.list];
  }

  counts(): PeerCounts {
    const reports = this.#probes.map((probe) => probe.report());
    return {
      sent: this.sent,
      received: this.#sum((report) => report.replies),
      corrupt: this.#sum((report) => report.corrupt) + this.#station.complaints.count,
      duplicate: this.#sum((report) => report.duplicates),
      longestGapNs: Math.max(...reports.map((report) => report.longestGapMs * 1e6)),
    };
  }

  close(): Promise<void> {
    return this.#station.close();
  }

  #sum(value: (report: EchoProbeReport) => number): number {
    return this.#probes.reduce((sum, probe) => sum + value(probe.report()), 0);
  }
}
