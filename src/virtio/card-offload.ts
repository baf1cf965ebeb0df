/**
 * What a guest left for its device to do with a frame, in the terms of the 82599's context descriptor: the driver domain has
 * the card finish checksums and cut large segments, as a host's own stack would.
 *
 *   network header: checksum from byte 34, its field 16 further on  ->  MACLEN 14, IPLEN 20, TCP
 */
import { CONTEXT_IPV4, L4_TYPE } from '../hardware/nic/descriptors.js';
import { fold, pseudoHeaderSum } from '../hardware/nic/offload.js';
import type { NetHeader } from './net-header.js';
import { NET_GSO } from './spec.js';

const ETHERTYPE_IPV4 = 0x0800;
const ETHERTYPE_IPV6 = 0x86dd;
const ETHERTYPE_VLAN = 0x8100;
const ETHERNET_BYTES = 14;
const VLAN_BYTES = 4;
/** Where the checksum lies in each header. */
const FIELD = { udp: 6, tcp: 16 } as const;
const PROTOCOL_TCP = 6;
const TCP_BYTES = 20;
/** More frames of one segment than this is nobody's wish. */
export const MAX_SEGMENTS = 512;
/** A descriptor's length has 16 bits. */
const MAX_PAYLOAD_BYTES = 0xffff;

export class CardOffload {
  /** The context descriptor's words 0, 2 (without type and command) and 3. */
  context0 = 0;
  context2 = 0;
  context3 = 0;
  /** Of a segmented frame. */
  headerBytes = 0;

  /** False: the checksum is none that the card knows. */
  readChecksum(header: NetHeader, view: DataView, at: number, length: number): boolean {
    const l4 = header.checksumStart;
    const type = header.checksumOffset === FIELD.tcp ? L4_TYPE.tcp : L4_TYPE.udp;
    if (header.checksumOffset !== FIELD.tcp && header.checksumOffset !== FIELD.udp) return false;
    if (l4 + header.checksumOffset + 2 > length || length < ETHERNET_BYTES + VLAN_BYTES) return false;
    const tagged = view.getUint16(at + 12) === ETHERTYPE_VLAN;
    const l3 = tagged ? ETHERNET_BYTES + VLAN_BYTES : ETHERNET_BYTES;
    const etherType = view.getUint16(at + l3 - 2);
    const ipv4 = etherType === ETHERTYPE_IPV4;
    if (!ipv4 && etherType !== ETHERTYPE_IPV6) return false;
    const ipBytes = l4 - l3;
    if (ipBytes < (ipv4 ? 20 : 40) || ipBytes > 511) return false;
    this.context0 = ipBytes | (l3 << 9);
    this.context2 = (ipv4 ? CONTEXT_IPV4 : 0) | (type << 11);
    this.context3 = 0;
    return true;
  }

  /** Puts the frame's headers into the form that the card cuts from. False: it is no TCP over IPv4 that can be cut. */
  prepareSegments(header: NetHeader, view: DataView, at: number, length: number): boolean {
    const segmentBytes = header.segmentBytes;
    if (header.gsoType !== NET_GSO.tcpv4 || segmentBytes === 0 || !header.needsChecksum) return false;
    if (!this.readChecksum(header, view, at, length)) return false;
    const tcp = header.checksumStart;
    if (this.context2 !== (CONTEXT_IPV4 | (L4_TYPE.tcp << 11)) || tcp + TCP_BYTES > length) return false;
    const tcpBytes = (view.getUint8(at + tcp + 12) >> 4) << 2;
    this.headerBytes = tcp + tcpBytes;
    const payloadBytes = length - this.headerBytes;
    if (tcpBytes < TCP_BYTES || payloadBytes <= 0 || payloadBytes > MAX_PAYLOAD_BYTES) return false;
    if (payloadBytes > segmentBytes * MAX_SEGMENTS) return false;
    this.context3 = (segmentBytes << 16) | (tcpBytes << 8);
    // the card adds each segment's own length
    const l3 = at + (this.context0 >>> 9);
    view.setUint16(at + tcp + FIELD.tcp, fold(pseudoHeaderSum(view, l3, true, PROTOCOL_TCP, 0)));
    return true;
  }
}
