/**
 * A client of the store guest that knows what must be there. It keeps a window of requests under way, at most one per
 * key, repeats what is not answered, and compares every value that comes back with its model.
 *
 *     idle --start()--> fill --all keys stored--> mixed --verifyAll()--> verify --all keys read--> idle
 *
 * `stop()` leads back to idle from anywhere; requests under way are then forgotten.
 */
import type { Random } from '../../hardware/clock.js';
import { ipNumber, macBytes } from '../../hardware/wire/frames.js';
import type { LatencySummary } from '../../hardware/wire/latency-histogram.js';
import { LatencyHistogram } from '../../hardware/wire/latency-histogram.js';
import { type KvCounters, noKvCounters } from './kv-counters.js';
import { KvModel } from './kv-model.js';
import { dataChecksum, KV_PORT, KvReplyReader, KvRequestWriter, MAX_KEYS } from './kv-protocol.js';
import { KvWindow, OP_DELETE, OP_GET, OP_SET } from './kv-window.js';
import { LongestGap } from './longest-gap.js';
import type { TimeSeriesReport } from './time-series.js';
import { TimeSeries } from './time-series.js';
import type { Load, TrafficPeer } from './traffic-peer.js';
import { UdpSender } from './udp-sender.js';

export interface KvClientOptions {
  readonly peer: TrafficPeer;
  readonly random: Random;
  readonly targetIp: string;
  readonly targetMac?: string;
  readonly targetPort?: number;
  /** Keys; with the mean value size this is how much the fill phase stores. */
  readonly keys: number;
  readonly minValueBytes?: number;
  readonly maxValueBytes?: number;
  /** Requests under way at most. */
  readonly window?: number;
  /** Requests per second at most. */
  readonly rateHz?: number;
  /** Shares of the mixed phase; the rest are gets. */
  readonly setShare?: number;
  readonly deleteShare?: number;
  readonly timeoutMs?: number;
  readonly maxAttempts?: number;
  readonly bucketMs?: number;
}

export type KvPhase = 'idle' | 'fill' | 'mixed' | 'verify';

export interface KvReport extends Readonly<KvCounters> {
  readonly phase: KvPhase;
  /** Bytes of values that the store must hold now. */
  readonly storedBytes: number;
  readonly presentKeys: number;
  readonly outstanding: number;
  readonly latency: LatencySummary;
  readonly longestGapMs: number;
  readonly longestGapStartNs: number;
  /** Replies per bucket; the sums are their latencies in microseconds. */
  readonly series: TimeSeriesReport;
}

const DEFAULTS = {
  minValueBytes: 64,
  maxValueBytes: 1024,
  window: 32,
  setShare: 0.2,
  deleteShare: 0.02,
  timeoutMs: 100,
  maxAttempts: 50,
  bucketMs: 100,
} as const;
const MAX_VALUE_BYTES = 1400;
/** After a repeated change, the key rests: an old copy of the request may still arrive. */
const REST_AFTER_REPEAT_NS = 1e9;
const ADDRESS_RETRY_NS = 10e6;
const PICK_ATTEMPTS = 8;
const TWO_32 = 2 ** 32;

export class KvClient implements Load {
  readonly counters: KvCounters = noKvCounters();
  /** Called when a phase ended. */
  onPhase: ((phase: KvPhase) => void) | null = null;
  private readonly options: Required<Pick<KvClientOptions, keyof typeof DEFAULTS>>;
  private readonly peer: TrafficPeer;
  private readonly random: Random;
  private readonly sender: UdpSender;
  private readonly writer: KvRequestWriter;
  private readonly reader = new KvReplyReader();
  private readonly model: KvModel;
  private readonly window: KvWindow;
  private readonly latency = new LatencyHistogram();
  private readonly series: TimeSeries;
  private readonly intervalNs: number;
  private phaseNow: KvPhase = 'idle';
  private cursor = 0;
  private nextSendNs = 0;
  private retryAtNs = 0;
  private readonly gap = new LongestGap();

  /** @throws RangeError for values that do not fit one datagram, or too many keys. */
  constructor(options: KvClientOptions) {
    this.options = { ...DEFAULTS, ...options };
    const { minValueBytes, maxValueBytes } = this.options;
    if (!(minValueBytes >= 1 && minValueBytes <= maxValueBytes && maxValueBytes <= MAX_VALUE_BYTES)) {
      throw new RangeError(
        `store client: values of ${minValueBytes} to ${maxValueBytes} bytes; 1 to ${MAX_VALUE_BYTES} fit a datagram`,
      );
    }
    if (!(options.keys >= 1 && options.keys <= MAX_KEYS)) {
      throw new RangeError(`store client: ${options.keys} keys; 1 to ${MAX_KEYS} are possible`);
    }
    this.peer = options.peer;
    this.random = options.random;
    this.intervalNs = 1e9 / (options.rateHz ?? Number.POSITIVE_INFINITY);
    this.model = new KvModel(options.keys, { minBytes: minValueBytes, maxBytes: maxValueBytes });
    this.window = new KvWindow(this.options.window, options.keys);
    const port = this.peer.freePort();
    const target = { ip: ipNumber(options.targetIp), port: options.targetPort ?? KV_PORT };
    this.sender = new UdpSender(
      this.peer,
      options.targetMac === undefined ? target : { ...target, mac: macBytes(options.targetMac) },
      port,
    );
    this.writer = new KvRequestWriter(this.sender.bytes, this.sender.payloadOffset);
    this.series = new TimeSeries(this.peer.clock.nowNs(), this.options.bucketMs);
    this.peer.bindUdp(port, (bytes, offset, length) => this.take(bytes, offset, length));
  }

