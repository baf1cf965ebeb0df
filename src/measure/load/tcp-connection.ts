/**
 * One TCP connection of a traffic peer's: enough of TCP to load a real guest's stack, and to see what it does. Data is zeros,
 * or the few bytes that somebody has queued; what arrives is counted, and handed to whoever listens.
 *
 *   send:    queued bytes, then zeros while `flooding`, as far as the guest's window and ours allow
 *   lost:    three duplicate acknowledgements, or silence for as long as a timer says: again from the first byte that is due
 *   receive: data that is only counted may come out of order, and selective acknowledgements say what came, as a real stack's;
 *            where somebody listens (onData), what comes out of order is acknowledged again and comes again
 */
import {
  ETHERNET_BYTES,
  ETHERTYPE_IPV4,
  IPV4_BYTES,
  internetChecksum,
  PROTOCOL_TCP,
  readU16,
  readU32,
  writeU16,
  writeU32,
} from '../../hardware/wire/frames.js';
import { after, EarlyRanges } from './early-ranges.js';

export const TCP_BYTES = 20;
const HEADERS_BYTES = ETHERNET_BYTES + IPV4_BYTES + TCP_BYTES;
const FLAG = { fin: 1, syn: 2, rst: 4, psh: 8, ack: 16 } as const;
const SEGMENT_BYTES = 1460;
/** As real stacks say it. Without it a receiver merges segments only where their IP identifiers count up: ours are all 0. */
const DONT_FRAGMENT = 0x40;
const SYN_OPTION_BYTES = 12;
/** Ours: 65535 << 7 is some 8 MB. */
const WINDOW_SCALE = 7;
const OPTION = { end: 0, nothing: 1, segmentSize: 2, windowScale: 3, sackPermitted: 4, sack: 5 } as const;
/** Ranges that fit into a header: 40 bytes of options. */
const SACK_RANGES = 4;
const FIRST_WINDOW_BYTES = 64 * 1024;
/** A card's usual ring of 512 holds it: what no guest has taken yet is under way, not lost. */
const LAST_WINDOW_BYTES = 2 ** 19;
const LEAST_WINDOW_BYTES = 4 * SEGMENT_BYTES;
const RETRY_NS = 200e6;
const LONGEST_RETRY_NS = 1600e6;
const DUPLICATES = 3;
const SEGMENTS_PER_STEP = 128;

/** The two ends. */
export interface TcpFlow {
  readonly sourceMac: Uint8Array;
  readonly targetMac: Uint8Array;
  readonly sourceIp: number;
  readonly targetIp: number;
  readonly sourcePort: number;
  readonly targetPort: number;
}

/** Hands a frame to the wire; false: it took none. */
export type SendFrame = (bytes: Uint8Array, offset: number, length: number) => boolean;

export class TcpConnection {
  /** Zeros are sent without end. */
  flooding = false;
  /** Of data: acknowledged by the guest, received from it in order. */
  acknowledgedBytes = 0;
  receivedBytes = 0;
  retransmissions = 0;
  state: 'opening' | 'open' | 'closed' = 'opening';
  /** In order, of the data that arrives; what is passed is valid during the call only. */
  onData: ((bytes: Uint8Array) => void) | null = null;
  readonly flow: TcpFlow;
  readonly #send: SendFrame;
  readonly #frame = new Uint8Array(HEADERS_BYTES + SEGMENT_BYTES);
  readonly #queued: number[] = [];
  /** Sequence number of the first byte of #queued. */
  #queuedAt: number;
  #unacknowledged: number;
  #next: number;
  /** Behind the last byte that was ever sent: #next goes back when something is sent again. */
  #sentUntil: number;
  #expected = 0;
  #theirWindow = 0;
  #theirScale = 0;
  #window = FIRST_WINDOW_BYTES;
  #duplicates = 0;
  #recoverUntil: number;
  #acknowledge = false;
  readonly #early = new EarlyRanges();
  #wasOpen = false;
  #retryNs = RETRY_NS;
  #heardNs = 0;

  constructor(flow: TcpFlow, firstSequence: number, send: SendFrame, nowNs: number) {
    this.flow = flow;
    this.#send = send;
    this.#unacknowledged = firstSequence >>> 0;
    this.#next = (firstSequence + 1) >>> 0;
    this.#sentUntil = this.#next;
    this.#queuedAt = this.#next;
    this.#recoverUntil = this.#unacknowledged;
    this.#heardNs = nowNs;
    this.#sendSyn();
  }

