/**
 * Building and reading the frames that generators and load peers exchange: Ethernet II, ARP, IPv4, UDP. Everything
 * writes into and reads from a buffer of the caller at an offset; nothing is allocated per frame.
 *
 *     0        6        12     14            34         42
 *     | target | source | type | IPv4 header | UDP head | payload ...
 */

export const ETHERNET_BYTES = 14;
export const IPV4_BYTES = 20;
export const UDP_BYTES = 8;
/** Where a UDP payload starts in an untagged frame. */
export const UDP_PAYLOAD_OFFSET = ETHERNET_BYTES + IPV4_BYTES + UDP_BYTES;
export const ARP_FRAME_BYTES = 42;
/** The shortest frame, without its CRC. */
export const MIN_FRAME_BYTES = 60;
export const CRC_BYTES = 4;

export const ETHERTYPE_IPV4 = 0x0800;
export const ETHERTYPE_ARP = 0x0806;
export const PROTOCOL_ICMP = 1;
export const ICMP_ECHO_REQUEST = 8;
export const ICMP_ECHO_REPLY = 0;
export const PROTOCOL_TCP = 6;
export const PROTOCOL_UDP = 17;
export const ARP_REQUEST = 1;
export const ARP_REPLY = 2;

const VLAN_TPID = 0x8100;
const VLAN_BYTES = 4;
const TTL = 64;

export interface UdpFlow {
  readonly sourceMac: Uint8Array;
  readonly targetMac: Uint8Array;
  /** IPv4 addresses as unsigned numbers. */
  readonly sourceIp: number;
  readonly targetIp: number;
  readonly sourcePort: number;
  readonly targetPort: number;
}

/** `52:54:00:00:00:01` -> six bytes. @throws RangeError when it is no MAC address. */
export function macBytes(text: string): Uint8Array {
  if (!/^([0-9a-f]{2}:){5}[0-9a-f]{2}$/i.test(text)) throw new RangeError(`'${text}' is no MAC address`);
  return Uint8Array.from(text.split(':'), (part) => Number.parseInt(part, 16));
}

export function macText(bytes: Uint8Array, offset = 0): string {
  const part = (index: number): string => bytes[offset + index]!.toString(16).padStart(2, '0');
  return [0, 1, 2, 3, 4, 5].map(part).join(':');
}

/** `10.0.0.1` -> 0x0a000001. @throws RangeError when it is no IPv4 address. */
export function ipNumber(text: string): number {
  const parts = text.split('.').map(Number);
  if (!/^\d+(\.\d+){3}$/.test(text) || parts.some((part) => part > 255)) {
    throw new RangeError(`'${text}' is no IPv4 address`);
  }
  return parts.reduce((value, part) => value * 256 + part, 0);
}

export function ipText(value: number): string {
  return `${value >>> 24}.${(value >>> 16) & 255}.${(value >>> 8) & 255}.${value & 255}`;
}

export function readU16(bytes: Uint8Array, at: number): number {
  return (bytes[at]! << 8) | bytes[at + 1]!;
}

