/**
 * Loads a guest's echo port and keeps account of every datagram: at a steady rate, whatever comes back (an open loop:
 * loss and latency mean something), or as many as the guest answers, a window of them being under way all the time (a
 * closed loop: throughput means something).
 */
import { EchoSender } from './echo-sender.js';
import { ReplyLog } from './reply-log.js';
import type { Load, TrafficPeer } from './traffic-peer.js';

export type Offer =
  | { readonly kind: 'rate'; readonly perSecond: number }
  | { readonly kind: 'window'; readonly datagrams: number };

export interface EchoLoadOptions {
  readonly peer: TrafficPeer;
  readonly targetIp: string;
  readonly offer: Offer;
  /** UDP payload of a datagram; at least 16. */
  readonly payloadBytes: number;
  /** In a window, a datagram without a reply gives its place up after this long. */
  readonly giveUpMs?: number;
}

export interface EchoLoadReport {
  /** Of an open loop; null in a closed one. */
  readonly offeredPerSecond: number | null;
  readonly sent: number;
  /** Sent and never answered, as far as is known now. */
  readonly lost: number;
  /** Replies beyond the first. */
  readonly duplicates: number;
  /** First replies that came after one to a later datagram. */
  readonly reordered: number;
  readonly corrupt: number;
  /** How late this load itself was at worst. */
  readonly longestStallMs: number;
}

const STEP_BUDGET = 64;
const DEFAULT_GIVE_UP_MS = 50;
const ADDRESS_RETRY_NS = 10e6;
const FIRST_DATAGRAMS = 1 << 14;

/** What is known of a datagram. */
const FATE = { underWay: 0, answered: 1, givenUp: 2 } as const;

export class EchoLoad implements Load {
  readonly replies = new ReplyLog();
  private readonly options: EchoLoadOptions;
  private readonly peer: TrafficPeer;
  private readonly echo: EchoSender;
  private readonly intervalNs: number;
  private readonly window: number;
  private readonly giveUpNs: number;
  private fates = new Uint8Array(FIRST_DATAGRAMS);
  private sentNs = new Float64Array(FIRST_DATAGRAMS);
  private answered = 0;
  private underWay = 0;
  /** All datagrams before this one are answered or given up. */
  private oldest = 0;
  private duplicates = 0;
  private reordered = 0;
  /** The latest datagram that was answered. */
  private newest = -1;
  private dueNs = 0;
  private longestStallNs = 0;
  private running = false;

  /** @throws RangeError for a payload that cannot carry the test words. */
  constructor(options: EchoLoadOptions) {
    const { payloadBytes, offer, peer } = options;
    this.options = options;
    this.peer = peer;
    this.intervalNs = offer.kind === 'rate' ? 1e9 / offer.perSecond : 0;
    this.window = offer.kind === 'window' ? offer.datagrams : Number.POSITIVE_INFINITY;
    this.giveUpNs = (options.giveUpMs ?? DEFAULT_GIVE_UP_MS) * 1e6;
    this.echo = new EchoSender(peer, { ip: options.targetIp }, payloadBytes, (seq, sentNs) =>
      this.take(seq, sentNs),
    );
  }

  start(): void {
    if (this.running) return;
    this.running = true;
    this.dueNs = this.peer.clock.nowNs();
    this.peer.addLoad(this);
  }

  /** Sends no more; late replies are still taken. */
  stop(): void {
    this.running = false;
    this.peer.removeLoad(this);
  }

  nextDueNs(): number {
    if (!this.running) return Number.POSITIVE_INFINITY;
    if (this.underWay < this.window) return this.dueNs;
    return this.sentNs[this.oldest]! + this.giveUpNs;
  }

  step(nowNs: number): number {
    if (!this.running || nowNs < this.nextDueNs()) return 0;
    if (!this.echo.ready()) {
      this.dueNs = nowNs + ADDRESS_RETRY_NS;
      return 0;
    }
    this.giveUpOld(nowNs);
    if (this.intervalNs > 0) this.longestStallNs = Math.max(this.longestStallNs, nowNs - this.dueNs);
    let count = 0;
    while (count < STEP_BUDGET && this.dueNs <= nowNs && this.underWay < this.window) {
      this.sendOne();
      this.dueNs += this.intervalNs;
      count++;
    }
    // in an open loop what could not be sent in time is not made up for
    if (this.dueNs <= nowNs) this.dueNs = nowNs + this.intervalNs;
    return count;
  }

  report(): EchoLoadReport {
    const { offer } = this.options;
    const { sent, corrupt } = this.echo;
    return {
      offeredPerSecond: offer.kind === 'rate' ? offer.perSecond : null,
      sent,
      lost: sent - this.answered,
      duplicates: this.duplicates,
      reordered: this.reordered,
      corrupt,
      longestStallMs: this.longestStallNs / 1e6,
    };
  }

  private sendOne(): void {
    const seq = this.echo.sent;
    if (seq === this.fates.length) this.grow();
    this.underWay++;
    this.sentNs[seq] = this.echo.send();
  }

  private take(seq: number, sentNs: number): void {
    if (this.fates[seq] === FATE.answered) {
      this.duplicates++;
      return;
    }
    if (this.fates[seq] === FATE.underWay) this.underWay--;
    this.fates[seq] = FATE.answered;
    this.answered++;
    if (seq < this.newest) this.reordered++;
    else this.newest = seq;
    const nowNs = this.peer.clock.nowNs();
    this.replies.add(nowNs, nowNs - sentNs);
  }

  private giveUpOld(nowNs: number): void {
    const { fates, sentNs, echo } = this;
    while (this.oldest < echo.sent) {
      if (fates[this.oldest] === FATE.underWay) {
        if (nowNs - sentNs[this.oldest]! < this.giveUpNs) return;
        fates[this.oldest] = FATE.givenUp;
        this.underWay--;
      }
      this.oldest++;
    }
  }

  private grow(): void {
    const fates = new Uint8Array(this.fates.length * 2);
    fates.set(this.fates);
    this.fates = fates;
    const sentNs = new Float64Array(this.sentNs.length * 2);
    sentNs.set(this.sentNs);
    this.sentNs = sentNs;
  }
}