  get phase(): KvPhase {
    return this.phaseNow;
  }

  /** Stores every key, then goes on with the mixed phase. */
  start(): void {
    if (this.phaseNow !== 'idle') return;
    this.enter('fill');
    this.peer.addLoad(this);
  }

  /** Reads every key once and compares it; then the client is idle. */
  verifyAll(): void {
    if (this.phaseNow === 'idle') this.peer.addLoad(this);
    this.enter('verify');
  }

  stop(): void {
    if (this.phaseNow === 'idle') return;
    this.window.abandon((key, op) => {
      if (op !== OP_GET) this.model.forget(key);
    });
    this.enter('idle');
    this.peer.removeLoad(this);
  }

  step(nowNs: number): number {
    let work = this.window.earliestDeadlineNs <= nowNs ? this.repeatOverdue(nowNs) : 0;
    if (!this.sender.ready()) {
      this.retryAtNs = nowNs + ADDRESS_RETRY_NS;
      return work;
    }
    this.retryAtNs = Number.POSITIVE_INFINITY;
    if (this.nextSendNs < nowNs - 1e8) this.nextSendNs = nowNs;
    while (!this.window.isFull && this.nextSendNs <= nowNs && this.issue(nowNs)) {
      this.nextSendNs = this.intervalNs === 0 ? nowNs : this.nextSendNs + this.intervalNs;
      work++;
    }
    return work;
  }

  nextDueNs(): number {
    const sendNs = this.window.isFull || this.intervalNs === 0 ? Number.POSITIVE_INFINITY : this.nextSendNs;
    return Math.min(this.retryAtNs, this.window.earliestDeadlineNs, sendNs);
  }

  report(): KvReport {
    let storedBytes = 0;
    let presentKeys = 0;
    for (let key = 0; key < this.model.keys; key++) {
      if (!this.model.isPresent(key)) continue;
      presentKeys++;
      storedBytes += this.model.valueBytes(key, this.model.versionOf(key));
    }
    const nowNs = this.peer.clock.nowNs();
    if (this.phaseNow !== 'idle') this.gap.look(nowNs);
    return {
      ...this.counters,
      phase: this.phaseNow,
      storedBytes,
      presentKeys,
      outstanding: this.window.outstanding,
      latency: this.latency.summary(),
      longestGapMs: this.gap.longestMs,
      longestGapStartNs: this.gap.longestStartNs,
      series: this.series.report(nowNs),
    };
  }

  private enter(phase: KvPhase): void {
    this.phaseNow = phase;
    this.cursor = 0;
    this.gap.restart();
    this.onPhase?.(phase);
  }

  // ---- requests -----------------------------------------------------------------------------------------------------

  /** Sends the next request of the phase. False: there is none now. */
  private issue(nowNs: number): boolean {
    switch (this.phaseNow) {
      case 'fill':
        return this.issueNext(OP_SET, 'mixed', nowNs);
      case 'verify':
        return this.issueNext(OP_GET, 'idle', nowNs);
      case 'mixed':
        return this.issueMixed(nowNs);
      case 'idle':
        return false;
    }
  }

  /** One request per key in order; when all are answered, the next phase. */
  private issueNext(op: number, next: KvPhase, nowNs: number): boolean {
    if (this.cursor < this.model.keys) {
      const key = this.cursor;
      if (this.window.isBusy(key, nowNs)) return false;
      this.cursor++;
      // A key whose last change is uncertain cannot be verified.
      if (op === OP_GET && !this.model.isKnown(key)) return true;
      this.send(op, key, nowNs);
      return true;
    }
    if (this.window.outstanding > 0) return false;
    if (next === 'idle') this.stop();
    else this.enter(next);
    return false;
  }

  private issueMixed(nowNs: number): boolean {
    for (let attempt = 0; attempt < PICK_ATTEMPTS; attempt++) {
      const key = Math.floor((this.random.nextU32() / TWO_32) * this.model.keys);
      if (this.window.isBusy(key, nowNs)) continue;
      const dice = this.random.nextU32() / TWO_32;
      const { setShare, deleteShare } = this.options;
      let op = dice < setShare ? OP_SET : dice < setShare + deleteShare ? OP_DELETE : OP_GET;
      if (!this.model.isKnown(key)) op = OP_SET;
      this.send(op, key, nowNs);
      return true;
    }
    // Nearly every key is under way or rests: look again when the next deadline or reply comes.
    this.retryAtNs = nowNs + ADDRESS_RETRY_NS;
    return false;
  }

