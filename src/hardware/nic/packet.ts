/**
 * What the card's parser finds in a frame: addresses, VLAN tag, where layers 3 and 4 begin, and which protocols they are.
 * One object per path, filled again for every frame.
 */
import { PACKET_TYPE } from './descriptors.js';

export const ETHERNET_HEADER_BYTES = 14;
export const VLAN_TAG_BYTES = 4;
export const ETHERTYPE_VLAN = 0x8100;
const ETHERTYPE_IPV4 = 0x0800;
const ETHERTYPE_IPV6 = 0x86dd;
export const PROTOCOL = { tcp: 6, udp: 17, sctp: 132 } as const;
const IPV6_HEADER_BYTES = 40;
/** Extension headers that the parser steps over; more are not looked at. */
const MAX_EXTENSIONS = 4;
const HOP_BY_HOP = 0;
const ROUTING = 43;
const FRAGMENT = 44;
const DESTINATION_OPTIONS = 60;

export class Packet {
  /** Destination: bytes 0-3 and 4-5, byte 0 in bits 7:0, as RAL and RAH hold an address. */
  destinationLow = 0;
  destinationHigh = 0;
  sourceLow = 0;
  sourceHigh = 0;
  tagged = false;
  /** The tag as it was on the wire: 11:0 VID, 12 CFI, 15:13 priority. */
  vlanTag = 0;
  /** What follows the addresses and the tag. */
  etherType = 0;
  /** PACKET_TYPE flags. */
  type = 0;
  /** Offsets from the frame's first byte; layer 4 is 0 when there is none that the card knows. */
  l3Offset = 0;
  l4Offset = 0;
  /** Where the IP packet ends (its length field, never past the frame). */
  l3End = 0;
  /** First byte after the IP header (and the extension headers looked at). */
  l3HeaderEnd = 0;
  /** Bytes of the layer 4 header, options included; 0 without one. */
  l4HeaderBytes = 0;
  protocol = 0;
  /** A fragment: its layer 4 cannot be checked. */
  fragment = false;

  /** The Ethernet part; the caller made sure that ETHERNET_HEADER_BYTES are there. */
  readLayer2(view: DataView, offset: number, length: number): void {
    this.destinationLow = view.getInt32(offset, true);
    this.destinationHigh = view.getUint16(offset + 4, true);
    this.sourceLow = view.getInt32(offset + 6, true);
    this.sourceHigh = view.getUint16(offset + 10, true);
    const etherType = view.getUint16(offset + 12);
    this.tagged = etherType === ETHERTYPE_VLAN && length >= ETHERNET_HEADER_BYTES + VLAN_TAG_BYTES;
    this.vlanTag = this.tagged ? view.getUint16(offset + 14) : 0;
    this.etherType = this.tagged ? view.getUint16(offset + 16) : etherType;
  }

  /** Layers 3 and 4; readLayer2() must have run on the same frame. */
  readUpperLayers(view: DataView, offset: number, length: number): void {
    const l3 = this.tagged ? ETHERNET_HEADER_BYTES + VLAN_TAG_BYTES : ETHERNET_HEADER_BYTES;
    this.type = 0;
    this.l3Offset = l3;
    this.l4Offset = 0;
    this.l3End = length;
    this.l3HeaderEnd = l3;
    this.l4HeaderBytes = 0;
    this.protocol = 0;
    this.fragment = false;
    if (this.etherType === ETHERTYPE_IPV4) this.#readIpv4(view, offset, length);
    else if (this.etherType === ETHERTYPE_IPV6) this.#readIpv6(view, offset, length);
  }

  get multicast(): boolean {
    return (this.destinationLow & 1) !== 0;
  }

  get broadcast(): boolean {
    return this.destinationLow === -1 && this.destinationHigh === 0xffff;
  }

  #readIpv4(view: DataView, offset: number, length: number): void {
    const l3 = this.l3Offset;
    if (length < l3 + 20) return;
    const at = offset + l3;
    // version, header length, type of service, total length
    const first = view.getInt32(at);
    const headerBytes = (first >>> 22) & 0x3c;
    const totalBytes = first & 0xffff;
    if (first >>> 28 !== 4 || headerBytes < 20 || totalBytes < headerBytes || l3 + totalBytes > length)
      return;
    this.type = headerBytes > 20 ? PACKET_TYPE.ipv4 | PACKET_TYPE.ipv4Options : PACKET_TYPE.ipv4;
    this.l3End = l3 + totalBytes;
    // more-fragments flag or a fragment offset
    this.fragment = (view.getUint16(at + 6) & 0x3fff) !== 0;
    this.#setLayer4(view, offset, view.getUint8(at + 9), l3 + headerBytes);
  }

  #readIpv6(view: DataView, offset: number, length: number): void {
    const l3 = this.l3Offset;
    if (length < l3 + IPV6_HEADER_BYTES) return;
    const at = offset + l3;
    if (view.getUint8(at) >> 4 !== 6) return;
    const end = l3 + IPV6_HEADER_BYTES + view.getUint16(at + 4);
    if (end > length) return;
    this.type = PACKET_TYPE.ipv6;
    this.l3End = end;
    let next = view.getUint8(at + 6);
    let l4 = l3 + IPV6_HEADER_BYTES;
    for (let i = 0; i < MAX_EXTENSIONS && isExtension(next) && l4 + 8 <= end; i++) {
      this.type |= PACKET_TYPE.ipv6Extensions;
      if (next === FRAGMENT) this.fragment = true;
      const extensionBytes = next === FRAGMENT ? 8 : (view.getUint8(offset + l4 + 1) + 1) * 8;
      next = view.getUint8(offset + l4);
      l4 += extensionBytes;
    }
    this.#setLayer4(view, offset, next, l4);
  }

  #setLayer4(view: DataView, offset: number, protocol: number, l4: number): void {
    this.protocol = protocol;
    this.l3HeaderEnd = l4;
    if (this.fragment) return;
    const room = this.l3End - l4;
    if (protocol === PROTOCOL.tcp) {
      const headerBytes = room >= 20 ? (view.getUint8(offset + l4 + 12) >> 4) << 2 : 0;
      if (headerBytes < 20 || headerBytes > room) return;
      this.type |= PACKET_TYPE.tcp;
      this.l4HeaderBytes = headerBytes;
    } else if (protocol === PROTOCOL.udp && room >= 8) {
      this.type |= PACKET_TYPE.udp;
      this.l4HeaderBytes = 8;
    } else if (protocol === PROTOCOL.sctp && room >= 12) {
      this.type |= PACKET_TYPE.sctp;
      this.l4HeaderBytes = 12;
    } else {
      return;
    }
    this.l4Offset = l4;
  }
}

const isExtension = (header: number): boolean =>
  header === HOP_BY_HOP || header === ROUTING || header === FRAGMENT || header === DESTINATION_OPTIONS;
