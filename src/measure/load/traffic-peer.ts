/**
 * A station on a wire: it has a MAC and an IP address, answers ARP and ping, resolves its targets, and carries loads
 * (probe, store client, bulk sender and receiver), which share it. A step function: `step()` takes what arrived, lets
 * every load send what is due, and flushes once.
 */
import type { Clock } from '../../hardware/clock.js';
import type { LoopHandle, Steppable } from '../../hardware/wire/event-loop-driver.js';
import { driveFromEventLoop } from '../../hardware/wire/event-loop-driver.js';
import {
  ARP_REPLY,
  ARP_REQUEST,
  ETHERTYPE_ARP,
  FrameReader,
  ICMP_ECHO_REPLY,
  ICMP_ECHO_REQUEST,
  internetChecksum,
  ipNumber,
  MIN_FRAME_BYTES,
  macBytes,
  PROTOCOL_ICMP,
  PROTOCOL_TCP,
  PROTOCOL_UDP,
  readU16,
  readU32,
  writeArp,
  writeU16,
  writeU32,
} from '../../hardware/wire/frames.js';
import type { FrameSink, Wire } from '../../hardware/wire/wire.js';
import { MAX_FRAME_BYTES } from '../../hardware/wire/wire.js';

/** One UDP datagram: its payload is `bytes[offset .. offset + length)`, valid during the call only. */
export type DatagramHandler = (
  bytes: Uint8Array,
  offset: number,
  length: number,
  nowNs: number,
  sourcePort: number,
) => void;

/** One TCP segment to this station: its header is at `at`. Valid during the call only. */
export type SegmentHandler = (bytes: Uint8Array, at: number, length: number, nowNs: number) => void;

/** What a peer carries. */
export interface Load {
  /** Sends what is due; returns how much that was. */
  step(nowNs: number): number;
  /** When it wants to be stepped though nothing arrives; Infinity for never. */
  nextDueNs(): number;
}

export interface TrafficPeerOptions {
  readonly wire: Wire;
  readonly clock: Clock;
  readonly mac: string;
  readonly ip: string;
}

const BROADCAST = new Uint8Array(6).fill(0xff);
const UNKNOWN = new Uint8Array(6);
const ARP_RETRY_NS = 100e6;
const RECEIVE_BUDGET = 512;
const FIRST_EPHEMERAL_PORT = 40_000;

const ICMP_HEADER_BYTES = 8;
const TCP_HEADER_BYTES = 20;

export class TrafficPeer implements Steppable {
  readonly clock: Clock;
  readonly mac: Uint8Array;
  readonly ip: number;
  /** Counts what ARP changed: a station may have moved to another address. */
  neighbourChanges = 0;
  private readonly wire: Wire;
  private readonly reader = new FrameReader();
  private readonly loads: Load[] = [];
  private readonly handlers: (DatagramHandler | undefined)[] = new Array(65536).fill(undefined);
  private readonly segments: SegmentHandler[] = [];
  private readonly pings = new Map<number, DatagramHandler>();
  private readonly neighbours = new Map<number, Uint8Array>();
  private readonly askedNs = new Map<number, number>();
  private readonly scratch = new Uint8Array(MAX_FRAME_BYTES);
  private readonly sink: FrameSink;
  private nextPort = FIRST_EPHEMERAL_PORT;
  private nowNs = 0;

  constructor(options: TrafficPeerOptions) {
    this.wire = options.wire;
    this.clock = options.clock;
    this.mac = macBytes(options.mac);
    this.ip = ipNumber(options.ip);
    this.sink = (bytes, offset, length) => {
      this.take(bytes, offset, length);
      return true;
    };
  }

  get onWake(): (() => void) | null {
    return this.wire.onWake;
  }

  set onWake(wake: (() => void) | null) {
    this.wire.onWake = wake;
  }

  get linkUp(): boolean {
    return this.wire.linkUp;
  }

  addLoad(load: Load): void {
    this.loads.push(load);
    this.wire.onWake?.();
  }

  removeLoad(load: Load): void {
    const index = this.loads.indexOf(load);
    if (index >= 0) this.loads.splice(index, 1);
  }

  /** Datagrams to this port go to the handler; null gives the port back. */
  bindUdp(port: number, handler: DatagramHandler | null): void {
    this.handlers[port] = handler ?? undefined;
  }

  /** Replies to echo requests with this identifier go to the handler; null takes it away. */
  bindPing(identifier: number, handler: DatagramHandler | null): void {
    if (handler === null) this.pings.delete(identifier);
    else this.pings.set(identifier, handler);
  }

  /** Every TCP segment to this station goes to the handler too. Returns what ends that. */
  onSegment(handler: SegmentHandler): () => void {
    this.segments.push(handler);
    return () => void this.segments.splice(this.segments.indexOf(handler), 1);
  }

  /** A port that nobody has bound. */
  freePort(): number {
    while (this.handlers[this.nextPort] !== undefined) this.nextPort++;
    return this.nextPort++;
  }

