/**
 * Numbered frames, between the scripted guest and its peers: every byte follows from stream and number, so that whoever
 * takes one can tell whether it is whole.
 *
 *   raw   | Ethernet, type 88B5 |                  | magic stream number length/zero | pattern ...
 *   ipv4  | Ethernet, type 0800 | IPv4, proto 253  | the same
 *   udp   | Ethernet, type 0800 | IPv4 | UDP       | the same                        (checksums must be right)
 *   tcp   | Ethernet, type 0800 | IPv4 | TCP       | pattern by sequence number      (segments that the card cut)
 *
 * `length` is the frame's own, without CRC and VLAN tag: a stale buffer of another length is found by it.
 */
import { patternLength, writePattern } from './pattern.js';

/** Streams: who sent it, and what is asked of it on the wire. */
export const STREAM = {
  /** From 0 on: of peers, as they like. */
  peers: 0,
  /** The guest's, without a VLAN tag. */
  guest: 0x4000_0000,
  /** The guest's, with the tag GUEST_VLAN inserted by the card. */
  guestTagged: 0x4000_0001,
} as const;
export const GUEST_VLAN = 0x64;
export const GUEST_TCP_PORT = 7777;

export const HEADER = { raw: 14, ipv4: 34, udp: 42, tcp: 54 } as const;
export type FrameShape = keyof typeof HEADER;

const MAGIC = 0x31565253;
const STAMP_BYTES = 16;
/** Shortest numbered frame of each shape is padded to the wire's minimum anyway. */
export const MIN_NUMBERED_BYTES = 60;
const TYPE_NUMBERED = 0x88b5;
const TYPE_IPV4 = 0x0800;
const TYPE_VLAN = 0x8100;
const PROTOCOL = { ipv4: 253, udp: 17, tcp: 6 } as const;
const TAG_BYTES = 4;

export type FrameVerdict =
  /** Nobody's numbered frame. */
  | { readonly kind: 'foreign' }
  | { readonly kind: 'whole'; readonly stream: number; readonly number: number }
  /** `at`: the first wrong byte. */
  | { readonly kind: 'damaged'; readonly stream: number; readonly number: number; readonly at: number };

export interface NumberedFrame {
  readonly shape: Exclude<FrameShape, 'tcp'>;
  readonly target: Uint8Array;
  readonly source: Uint8Array;
  readonly stream: number;
  readonly number: number;
  /** MIN_NUMBERED_BYTES or more, no CRC. */
  readonly bytes: number;
  /** Chooses the receiver's queue: part of the source address. */
  readonly flow?: number;
  /** Leave IPv4's and UDP's checksums to the card: the pseudo-header's sum stands in UDP's. */
  readonly offload?: boolean;
}

/** Writes a whole frame into `into`, from its first byte on. */
export function writeNumberedFrame(into: Uint8Array, frame: NumberedFrame): void {
  const { shape, bytes, stream, number } = frame;
  const view = new DataView(into.buffer, into.byteOffset, into.byteLength);
  writeEthernet(into, view, frame.target, frame.source, shape === 'raw' ? TYPE_NUMBERED : TYPE_IPV4);
  const at = HEADER[shape];
  view.setUint32(at, MAGIC, true);
  view.setUint32(at + 4, stream, true);
  view.setUint32(at + 8, number, true);
  view.setUint32(at + 12, bytes, true);
  const patternAt = at + STAMP_BYTES;
  writePattern(into, patternAt, mix(stream, number), bytes - patternAt);
  if (shape === 'raw') return;
  writeIpv4(view, bytes - 14, PROTOCOL[shape], frame.flow ?? 0, frame.offload === true);
  if (shape === 'udp') writeUdp(view, bytes - HEADER.ipv4, frame.offload === true);
}

/** Looks at a frame from the wire or from a ring. `deep`: checksums must be right and tags where they belong. */
export function checkFrame(bytes: Uint8Array, length: number, deep = false): FrameVerdict {
  if (length < MIN_NUMBERED_BYTES) return FOREIGN;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const tag = view.getUint16(12) === TYPE_VLAN ? TAG_BYTES : 0;
  const type = view.getUint16(12 + tag);
  let at: number = HEADER.raw + tag;
  if (type === TYPE_IPV4) {
    const protocol = view.getUint8(23 + tag);
    if (protocol === PROTOCOL.tcp) return checkSegment(bytes, view, tag, length);
    if (protocol === PROTOCOL.udp) at = HEADER.udp + tag;
    else if (protocol === PROTOCOL.ipv4) at = HEADER.ipv4 + tag;
    else return FOREIGN;
  } else if (type !== TYPE_NUMBERED) return FOREIGN;
  if (view.getUint32(at, true) !== MAGIC) return FOREIGN;
  const stream = view.getUint32(at + 4, true);
  const number = view.getUint32(at + 8, true);
  const damaged = (where: number): FrameVerdict => ({ kind: 'damaged', stream, number, at: where });
  if (view.getUint32(at + 12, true) !== length - tag) return damaged(at + 12);
  const patternAt = at + STAMP_BYTES;
  const whole = patternLength(bytes, patternAt, mix(stream, number), length - patternAt);
  if (patternAt + whole < length) return damaged(patternAt + whole);
  if (deep) {
    const wrong = checkWire(view, type, tag, stream, length);
    if (wrong >= 0) return damaged(wrong);
  }
  return { kind: 'whole', stream, number };
}

export interface SegmentedFrame {
  readonly target: Uint8Array;
  readonly source: Uint8Array;
  readonly sequence: number;
  readonly payloadBytes: number;
}