export function readU32(bytes: Uint8Array, at: number): number {
  return ((bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!) >>> 0;
}

export function writeU16(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value >>> 8;
  bytes[at + 1] = value;
}

export function writeU32(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value >>> 24;
  bytes[at + 1] = value >>> 16;
  bytes[at + 2] = value >>> 8;
  bytes[at + 3] = value;
}

/** The internet checksum over a range; 0 when the range holds its own correct checksum. */
export function internetChecksum(bytes: Uint8Array, offset: number, length: number): number {
  let sum = 0;
  const even = length & ~1;
  for (let i = 0; i < even; i += 2) sum += (bytes[offset + i]! << 8) | bytes[offset + i + 1]!;
  if (even !== length) sum += bytes[offset + even]! << 8;
  while (sum > 0xffff) sum = (sum & 0xffff) + Math.floor(sum / 0x10000);
  return ~sum & 0xffff;
}

function writeEthernet(
  bytes: Uint8Array,
  at: number,
  target: Uint8Array,
  source: Uint8Array,
  type: number,
): void {
  bytes.set(target, at);
  bytes.set(source, at + 6);
  writeU16(bytes, at + 12, type);
}

/**
 * Writes the headers of one UDP frame at `at`; the payload follows at `at + UDP_PAYLOAD_OFFSET`. The UDP checksum is 0
 * ("none"): the test payload brings its own.
 */
export function writeUdpHeaders(bytes: Uint8Array, at: number, flow: UdpFlow, payloadBytes: number): void {
  writeIpHeaders(bytes, at, flow, PROTOCOL_UDP, UDP_BYTES + payloadBytes);
  const udp = at + ETHERNET_BYTES + IPV4_BYTES;
  writeU16(bytes, udp, flow.sourcePort);
  writeU16(bytes, udp + 2, flow.targetPort);
  writeU16(bytes, udp + 4, UDP_BYTES + payloadBytes);
  writeU16(bytes, udp + 6, 0);
}

/**
 * An ICMP echo request, whose header is as long as a datagram's: the payload stands at the same place and is written first,
 * because the checksum covers it. `sourcePort` is the identifier.
 */
export function writeEchoRequest(
  bytes: Uint8Array,
  at: number,
  flow: UdpFlow,
  sequence: number,
  payloadBytes: number,
): void {
  writeIpHeaders(bytes, at, flow, PROTOCOL_ICMP, UDP_BYTES + payloadBytes);
  const icmp = at + ETHERNET_BYTES + IPV4_BYTES;
  writeU16(bytes, icmp, ICMP_ECHO_REQUEST << 8);
  writeU16(bytes, icmp + 2, 0);
  writeU16(bytes, icmp + 4, flow.sourcePort);
  writeU16(bytes, icmp + 6, sequence & 0xffff);
  writeU16(bytes, icmp + 2, internetChecksum(bytes, icmp, UDP_BYTES + payloadBytes));
}

function writeIpHeaders(
  bytes: Uint8Array,
  at: number,
  flow: UdpFlow,
  protocol: number,
  transportBytes: number,
): void {
  writeEthernet(bytes, at, flow.targetMac, flow.sourceMac, ETHERTYPE_IPV4);
  const ip = at + ETHERNET_BYTES;
  writeU16(bytes, ip, 0x4500);
  writeU16(bytes, ip + 2, IPV4_BYTES + transportBytes);
  writeU16(bytes, ip + 4, 0);
  // Don't fragment.
  writeU16(bytes, ip + 6, 0x4000);
  bytes[ip + 8] = TTL;
  bytes[ip + 9] = protocol;
  writeU16(bytes, ip + 10, 0);
  writeU32(bytes, ip + 12, flow.sourceIp);
  writeU32(bytes, ip + 16, flow.targetIp);
  writeU16(bytes, ip + 10, internetChecksum(bytes, ip, IPV4_BYTES));
}

export interface ArpFields {
  readonly operation: number;
  readonly senderMac: Uint8Array;
  readonly senderIp: number;
  readonly targetMac: Uint8Array;
  readonly targetIp: number;
  /** Where the frame goes: broadcast for a request. */
  readonly frameTargetMac: Uint8Array;
}

/** Writes an ARP frame, padded to the minimum; returns its length. */
export function writeArp(bytes: Uint8Array, at: number, fields: ArpFields): number {
  bytes.fill(0, at, at + MIN_FRAME_BYTES);
  writeEthernet(bytes, at, fields.frameTargetMac, fields.senderMac, ETHERTYPE_ARP);
  const arp = at + ETHERNET_BYTES;
  // Ethernet and IPv4, with address lengths 6 and 4.
  writeU16(bytes, arp, 1);
  writeU16(bytes, arp + 2, ETHERTYPE_IPV4);
  writeU16(bytes, arp + 4, 0x0604);
  writeU16(bytes, arp + 6, fields.operation);
  bytes.set(fields.senderMac, arp + 8);
  writeU32(bytes, arp + 14, fields.senderIp);
  bytes.set(fields.targetMac, arp + 18);
  writeU32(bytes, arp + 24, fields.targetIp);
  return MIN_FRAME_BYTES;
}

/** Reads the headers of a frame. One instance is used for every frame; its fields hold what the last parse() found. */
export class FrameReader {
  etherType = 0;
  /** Start of what follows the Ethernet header and an optional VLAN tag. */
  networkOffset = 0;
  /** Of an IPv4 packet; 0 otherwise. */
  protocol = 0;
  sourceIp = 0;
  targetIp = 0;
  /** Start of what follows the IPv4 header. */
  transportOffset = 0;
  transportBytes = 0;
  /** Of a UDP datagram; 0 otherwise. */
  sourcePort = 0;
  targetPort = 0;
  payloadOffset = 0;
  payloadBytes = 0;

  /** False when lengths do not fit each other: such a frame has no meaning. */
  parse(bytes: Uint8Array, offset: number, length: number): boolean {
    this.protocol = 0;
    this.targetPort = 0;
    this.sourcePort = 0;
    if (length < ETHERNET_BYTES) return false;
    let network = offset + ETHERNET_BYTES;
    let type = readU16(bytes, offset + 12);
    if (type === VLAN_TPID && length >= ETHERNET_BYTES + VLAN_BYTES) {
      type = readU16(bytes, offset + 16);
      network += VLAN_BYTES;
    }
    this.etherType = type;
    this.networkOffset = network;
    const left = offset + length - network;
    if (type === ETHERTYPE_ARP) return left >= ARP_FRAME_BYTES - ETHERNET_BYTES;
    if (type !== ETHERTYPE_IPV4) return true;
    return this.parseIpv4(bytes, network, left);
  }

  private parseIpv4(bytes: Uint8Array, ip: number, left: number): boolean {
    if (left < IPV4_BYTES || bytes[ip]! >> 4 !== 4) return false;
    const headerBytes = (bytes[ip]! & 15) * 4;
    const totalBytes = readU16(bytes, ip + 2);
    if (headerBytes < IPV4_BYTES || totalBytes < headerBytes || totalBytes > left) return false;
    this.protocol = bytes[ip + 9]!;
    this.sourceIp = readU32(bytes, ip + 12);
    this.targetIp = readU32(bytes, ip + 16);
    this.transportOffset = ip + headerBytes;
    this.transportBytes = totalBytes - headerBytes;
    if (this.protocol !== PROTOCOL_UDP) return true;
    if (this.transportBytes < UDP_BYTES) return false;
    const udp = this.transportOffset;
    const udpBytes = readU16(bytes, udp + 4);
    if (udpBytes < UDP_BYTES || udpBytes > this.transportBytes) return false;
    this.sourcePort = readU16(bytes, udp);
    this.targetPort = readU16(bytes, udp + 2);
    this.payloadOffset = udp + UDP_BYTES;
    this.payloadBytes = udpBytes - UDP_BYTES;
    return true;
  }
}
