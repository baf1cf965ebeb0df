/**
 * Checksums: inserted on transmit as a descriptor asks, verified on receive into the write-back's status bits.
 *
 * A ones' complement sum does not care for byte order (swapping all input bytes swaps the result's), so the sum runs over
 * little-endian 32-bit words, two 16-bit halves at a time, and is swapped once at the end.
 */
import type { Bytes } from '../bytes.js';
import {
  CONTEXT_IPV4,
  contextIpLength,
  contextL4Type,
  contextMacLength,
  L4_TYPE,
  PACKET_TYPE,
  RX_ERROR,
  RX_STATUS,
  TX_OPTION,
} from './descriptors.js';
import { type Packet, PROTOCOL } from './packet.js';

/** Where the checksum field lies in each layer 4 header. */
const FIELD = { udp: 6, tcp: 16, sctp: 8 } as const;

/** Sum of big-endian 16-bit words, folded to 16 bits, not inverted; an odd last byte counts as the high half. */
export function sumOf(view: DataView, offset: number, length: number): number {
  // up to 64 KiB: each half stays below 2^31, so the loop runs on small integers
  let low = 0;
  let high = 0;
  const whole = offset + (length & ~3);
  let at = offset;
  for (; at < whole; at += 4) {
    const word = view.getInt32(at, true);
    low = (low + (word & 0xffff)) | 0;
    high = (high + (word >>> 16)) | 0;
  }
  if ((length & 2) !== 0) {
    low += view.getUint16(at, true);
    at += 2;
  }
  if ((length & 1) !== 0) low += view.getUint8(at);
  const folded = fold(fold(low) + fold(high));
  return ((folded & 0xff) << 8) | (folded >>> 8);
}

/** Adds the carries of a sum below 2^32 back in. */
export function fold(sum: number): number {
  const once = (sum & 0xffff) + (sum >>> 16);
  return (once & 0xffff) + (once >>> 16);
}

/** Sum of the pseudo-header of an IPv4 or IPv6 packet, folded. */
export function pseudoHeaderSum(
  view: DataView,
  l3: number,
  ipv4: boolean,
  protocol: number,
  l4Bytes: number,
): number {
  const addresses = ipv4 ? sumOf(view, l3 + 12, 8) : sumOf(view, l3 + 8, 32);
  return fold(addresses + protocol + l4Bytes);
}

// --- receive --------------------------------------------------------------------------------------------------------

/** Status and error bits for dword 2 of a received frame's write-back. */
export function verifyChecksums(from: Bytes, offset: number, packet: Packet): number {
  const type = packet.type;
  if (type === 0) return 0;
  const view = from.view;
  const l3 = offset + packet.l3Offset;
  let bits = 0;
  if ((type & PACKET_TYPE.ipv4) !== 0) {
    bits = RX_STATUS.ipChecksum;
    // a wrong header makes everything behind it doubtful
    const plain = (type & PACKET_TYPE.ipv4Options) === 0;
    const sum = plain ? plainHeaderSum(view, l3) : sumOf(view, l3, (from.u8[l3]! & 0xf) << 2);
    if (sum !== 0xffff) return bits | RX_ERROR.ipChecksum;
  }
  if (packet.l4Offset === 0) return bits;
  const l4 = offset + packet.l4Offset;
  const l4Bytes = packet.l3End - packet.l4Offset;
  if ((type & PACKET_TYPE.sctp) !== 0) {
    const right = sctpChecksum(from.u8, l4, l4Bytes) === view.getUint32(l4 + FIELD.sctp, true);
    return bits | RX_STATUS.l4Checksum | (right ? 0 : RX_ERROR.l4Checksum);
  }
  const udp = (type & PACKET_TYPE.udp) !== 0;
  if (udp && view.getUint16(l4 + FIELD.udp, true) === 0) return bits; // sent without a checksum
  const ipv4 = (type & PACKET_TYPE.ipv4) !== 0;
  const pseudo = pseudoHeaderSum(view, l3, ipv4, udp ? PROTOCOL.udp : PROTOCOL.tcp, l4Bytes);
  const right = fold(pseudo + sumOf(view, l4, l4Bytes)) === 0xffff;
  const checked = udp
    ? RX_STATUS.l4Checksum | RX_STATUS.udpChecksum | RX_STATUS.udpValid
    : RX_STATUS.l4Checksum;
  return bits | checked | (right ? 0 : RX_ERROR.l4Checksum);
}