/** Headers and payload for the card to segment: lengths and checksums are its affair. */
export function writeSegmentedFrame(into: Uint8Array, frame: SegmentedFrame): void {
  const view = new DataView(into.buffer, into.byteOffset, into.byteLength);
  writeEthernet(into, view, frame.target, frame.source, TYPE_IPV4);
  writeIpv4(view, 0, PROTOCOL.tcp, 0, true);
  const tcp = HEADER.ipv4;
  into.fill(0, tcp, HEADER.tcp);
  view.setUint16(tcp, GUEST_TCP_PORT);
  view.setUint16(tcp + 2, GUEST_TCP_PORT);
  view.setUint32(tcp + 4, frame.sequence);
  view.setUint8(tcp + 12, 5 << 4);
  view.setUint8(tcp + 13, 0x18);
  view.setUint16(tcp + 16, fold(pseudoHeader(view, 0, PROTOCOL.tcp)));
  // the stream's byte at a sequence number is the pattern's there
  writePattern(into, HEADER.tcp, frame.sequence, frame.payloadBytes);
}

const FOREIGN: FrameVerdict = { kind: 'foreign' };

function checkSegment(bytes: Uint8Array, view: DataView, tag: number, length: number): FrameVerdict {
  if (length < HEADER.tcp + tag || view.getUint16(HEADER.ipv4 + tag) !== GUEST_TCP_PORT) return FOREIGN;
  const sequence = view.getUint32(HEADER.ipv4 + tag + 4);
  const damaged = (at: number): FrameVerdict => ({
    kind: 'damaged',
    stream: STREAM.guest,
    number: sequence,
    at,
  });
  const ipBytes = view.getUint16(16 + tag);
  const payload = ipBytes - (HEADER.tcp - 14);
  // a short frame is padded behind its packet
  if (payload < 0 || HEADER.tcp + tag + payload > length) return damaged(16 + tag);
  const whole = patternLength(bytes, HEADER.tcp + tag, sequence, payload);
  if (whole < payload) return damaged(HEADER.tcp + tag + whole);
  if (sum(view, 14 + tag, 20, 0) !== 0xffff) return damaged(24 + tag);
  const tcpBytes = ipBytes - 20;
  const start = pseudoHeader(view, tag, PROTOCOL.tcp) + tcpBytes;
  if (sum(view, HEADER.ipv4 + tag, tcpBytes, start) !== 0xffff) return damaged(HEADER.ipv4 + tag + 16);
  return { kind: 'whole', stream: STREAM.guest, number: sequence };
}

/** The first byte that is wrong on the wire, -1: none. */
function checkWire(view: DataView, type: number, tag: number, stream: number, length: number): number {
  const wanted = stream === STREAM.guestTagged;
  if (wanted !== tag > 0) return 12;
  if (wanted && (view.getUint16(14) & 0xfff) !== GUEST_VLAN) return 14;
  if (type !== TYPE_IPV4) return -1;
  if (sum(view, 14 + tag, 20, 0) !== 0xffff) return 24 + tag;
  if (view.getUint8(23 + tag) !== PROTOCOL.udp) return -1;
  const udp = HEADER.ipv4 + tag;
  const udpBytes = length - udp;
  const start = pseudoHeader(view, tag, PROTOCOL.udp) + udpBytes;
  return sum(view, udp, udpBytes, start) === 0xffff ? -1 : udp + 6;
}

function writeEthernet(
  into: Uint8Array,
  view: DataView,
  target: Uint8Array,
  source: Uint8Array,
  type: number,
): void {
  into.set(target, 0);
  into.set(source, 6);
  view.setUint16(12, type);
}

function writeIpv4(view: DataView, bytes: number, protocol: number, flow: number, offload: boolean): void {
  view.setUint32(14, 0x4500_0000 | bytes);
  view.setUint32(18, 0);
  view.setUint32(22, (64 << 24) | (protocol << 16));
  view.setUint32(26, 0x0a00_0100 + (flow & 0xff));
  view.setUint32(30, 0x0a00_0002);
  if (!offload) view.setUint16(24, ~sum(view, 14, 20, 0) & 0xffff);
}

function writeUdp(view: DataView, bytes: number, offload: boolean): void {
  const udp = HEADER.ipv4;
  view.setUint32(udp, 0x1e61_1e61);
  view.setUint16(udp + 4, bytes);
  const pseudo = fold(pseudoHeader(view, 0, PROTOCOL.udp) + bytes);
  view.setUint16(udp + 6, offload ? pseudo : 0);
  if (!offload) view.setUint16(udp + 6, ~sum(view, udp, bytes, pseudo) & 0xffff || 0xffff);
}

/** Addresses and protocol, without the length. */
function pseudoHeader(view: DataView, tag: number, protocol: number): number {
  return sum(view, 26 + tag, 8, protocol);
}

/** Ones' complement sum of big-endian 16-bit words, folded. */
function sum(view: DataView, at: number, bytes: number, start: number): number {
  let total = start;
  for (let i = 0; i + 1 < bytes; i += 2) total += view.getUint16(at + i);
  if ((bytes & 1) !== 0) total += view.getUint8(at + bytes - 1) << 8;
  return fold(total);
}

function fold(total: number): number {
  let folded = total;
  while (folded > 0xffff) folded = (folded & 0xffff) + (folded >>> 16);
  return folded;
}

function mix(stream: number, number: number): number {
  const h = Math.imul(stream ^ Math.imul(number, 0x9e3779b1), 0x85ebca6b);
  return Math.imul(h ^ (h >>> 13), 0xc2b2ae35) | 0;
}