  /** The station's address if known; otherwise asks for it (not more often than every 100 ms). */
  resolve(ip: number): Uint8Array | null {
    const known = this.neighbours.get(ip);
    if (known !== undefined) return known;
    const askedNs = this.askedNs.get(ip) ?? Number.NEGATIVE_INFINITY;
    const nowNs = this.clock.nowNs();
    if (nowNs - askedNs >= ARP_RETRY_NS && this.wire.linkUp) {
      this.askedNs.set(ip, nowNs);
      this.sendArp(ARP_REQUEST, BROADCAST, UNKNOWN, ip);
    }
    return null;
  }

  /** Hands a whole frame to the wire; it leaves with this step's flush. */
  transmit(bytes: Uint8Array, offset: number, length: number): boolean {
    return this.wire.transmit(bytes, offset, length);
  }

  step(): number {
    this.nowNs = this.clock.nowNs();
    let work = this.wire.receive(this.sink, RECEIVE_BUDGET);
    for (const load of this.loads) work += load.step(this.nowNs);
    this.wire.flush();
    return work;
  }

  nextDueNs(): number {
    let dueNs = Number.POSITIVE_INFINITY;
    for (const load of this.loads) dueNs = Math.min(dueNs, load.nextDueNs());
    return dueNs;
  }

  /** Steps the peer from this thread's event loop until the handle is stopped. */
  run(): LoopHandle {
    return driveFromEventLoop(this, this.clock);
  }

  private take(bytes: Uint8Array, offset: number, length: number): void {
    const reader = this.reader;
    if (!reader.parse(bytes, offset, length)) return;
    if (reader.etherType === ETHERTYPE_ARP) {
      this.takeArp(bytes, reader.networkOffset);
    } else if (reader.targetIp !== this.ip) {
      return;
    } else if (reader.protocol === PROTOCOL_UDP) {
      this.handlers[reader.targetPort]?.(
        bytes,
        reader.payloadOffset,
        reader.payloadBytes,
        this.nowNs,
        reader.sourcePort,
      );
    } else if (reader.protocol === PROTOCOL_TCP && reader.transportBytes >= TCP_HEADER_BYTES) {
      for (const handler of this.segments) {
        handler(bytes, reader.transportOffset, reader.transportBytes, this.nowNs);
      }
    } else if (reader.protocol === PROTOCOL_ICMP && reader.transportBytes >= ICMP_HEADER_BYTES) {
      const type = bytes[reader.transportOffset];
      if (type === ICMP_ECHO_REQUEST) this.answerPing(bytes, offset, length);
      else if (type === ICMP_ECHO_REPLY) this.takePong(bytes, reader.transportOffset, reader.transportBytes);
    }
  }

  private takePong(bytes: Uint8Array, icmp: number, icmpBytes: number): void {
    const identifier = readU16(bytes, icmp + 4);
    const from = icmp + ICMP_HEADER_BYTES;
    this.pings.get(identifier)?.(bytes, from, icmpBytes - ICMP_HEADER_BYTES, this.nowNs, identifier);
  }

  private takeArp(bytes: Uint8Array, arp: number): void {
    const senderIp = readU32(bytes, arp + 14);
    const senderMac = bytes.slice(arp + 8, arp + 14);
    const known = this.neighbours.get(senderIp);
    if (known === undefined || senderMac.some((octet, i) => octet !== known[i])) {
      this.neighbours.set(senderIp, senderMac);
      this.neighbourChanges++;
    }
    if (readU16(bytes, arp + 6) === ARP_REQUEST && readU32(bytes, arp + 24) === this.ip) {
      this.sendArp(ARP_REPLY, senderMac, senderMac, senderIp);
    }
  }

  private sendArp(
    operation: number,
    frameTargetMac: Uint8Array,
    targetMac: Uint8Array,
    targetIp: number,
  ): void {
    const length = writeArp(this.scratch, 0, {
      operation,
      senderMac: this.mac,
      senderIp: this.ip,
      targetMac,
      targetIp,
      frameTargetMac,
    });
    this.wire.transmit(this.scratch, 0, length);
  }

  /** The request comes back as it is, with both addresses swapped and the type changed to a reply. */
  private answerPing(bytes: Uint8Array, offset: number, length: number): void {
    const frame = this.scratch;
    frame.set(bytes.subarray(offset, offset + length));
    frame.copyWithin(0, 6, 12);
    frame.set(this.mac, 6);
    const ip = this.reader.networkOffset - offset;
    writeU32(frame, ip + 12, this.ip);
    writeU32(frame, ip + 16, this.reader.sourceIp);
    const icmp = this.reader.transportOffset - offset;
    frame[icmp] = 0;
    writeU16(frame, icmp + 2, 0);
    writeU16(frame, icmp + 2, internetChecksum(frame, icmp, this.reader.transportBytes));
    this.wire.transmit(frame, 0, Math.max(length, MIN_FRAME_BYTES));
  }
}