  private send(op: number, key: number, nowNs: number): void {
    if (op === OP_SET) this.counters.sets++;
    else if (op === OP_GET) this.counters.gets++;
    else this.counters.deletes++;
    const version = op === OP_SET ? this.model.nextVersion(key) : 0;
    const slot = this.window.open(op, key, version, nowNs, nowNs + this.options.timeoutMs * 1e6);
    this.transmit(slot);
  }

  private transmit(slot: number): void {
    const { window, writer } = this;
    const id = window.idOf(slot);
    const key = window.keyOf(slot);
    let length: number;
    if (window.opOf(slot) === OP_SET) {
      const dataBytes = this.model.expand(key, window.versionOf(slot));
      length = writer.set(id, key, this.model.value, 0, dataBytes);
    } else if (window.opOf(slot) === OP_GET) {
      length = writer.get(id, key);
    } else {
      length = writer.delete(id, key);
    }
    this.sender.send(length);
  }

  private repeatOverdue(nowNs: number): number {
    const { window, options } = this;
    let work = 0;
    for (let slot = 0; slot < window.slots; slot++) {
      if (!window.isOpen(slot) || window.deadlineOf(slot) > nowNs) continue;
      work++;
      if (window.attemptsOf(slot) >= options.maxAttempts) {
        this.counters.lost++;
        if (window.opOf(slot) !== OP_GET) this.model.forget(window.keyOf(slot));
        window.close(slot, nowNs + REST_AFTER_REPEAT_NS);
        continue;
      }
      this.counters.retransmits++;
      window.repeat(slot, nowNs + options.timeoutMs * 1e6);
      this.transmit(slot);
    }
    window.refreshDeadline();
    return work;
  }

  // ---- replies ------------------------------------------------------------------------------------------------------

  private take(bytes: Uint8Array, offset: number, length: number): void {
    const { reader, window, counters } = this;
    if (!reader.parse(bytes, offset, length)) {
      counters.malformed++;
      return;
    }
    const slot = window.slotOf(reader.id);
    if (slot < 0) {
      if (window.wasRepeated(reader.id)) counters.lateReplies++;
      else counters.duplicates++;
      return;
    }
    const nowNs = this.peer.clock.nowNs();
    this.gap.reply(nowNs);
    this.judge(slot, bytes);
    const repeated = window.attemptsOf(slot) > 1;
    const latencyNs = nowNs - window.sentOf(slot);
    this.latency.record(latencyNs);
    this.series.add(nowNs, latencyNs / 1e3);
    if (window.wasOvertaken(slot)) counters.reordered++;
    const rest = repeated && window.opOf(slot) !== OP_GET;
    window.close(slot, rest ? nowNs + REST_AFTER_REPEAT_NS : 0);
  }

  private judge(slot: number, bytes: Uint8Array): void {
    const { reader, window, model, counters } = this;
    const key = window.keyOf(slot);
    const op = window.opOf(slot);
    const { kind } = reader;
    if (kind === 'checksum-error' || kind === 'server-error') {
      if (kind === 'checksum-error') counters.checksumErrors++;
      else counters.serverErrors++;
      if (op !== OP_GET) model.forget(key);
    } else if (op === OP_SET && kind === 'stored') {
      model.confirm(key, window.versionOf(slot));
    } else if (op === OP_DELETE && (kind === 'deleted' || kind === 'not-found')) {
      this.judgeDelete(key, kind === 'deleted', window.attemptsOf(slot) > 1);
    } else if (op === OP_GET && (kind === 'value' || kind === 'miss')) {
      this.judgeGet(key, bytes);
    } else {
      counters.malformed++;
      if (op !== OP_GET) model.forget(key);
    }
  }

  /** A repeated delete may find that its first copy was there before. */
  private judgeDelete(key: number, wasThere: boolean, repeated: boolean): void {
    const expected = this.model.isPresent(key);
    if (this.model.isKnown(key) && wasThere !== expected && !repeated) this.counters.corrupt++;
    this.model.confirmAbsent(key);
  }

  private judgeGet(key: number, bytes: Uint8Array): void {
    const { reader, model, counters } = this;
    if (reader.kind === 'miss') {
      counters.misses++;
      if (model.isPresent(key)) counters.corrupt++;
      return;
    }
    counters.hits++;
    const { dataOffset, dataBytes } = reader;
    const good =
      reader.key === key &&
      model.isPresent(key) &&
      reader.flags === dataChecksum(bytes, dataOffset, dataBytes) &&
      model.matches(key, model.versionOf(key), bytes, dataOffset, dataBytes);
    if (!good && model.isKnown(key)) counters.corrupt++;
  }
}
