/**
 * TCP segmentation: one descriptor chain of headers and up to 256 KiB of payload leaves as frames of MSS payload bytes.
 *
 *   stage:  | headers | payload 0 | payload 1 | payload 2 |
 *           '--- segment 0 -------'
 *                  | headers | payload 1 |                    headers are written over the end of what was sent already
 *                              | headers | payload 2 |
 *
 * Nothing is copied twice. Per segment the card sets: IP lengths, IPv4 identification and header checksum, TCP sequence
 * number, flags (FIN and PSH only in the last, CWR only in the first) and checksum.
 */

import { type Bytes, bytesOf, copyBytes } from '../bytes.js';
import { MAX_FRAME_BYTES } from '../wire/wire.js';
import {
  CONTEXT_IPV4,
  contextIpLength,
  contextL4Length,
  contextL4Type,
  contextMacLength,
  contextSegmentBytes,
  L4_TYPE,
} from './descriptors.js';
import type { Egress } from './egress.js';
import { fold, insertIpv4Checksum, sumOf } from './offload.js';

const TCP_FIN_PSH = 0x09;
const TCP_CWR = 0x80;
/** MACLEN, IPLEN and L4LEN at their largest. */
const MAX_HEADER_BYTES = 127 + 511 + 255;

export const TSO = { sent: 0, hold: 1, malformed: 2 } as const;
export type TsoResult = (typeof TSO)[keyof typeof TSO];

/** Where segments go; the card's way out, or a software switch's. */
export type SegmentSink = Pick<Egress, 'stage' | 'canSend' | 'send' | 'insertVlan'>;

export class Segmenter {
  /** Frames that the last send() made. */
  frames = 0;
  readonly #egress: SegmentSink;
  readonly #headers: Bytes = bytesOf(new Uint8Array(MAX_HEADER_BYTES));
  #ipOffset = 0;
  #tcpOffset = 0;
  #headerBytes = 0;
  #ipv4 = false;

  constructor(egress: SegmentSink) {
    this.#egress = egress;
  }

  /**
   * Segments what lies at [offset, offset + length) of the stage.
   *
   * @param vlanTag inserted into every segment; -1 for none.
   */
  send(
    queue: number,
    offset: number,
    length: number,
    context0: number,
    context2: number,
    context3: number,
    vlanTag: number,
  ): TsoResult {
    const stage = this.#egress.stage;
    const segmentBytes = contextSegmentBytes(context3);
    if (!this.#readContext(stage, offset, length, segmentBytes, context0, context2, context3))
      return TSO.malformed;
    const headerBytes = this.#headerBytes;
    const payloadBytes = length - headerBytes;
    this.frames = Math.ceil(payloadBytes / segmentBytes);
    // all segments or none: nothing of a half-sent chain could be kept across steps
    const longest = Math.min(length, headerBytes + segmentBytes) + (vlanTag < 0 ? 0 : 4);
    if (!this.#egress.canSend(queue, offset, longest, this.frames)) return TSO.hold;
    copyBytes(stage, offset, this.#headers, 0, headerBytes);
    for (let index = 0; index < this.frames; index++) {
      const done = index * segmentBytes;
      const payload = Math.min(segmentBytes, payloadBytes - done);
      const start = offset + done;
      if (index > 0) copyBytes(this.#headers, 0, stage, start, headerBytes);
      this.#fixHeaders(stage, start, payload, index, done, done + payload === payloadBytes);
      const frame = vlanTag < 0 ? start : this.#egress.insertVlan(start, vlanTag);
      this.#egress.send(queue, frame, headerBytes + payload + (start - frame));
    }
    return TSO.sent;
  }

  #readContext(
    stage: Bytes,
    offset: number,
    length: number,
    segmentBytes: number,
    context0: number,
    context2: number,
    context3: number,
  ): boolean {
    this.#ipOffset = contextMacLength(context0);
    this.#tcpOffset = this.#ipOffset + contextIpLength(context0);
    this.#headerBytes = this.#tcpOffset + contextL4Length(context3);
    this.#ipv4 = (context2 & CONTEXT_IPV4) !== 0;
    if (contextL4Type(context2) !== L4_TYPE.tcp || segmentBytes === 0) return false;
    if (
      this.#ipOffset < 14 ||
      contextIpLength(context0) < (this.#ipv4 ? 20 : 40) ||
      contextL4Length(context3) < 20
    ) {
      return false;
    }
    if (this.#headerBytes >= length || this.#headerBytes + segmentBytes > MAX_FRAME_BYTES) return false;
    const version = stage.u8[offset + this.#ipOffset]! >> 4;
    return version === (this.#ipv4 ? 4 : 6);
  }

  #fixHeaders(
    stage: Bytes,
    start: number,
    payload: number,
    index: number,
    done: number,
    last: boolean,
  ): void {
    const { u8, view } = stage;
    const ip = start + this.#ipOffset;
    const tcp = start + this.#tcpOffset;
    const tcpBytes = this.#headerBytes - this.#tcpOffset + payload;
    if (this.#ipv4) {
      view.setUint16(ip + 2, this.#tcpOffset - this.#ipOffset + tcpBytes);
      view.setUint16(ip + 4, this.#headers.view.getUint16(this.#ipOffset + 4) + index);
      insertIpv4Checksum(view, ip, this.#tcpOffset - this.#ipOffset);
    } else {
      view.setUint16(ip + 4, this.#tcpOffset - this.#ipOffset - 40 + tcpBytes);
    }
    view.setUint32(tcp + 4, this.#headers.view.getUint32(this.#tcpOffset + 4) + done);
    let flags = u8[tcp + 13]!;
    if (!last) flags &= ~TCP_FIN_PSH;
    if (index > 0) flags &= ~TCP_CWR;
    u8[tcp + 13] = flags;
    // the driver seeded the field with the pseudo-header's sum without a length
    const seed = this.#headers.view.getUint16(this.#tcpOffset + 16);
    view.setUint16(tcp + 16, 0);
    view.setUint16(tcp + 16, ~fold(seed + tcpBytes + sumOf(view, tcp, tcpBytes)) & 0xffff);
  }
}