  /** Sends these bytes, before any zeros. Only while nothing was flooded yet. */
  write(bytes: Uint8Array): void {
    if (this.#queued.length === 0) this.#queuedAt = this.#next;
    this.#queued.push(...bytes);
  }

  /** Everything that was sent has been acknowledged: a reset that is sent now is one that the guest believes. */
  get isDrained(): boolean {
    return this.#next === this.#unacknowledged;
  }

  /** Ends it without ceremony. Called again it says so again: a reset may be lost as any frame. */
  abort(): void {
    if (this.#wasOpen) this.#segment(FLAG.rst | FLAG.ack, this.#next, 0);
    this.state = 'closed';
  }

  /** A segment of this connection's: `at` is its TCP header. */
  take(bytes: Uint8Array, at: number, length: number, nowNs: number): void {
    if (this.state === 'closed') {
      this.#refuse(bytes, at);
      return;
    }
    const headerBytes = (bytes[at + 12]! >> 4) * 4;
    if (headerBytes < TCP_BYTES || headerBytes > length) return;
    const flags = bytes[at + 13]!;
    const sequence = readU32(bytes, at + 4);
    if ((flags & FLAG.rst) !== 0) {
      this.state = 'closed';
      return;
    }
    if (this.state === 'opening') {
      if ((flags & (FLAG.syn | FLAG.ack)) !== (FLAG.syn | FLAG.ack)) return;
      this.#expected = (sequence + 1) >>> 0;
      this.#theirScale = windowScaleOf(bytes.subarray(at + TCP_BYTES, at + headerBytes));
      this.#unacknowledged = this.#next;
      this.#theirWindow = readU16(bytes, at + 14);
      this.#heardNs = nowNs;
      this.#acknowledge = true;
      this.state = 'open';
      this.#wasOpen = true;
      return;
    }
    const dataBytes = length - headerBytes;
    if ((flags & FLAG.ack) !== 0) this.#takeAcknowledgement(bytes, at, dataBytes, nowNs);
    this.#takeData(bytes, at + headerBytes, dataBytes, sequence, (flags & FLAG.fin) !== 0);
  }

  /** A guest that goes on with a connection that is over asks where it stands: a reset of just that number is believed. */
  #refuse(bytes: Uint8Array, at: number): void {
    const flags = bytes[at + 13]!;
    if ((flags & FLAG.rst) === 0 && (flags & FLAG.ack) !== 0)
      this.#segment(FLAG.rst, readU32(bytes, at + 8), 0);
  }

  #takeAcknowledgement(bytes: Uint8Array, at: number, dataBytes: number, nowNs: number): void {
    const acknowledged = readU32(bytes, at + 8);
    const window = readU16(bytes, at + 14) << this.#theirScale;
    const progress = after(acknowledged, this.#unacknowledged);
    const isDuplicate = progress === 0 && dataBytes === 0 && window === this.#theirWindow;
    this.#theirWindow = window;
    if (progress > 0 && after(acknowledged, this.#sentUntil) <= 0) {
      this.#unacknowledged = acknowledged;
      // it was only late: what is being sent again has arrived
      if (after(acknowledged, this.#next) > 0) this.#next = acknowledged;
      this.acknowledgedBytes += progress;
      const sent = after(acknowledged, this.#queuedAt);
      if (sent > 0 && this.#queued.length > 0) {
        this.#queued.splice(0, sent);
        this.#queuedAt = acknowledged;
      }
      this.#duplicates = 0;
      this.#retryNs = RETRY_NS;
      this.#heardNs = nowNs;
      this.#window = Math.min(this.#window + progress, LAST_WINDOW_BYTES);
    } else if (isDuplicate && this.#next !== this.#unacknowledged) {
      this.#duplicates++;
      if (this.#duplicates >= DUPLICATES && after(this.#unacknowledged, this.#recoverUntil) >= 0)
        this.#again(nowNs);
    }
  }

  #takeData(bytes: Uint8Array, at: number, length: number, sequence: number, fin: boolean): void {
    if (length === 0 && !fin) return;
    this.#acknowledge = true;
    const isCounted = this.onData === null && !fin;
    const ahead = after(sequence, this.#expected);
    if (ahead > 0 && isCounted) {
      this.#early.add(sequence, (sequence + length) >>> 0);
      // each one is told of: three in a row have the guest send what is missing
      if (this.#segment(FLAG.ack, this.#next, 0)) this.#acknowledge = false;
    }
    // sent again, with more behind it
    const known = isCounted && ahead < 0 && ahead + length > 0 ? -ahead : 0;
    if (ahead + known !== 0) return;
    const until = (sequence + length + (fin ? 1 : 0)) >>> 0;
    const reached = isCounted ? this.#early.takeFrom(until) >>> 0 : until;
    this.receivedBytes += after(reached, this.#expected) - (fin ? 1 : 0);
    this.#expected = reached;
    if (length > 0) this.onData?.(bytes.subarray(at, at + length));
    if (fin) {
      this.#segment(FLAG.fin | FLAG.ack, this.#next, 0);
      this.state = 'closed';
    }
  }

  /** Sends what is due; returns how many segments. */
  step(nowNs: number): number {
    if (this.state === 'closed') return 0;
    if (nowNs - this.#heardNs >= this.#retryNs) this.#retry(nowNs);
    if (this.state !== 'open') return 0;
    const limit = Math.min(this.#window, this.#theirWindow);
    let sent = 0;
    while (sent < SEGMENTS_PER_STEP) {
      const inFlight = after(this.#next, this.#unacknowledged);
      const queued = this.#queuedAt + this.#queued.length - this.#next;
      const due = this.#queued.length > 0 && queued > 0 ? queued : this.flooding ? SEGMENT_BYTES : 0;
      const bytes = Math.min(due, SEGMENT_BYTES);
      if (bytes === 0 || inFlight + bytes > limit) break;
      // as real stacks do: a push in every segment would keep the guest from merging them
      const push = bytes < SEGMENT_BYTES ? FLAG.psh : 0;
      if (!this.#segment(FLAG.ack | push, this.#next, bytes)) break;
      if (inFlight === 0) this.#heardNs = nowNs;
      this.#next = (this.#next + bytes) >>> 0;
      if (after(this.#next, this.#sentUntil) > 0) this.#sentUntil = this.#next;
      this.#acknowledge = false;
      sent++;
    }
    if (this.#acknowledge && this.#segment(FLAG.ack, this.#next, 0)) {
      this.#acknowledge = false;
      sent++;
    }
    return sent;
  }

  nextDueNs(): number {
    if (this.state === 'closed') return Number.POSITIVE_INFINITY;
    const waits = this.state === 'opening' || this.#next !== this.#unacknowledged;
    return waits ? this.#heardNs + this.#retryNs : Number.POSITIVE_INFINITY;
  }

  #retry(nowNs: number): void {
    if (this.state === 'opening') {
      this.#heardNs = nowNs;
      this.#sendSyn();
    } else if (this.#next !== this.#unacknowledged) {
      this.#retryNs = Math.min(this.#retryNs * 2, LONGEST_RETRY_NS);
      this.#again(nowNs);
      this.#window = LEAST_WINDOW_BYTES;
    }
  }

  /** From the first byte that was not acknowledged; the network is given half as much to carry. */
  #again(nowNs: number): void {
    this.retransmissions++;
    this.#recoverUntil = this.#sentUntil;
    this.#next = this.#unacknowledged;
    this.#window = Math.max(this.#window >> 1, LEAST_WINDOW_BYTES);
    this.#duplicates = 0;
    this.#heardNs = nowNs;
  }

  #sendSyn(): void {
    const options = [OPTION.segmentSize, 4, SEGMENT_BYTES >> 8, SEGMENT_BYTES & 0xff];
    const scale = [OPTION.nothing, OPTION.windowScale, 3, WINDOW_SCALE];
    const selective = [OPTION.nothing, OPTION.nothing, OPTION.sackPermitted, 2];
    this.#frame.set([...options, ...scale, ...selective], HEADERS_BYTES);
    this.#emit(FLAG.syn, this.#unacknowledged, TCP_BYTES + SYN_OPTION_BYTES, 0);
    this.#frame.fill(0, HEADERS_BYTES, HEADERS_BYTES + SYN_OPTION_BYTES);
  }

  #segment(flags: number, sequence: number, dataBytes: number): boolean {
    const from = after(sequence, this.#queuedAt);
    const queued = Math.min(Math.max(this.#queued.length - from, 0), dataBytes);
    for (let i = 0; i < queued; i++) this.#frame[HEADERS_BYTES + i] = this.#queued[from + i]!;
    const optionBytes = dataBytes === 0 && (flags & FLAG.rst) === 0 ? this.#putSelective() : 0;
    const isSent = this.#emit(flags, sequence, TCP_BYTES + optionBytes, dataBytes);
    this.#frame.fill(0, HEADERS_BYTES, HEADERS_BYTES + Math.max(queued, optionBytes));
    return isSent;
  }

  /** Writes what came ahead of its turn behind the header; returns how many bytes that takes. */
  #putSelective(): number {
    const ranges = this.#early.latestFirst.slice(0, SACK_RANGES);
    if (ranges.length === 0) return 0;
    const bytes = 2 + 8 * ranges.length;
    this.#frame.set([OPTION.nothing, OPTION.nothing, OPTION.sack, bytes], HEADERS_BYTES);
    for (const [index, { from, until }] of ranges.entries()) {
      writeU32(this.#frame, HEADERS_BYTES + 4 + index * 8, from);
      writeU32(this.#frame, HEADERS_BYTES + 8 + index * 8, until);
    }
    return 2 + bytes;
  }

  #emit(flags: number, sequence: number, headerBytes: number, dataBytes: number): boolean {
    const frame = this.#frame;
    const { sourceMac, targetMac, sourceIp, targetIp, sourcePort, targetPort } = this.flow;
    const tcpBytes = headerBytes + dataBytes;
    const ip = ETHERNET_BYTES;
    const tcp = ip + IPV4_BYTES;
    frame.set(targetMac, 0);
    frame.set(sourceMac, 6);
    writeU16(frame, 12, ETHERTYPE_IPV4);
    frame.fill(0, ip, tcp + TCP_BYTES);
    frame[ip] = 0x45;
    writeU16(frame, ip + 2, IPV4_BYTES + tcpBytes);
    frame[ip + 6] = DONT_FRAGMENT;
    frame[ip + 8] = 64;
    frame[ip + 9] = PROTOCOL_TCP;
    writeU32(frame, ip + 12, sourceIp);
    writeU32(frame, ip + 16, targetIp);
    writeU16(frame, ip + 10, internetChecksum(frame, ip, IPV4_BYTES));
    writeU16(frame, tcp, sourcePort);
    writeU16(frame, tcp + 2, targetPort);
    writeU32(frame, tcp + 4, sequence);
    if ((flags & FLAG.ack) !== 0) writeU32(frame, tcp + 8, this.#expected);
    frame[tcp + 12] = (headerBytes / 4) << 4;
    frame[tcp + 13] = flags;
    writeU16(frame, tcp + 14, 0xffff);
    writeU16(frame, tcp + 16, tcpChecksum(frame, tcp, tcpBytes, this.flow));
    return this.#send(frame, 0, Math.max(60, tcp + tcpBytes));
  }
}

/** With the pseudo-header: addresses, protocol, length. */
function tcpChecksum(frame: Uint8Array, tcp: number, tcpBytes: number, flow: TcpFlow): number {
  const { sourceIp, targetIp } = flow;
  const pseudo =
    (sourceIp >>> 16) +
    (sourceIp & 0xffff) +
    (targetIp >>> 16) +
    (targetIp & 0xffff) +
    PROTOCOL_TCP +
    tcpBytes;
  let sum = pseudo + (~internetChecksum(frame, tcp, tcpBytes) & 0xffff);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return ~sum & 0xffff;
}

/** 0 where there is no such option: the window counts bytes. */
function windowScaleOf(options: Uint8Array): number {
  for (let at = 0; at < options.length; ) {
    const kind = options[at]!;
    if (kind === OPTION.end) return 0;
    if (kind === OPTION.nothing) {
      at++;
      continue;
    }
    const length = options[at + 1] ?? 0;
    if (kind === OPTION.windowScale) return Math.min(options[at + 2] ?? 0, 14);
    if (length < 2) return 0;
    at += length;
  }
  return 0;
}
