/** Frames with real headers and checksums, computed here the slow and obvious way. */

/** Ones' complement sum of 16-bit big-endian words, inverted. */
export function internetChecksum(...parts: readonly Uint8Array[]): number {
  let sum = 0;
  for (const part of parts) {
    for (let i = 0; i < part.length; i++) sum += i % 2 === 0 ? part[i]! << 8 : part[i]!;
  }
  while (sum > 0xffff) sum = (sum % 0x10000) + Math.floor(sum / 0x10000);
  return ~sum & 0xffff;
}

export interface PacketOptions {
  readonly source?: readonly number[];
  readonly destination?: readonly number[];
  readonly ports?: readonly [number, number];
  /** Leave the UDP checksum 0. */
  readonly noChecksum?: boolean;
}

export function tagged(frame: Uint8Array, tag: number): Uint8Array {
  const out = new Uint8Array(frame.length + 4);
  out.set(frame.subarray(0, 12));
  out.set([0x81, 0x00, tag >> 8, tag & 0xff], 12);
  out.set(frame.subarray(12), 16);
  return out;
}

export function ethernet(
  destination: Uint8Array,
  source: Uint8Array,
  etherType: number,
  body: Uint8Array,
): Uint8Array {
  const frame = new Uint8Array(14 + body.length);
  frame.set(destination);
  frame.set(source, 6);
  frame[12] = etherType >> 8;
  frame[13] = etherType & 0xff;
  frame.set(body, 14);
  return frame;
}

export function ipv4(
  protocol: number,
  body: Uint8Array,
  source: readonly number[],
  destination: readonly number[],
): Uint8Array {
  const packet = new Uint8Array(20 + body.length);
  const view = new DataView(packet.buffer);
  packet[0] = 0x45;
  view.setUint16(2, packet.length);
  packet[8] = 64;
  packet[9] = protocol;
  packet.set(source, 12);
  packet.set(destination, 16);
  view.setUint16(10, internetChecksum(packet.subarray(0, 20)));
  packet.set(body, 20);
  return packet;
}

export function ipv6(
  next: number,
  body: Uint8Array,
  source: Uint8Array,
  destination: Uint8Array,
): Uint8Array {
  const packet = new Uint8Array(40 + body.length);
  packet[0] = 0x60;
  new DataView(packet.buffer).setUint16(4, body.length);
  packet[6] = next;
  packet[7] = 64;
  packet.set(source, 8);
  packet.set(destination, 24);
  packet.set(body, 40);
  return packet;
}

/** Pseudo-header of either IP version, told by the address length. */
export function pseudoHeader(
  source: ArrayLike<number>,
  destination: ArrayLike<number>,
  protocol: number,
  length: number,
): Uint8Array {
  const tail = new Uint8Array(8);
  new DataView(tail.buffer).setUint32(0, length);
  tail[7] = protocol;
  return Uint8Array.from([...Array.from(source), ...Array.from(destination), ...tail]);
}

const PEER_IP = [10, 0, 0, 9];
const GUEST_IP = [10, 0, 0, 1];

export function udpPacket(
  destination: Uint8Array,
  source: Uint8Array,
  payload: Uint8Array,
  options: PacketOptions = {},
): Uint8Array {
  const from = options.source ?? PEER_IP;
  const to = options.destination ?? GUEST_IP;
  const udp = new Uint8Array(8 + payload.length);
  const view = new DataView(udp.buffer);
  view.setUint16(0, options.ports?.[0] ?? 1000);
  view.setUint16(2, options.ports?.[1] ?? 7);
  view.setUint16(4, udp.length);
  udp.set(payload, 8);
  if (options.noChecksum !== true) {
    view.setUint16(6, internetChecksum(pseudoHeader(from, to, 17, udp.length), udp) || 0xffff);
  }
  return ethernet(destination, source, 0x0800, ipv4(17, udp, from, to));
}

export function tcpSegment(payload: Uint8Array, sequence = 1000, flags = 0x18): Uint8Array {
  const tcp = new Uint8Array(20 + payload.length);
  const view = new DataView(tcp.buffer);
  view.setUint16(0, 1000);
  view.setUint16(2, 80);
  view.setUint32(4, sequence);
  tcp[12] = 0x50;
  tcp[13] = flags;
  view.setUint16(14, 65535);
  tcp.set(payload, 20);
  return tcp;
}

export function tcpPacket(destination: Uint8Array, source: Uint8Array, payload: Uint8Array): Uint8Array {
  const tcp = tcpSegment(payload);
  const sum = internetChecksum(pseudoHeader(PEER_IP, GUEST_IP, 6, tcp.length), tcp);
  new DataView(tcp.buffer).setUint16(16, sum);
  return ethernet(destination, source, 0x0800, ipv4(6, tcp, PEER_IP, GUEST_IP));
}