/** The sum of 20 bytes, bytes swapped; unrolled, because every packet pays for it. A right header's is ffff. */
function plainHeaderSum(view: DataView, l3: number): number {
  const a = view.getInt32(l3, true);
  const b = view.getInt32(l3 + 4, true);
  const c = view.getInt32(l3 + 8, true);
  const d = view.getInt32(l3 + 12, true);
  const e = view.getInt32(l3 + 16, true);
  const low = (a & 0xffff) + (b & 0xffff) + (c & 0xffff) + (d & 0xffff) + (e & 0xffff);
  return fold(low + (a >>> 16) + (b >>> 16) + (c >>> 16) + (d >>> 16) + (e >>> 16));
}

// --- transmit -------------------------------------------------------------------------------------------------------

/**
 * Inserts the checksums that a data descriptor's options ask for, where the context says the headers are.
 * False: the context's lengths do not fit the frame, which is then not sent.
 */
export function insertChecksums(
  frame: Bytes,
  offset: number,
  length: number,
  options: number,
  context0: number,
  context2: number,
): boolean {
  const l3 = contextMacLength(context0);
  const l4 = l3 + contextIpLength(context0);
  if ((options & TX_OPTION.ipChecksum) !== 0 && (context2 & CONTEXT_IPV4) !== 0) {
    if (l4 - l3 < 20 || l4 > length) return false;
    insertIpv4Checksum(frame.view, offset + l3, l4 - l3);
  }
  if ((options & TX_OPTION.l4Checksum) === 0) return true;
  return insertL4Checksum(frame, offset + l4, length - l4, contextL4Type(context2));
}

export function insertIpv4Checksum(view: DataView, l3: number, headerBytes: number): void {
  view.setUint16(l3 + 10, 0);
  view.setUint16(l3 + 10, ~sumOf(view, l3, headerBytes) & 0xffff);
}

/** The driver left the pseudo-header's sum in the field (TCP, UDP): summing over it completes the checksum. */
export function insertL4Checksum(frame: Bytes, l4: number, l4Bytes: number, l4Type: number): boolean {
  const view = frame.view;
  if (l4Type === L4_TYPE.sctp) {
    if (l4Bytes < 12) return false;
    view.setUint32(l4 + FIELD.sctp, sctpChecksum(frame.u8, l4, l4Bytes), true);
    return true;
  }
  const field = l4Type === L4_TYPE.tcp ? FIELD.tcp : FIELD.udp;
  if (l4Type > L4_TYPE.sctp || l4Bytes < field + 2) return false;
  const sum = ~sumOf(view, l4, l4Bytes) & 0xffff;
  // a computed 0 is sent as its other representation: for UDP, 0 says "no checksum"
  view.setUint16(l4 + field, sum === 0 && l4Type === L4_TYPE.udp ? 0xffff : sum);
  return true;
}

// --- SCTP's CRC32c --------------------------------------------------------------------------------------------------

const CRC32C_POLYNOMIAL = 0x82f63b78;
const crcTable = new Int32Array(256).map((_, index) => {
  let value = index;
  for (let bit = 0; bit < 8; bit++) value = (value >>> 1) ^ ((value & 1) !== 0 ? CRC32C_POLYNOMIAL : 0);
  return value;
});

/** CRC32c over an SCTP packet with its checksum field taken as 0; stored little-endian. */
export function sctpChecksum(bytes: Uint8Array, offset: number, length: number): number {
  let crc = -1;
  for (let i = 0; i < length; i++) {
    const byte = i >= FIELD.sctp && i < FIELD.sctp + 4 ? 0 : bytes[offset + i]!;
    crc = (crc >>> 8) ^ crcTable[(crc ^ byte) & 0xff]!;
  }
  return ~crc >>> 0;
}
