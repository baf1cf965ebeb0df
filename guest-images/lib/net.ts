/**
 * Ethernet, ARP, IPv4, ICMP and UDP: as much as a server on one segment needs. Nothing is copied on the way in: an
 * application sees its datagram where the card put it.
 *
 *   frame  | target 6 | source 6 | type 2 | IPv4 header 20.. | UDP header 8 | payload
 *
 * Numbers that a packet carries big-endian are compared in the order in which they lie in memory.
 */
import { clearCounters, STATS_BYTES, STATS_PORT, STATS_RESET, writeStats } from './counters';
import { fold, ipv4Checksum, pseudoSum, sumOf } from './checksum';
import { macOf, Network, txRing } from './network';
import { ERROR_IPE, ERROR_TCPE, STATUS_IPCS, STATUS_L4CS } from './rx-ring';
import { OFFLOAD_NONE, OFFLOAD_UDP, packetBuffer, sendPacket } from './tx-ring';

export const ETHERNET_BYTES: u32 = 14;
export const IPV4_BYTES: u32 = 20;
export const UDP_BYTES: u32 = 8;
/** Where the payload of a datagram without IP options begins. */
export const UDP_PAYLOAD_AT: u32 = 42;
const ARP_BYTES: u32 = 42;
const TYPE_IPV4: u32 = 0x0008;
const TYPE_ARP: u32 = 0x0608;
const PROTOCOL_ICMP: u32 = 1;
const PROTOCOL_TCP: u32 = 6;
const PROTOCOL_UDP: u32 = 17;
const ECHO_PORT: u32 = 7;
const ICMP_ECHO_REQUEST: u32 = 8;
/** More-fragments and the offset, as they lie in memory. */
const FRAGMENT_BITS: u32 = 0xff3f;

let nextIdentification: u32 = 0;

/**
 * One frame off queue `queue`. The application A has `udp(net, queue, frame, payload, bytes, port): void`, which gets
 * datagrams to ports that are not answered here, and `tcp(...)` alike, which gets segments.
 */
export function receiveFrame<A>(net: Network, queue: u32, app: A, frame: usize, bytes: u32, status: u32): void {
  if (bytes < ARP_BYTES) return;
  const type = <u32>load<u16>(frame, 12);
  if (type == TYPE_IPV4) receiveIpv4<A>(net, queue, app, frame, bytes, status);
  else if (type == TYPE_ARP) receiveArp<A>(net, queue, app, frame);
}

function receiveIpv4<A>(net: Network, queue: u32, app: A, frame: usize, bytes: u32, status: u32): void {
  const ip = frame + ETHERNET_BYTES;
  const versionAndLength = <u32>load<u8>(ip);
  const headerBytes = (versionAndLength & 15) << 2;
  const totalBytes = <u32>bswap<u16>(load<u16>(ip, 2));
  if (versionAndLength >> 4 != 4 || headerBytes < IPV4_BYTES || totalBytes < headerBytes + UDP_BYTES) return;
  if (totalBytes > bytes - ETHERNET_BYTES || load<u32>(ip, 16) != net.ip) return;
  if ((<u32>load<u16>(ip, 6) & FRAGMENT_BITS) != 0) return;
  if ((status & (STATUS_IPCS | ERROR_IPE)) == (STATUS_IPCS | ERROR_IPE)) {
    net.checksumErrors++;
    return;
  }
  const protocol = <u32>load<u8>(ip, 9);
  const segment = ip + headerBytes;
  const segmentBytes = totalBytes - headerBytes;
  if (protocol == PROTOCOL_UDP) {
    const udpBytes = <u32>bswap<u16>(load<u16>(segment, 4));
    if (udpBytes < UDP_BYTES || udpBytes > segmentBytes) return;
    if (!udpIsGood(ip, segment, udpBytes, status)) {
      net.checksumErrors++;
      return;
    }
    const port = <u32>bswap<u16>(load<u16>(segment, 2));
    deliverUdp<A>(net, queue, app, frame, segment + UDP_BYTES, udpBytes - UDP_BYTES, port);
  } else if (protocol == PROTOCOL_ICMP) {
    receiveIcmp(net, queue, frame, segment, segmentBytes);
  } else if (protocol == PROTOCOL_TCP && segmentBytes >= 20) {
    const dataAt = (<u32>load<u8>(segment, 12) >> 4) << 2;
    if (dataAt < 20 || dataAt > segmentBytes) return;
    const port = <u32>bswap<u16>(load<u16>(segment, 2));
    app.tcp(net, queue, frame, segment + dataAt, segmentBytes - dataAt, port);
  }
}

/** What the card verified is not verified again. */
@inline function udpIsGood(ip: usize, udp: usize, udpBytes: u32, status: u32): bool {
  if (load<u16>(udp, 6) == 0) return true;
  if ((status & STATUS_L4CS) != 0 && (status & ERROR_TCPE) == 0) return true;
  const pseudo = pseudoSum(load<u32>(ip, 12), load<u32>(ip, 16), PROTOCOL_UDP, udpBytes);
  return fold(sumOf(udp, udpBytes, pseudo)) == 0xffff;
}

@inline function deliverUdp<A>(
  net: Network,
  queue: u32,
  app: A,
  frame: usize,
  payload: usize,
  bytes: u32,
  port: u32,
): void {
  if (port == ECHO_PORT) echo(net, queue, frame, payload, bytes);
  else if (port == STATS_PORT) answerStats<A>(net, queue, app, frame, payload, bytes);
  else app.udp(net, queue, frame, payload, bytes, port);
}

function echo(net: Network, queue: u32, frame: usize, payload: usize, bytes: u32): void {
  const target = replyBuffer(net, queue);
  if (target == 0) return;
  memory.copy(target + UDP_PAYLOAD_AT, payload, bytes);
  sendReply(net, queue, target, frame, bytes);
}

function answerStats<A>(net: Network, queue: u32, app: A, frame: usize, payload: usize, bytes: u32): void {
  const target = replyBuffer(net, queue);
  if (target == 0) return;
  app.refreshCounters();
  if (bytes >= 4 && load<u32>(payload) == STATS_RESET) {
    clearCounters();
    app.resetCounters();
  }
  writeStats(net, target + UDP_PAYLOAD_AT);
  sendReply(net, queue, target, frame, STATS_BYTES);
}

/** The frame to write a reply into (payload at UDP_PAYLOAD_AT), or 0: no room, the reply is lost. */
@inline export function replyBuffer(net: Network, queue: u32): usize {
  return packetBuffer(txRing(net, queue), 1);
}

/** Sends the reply in `target` to where the datagram in `frame` came from. */
export function sendReply(net: Network, queue: u32, target: usize, frame: usize, payloadBytes: u32): void {
  const ip = frame + ETHERNET_BYTES;
  const udp = ip + ((<u32>load<u8>(ip) & 15) << 2);
  setAddresses(net, target, frame + 6);
  writeIpv4(target + ETHERNET_BYTES, PROTOCOL_UDP, UDP_BYTES + payloadBytes, net.ip, load<u32>(ip, 12));
  writeUdp(target, load<u16>(udp, 2), load<u16>(udp), payloadBytes);
  sendPacket(txRing(net, queue), UDP_PAYLOAD_AT + payloadBytes, OFFLOAD_UDP);
}

/** Target address from memory, source address the interface's. */
@inline function setAddresses(net: Network, frame: usize, target: usize): void {
  store<u32>(frame, load<u32>(target));
  store<u16>(frame, load<u16>(target, 4), 4);
  const own = macOf(net);
  store<u32>(frame, load<u32>(own), 6);
  store<u16>(frame, load<u16>(own, 4), 10);
}

/** Ethernet type, and an IPv4 header with its checksum. */
export function writeIpv4(ip: usize, protocol: u32, segmentBytes: u32, source: u32, target: u32): void {
  store<u16>(ip - 2, TYPE_IPV4);
  store<u16>(ip, 0x0045);
  store<u16>(ip, bswap<u16>(<u16>(IPV4_BYTES + segmentBytes)), 2);
  store<u16>(ip, bswap<u16>(<u16>nextIdentification), 4);
  nextIdentification++;
  // don't fragment
  store<u16>(ip, 0x0040, 6);
  store<u16>(ip, 64 | (protocol << 8), 8);
  store<u16>(ip, 0, 10);
  store<u32>(ip, source, 12);
  store<u32>(ip, target, 16);
  store<u16>(ip, ipv4Checksum(ip), 10);
}

/** A UDP header behind an IPv4 header of 20 bytes; ports as they lie in a packet. The card completes the checksum. */
export function writeUdp(frame: usize, sourcePort: u32, targetPort: u32, payloadBytes: u32): void {
  const ip = frame + ETHERNET_BYTES;
  const udp = ip + IPV4_BYTES;
  const udpBytes = UDP_BYTES + payloadBytes;
  store<u16>(udp, sourcePort);
  store<u16>(udp, targetPort, 2);
  store<u16>(udp, bswap<u16>(<u16>udpBytes), 4);
  store<u16>(udp, fold(pseudoSum(load<u32>(ip, 12), load<u32>(ip, 16), PROTOCOL_UDP, udpBytes)), 6);
}

function receiveIcmp(net: Network, queue: u32, frame: usize, icmp: usize, bytes: u32): void {
  if (<u32>load<u16>(icmp) != ICMP_ECHO_REQUEST || fold(sumOf(icmp, bytes, 0)) != 0xffff) return;
  const ring = txRing(net, queue);
  const target = packetBuffer(ring, 1);
  if (target == 0) return;
  setAddresses(net, target, frame + 6);
  const ip = target + ETHERNET_BYTES;
  writeIpv4(ip, PROTOCOL_ICMP, bytes, net.ip, load<u32>(frame, ETHERNET_BYTES + 12));
  const answer = ip + IPV4_BYTES;
  memory.copy(answer, icmp, bytes);
  store<u32>(answer, 0);
  store<u16>(answer, ~fold(sumOf(answer, bytes, 0)) & 0xffff, 2);
  sendPacket(ring, ETHERNET_BYTES + IPV4_BYTES + bytes, OFFLOAD_NONE);
}

// --- ARP ------------------------------------------------------------------------------------------------------------

const ARP_REQUEST: u32 = 0x0100;
const ARP_REPLY: u32 = 0x0200;
/** Ethernet, IPv4, address lengths 6 and 4: the first eight bytes up to the operation. */
const ARP_HEAD_LOW: u32 = 0x00080100;
const ARP_HEAD_HIGH: u32 = 0x0406;

function receiveArp<A>(net: Network, queue: u32, app: A, frame: usize): void {
  const arp = frame + ETHERNET_BYTES;
  if (load<u32>(arp) != ARP_HEAD_LOW || <u32>load<u16>(arp, 4) != ARP_HEAD_HIGH) return;
  if (load<u32>(arp, 24) != net.ip) return;
  if (<u32>load<u16>(arp, 6) == ARP_REQUEST) sendArp(net, queue, ARP_REPLY, arp + 8, load<u32>(arp, 14));
  else app.neighbour(load<u32>(arp, 14), arp + 8);
}

/** An ARP packet to a machine whose address is at `targetMac`. */
function sendArp(net: Network, queue: u32, operation: u32, targetMac: usize, targetIp: u32): void {
  const ring = txRing(net, queue);
  const frame = packetBuffer(ring, 1);
  if (frame == 0) return;
  setAddresses(net, frame, targetMac);
  store<u16>(frame, TYPE_ARP, 12);
  const arp = frame + ETHERNET_BYTES;
  store<u32>(arp, ARP_HEAD_LOW);
  store<u16>(arp, ARP_HEAD_HIGH, 4);
  store<u16>(arp, operation, 6);
  const own = macOf(net);
  store<u32>(arp, load<u32>(own), 8);
  store<u16>(arp, load<u16>(own, 4), 12);
  store<u32>(arp, net.ip, 14);
  const known = operation == ARP_REPLY;
  store<u32>(arp, known ? load<u32>(targetMac) : 0, 18);
  store<u16>(arp, known ? load<u16>(targetMac, 4) : 0, 22);
  store<u32>(arp, targetIp, 24);
  sendPacket(ring, ARP_BYTES, OFFLOAD_NONE);
}

const everybody: usize = memory.data<u8>([255, 255, 255, 255, 255, 255, 0, 0]);

/** Asks the segment who has `ip`; with the own address, tells the segment where it is. */
export function askWhoHas(net: Network, ip: u32): void {
  sendArp(net, 0, ARP_REQUEST, everybody, ip);
}

/** Ethernet and UDP headers of a datagram of the application's own; its payload is at UDP_PAYLOAD_AT. */
export function writeDatagram(
  net: Network,
  frame: usize,
  targetMac: usize,
  targetIp: u32,
  sourcePort: u32,
  targetPort: u32,
  payloadBytes: u32,
): void {
  setAddresses(net, frame, targetMac);
  writeIpv4(frame + ETHERNET_BYTES, PROTOCOL_UDP, UDP_BYTES + payloadBytes, net.ip, targetIp);
  writeUdp(frame, <u32>bswap<u16>(<u16>sourcePort), <u32>bswap<u16>(<u16>targetPort), payloadBytes);
}

/** Headers of a large TCP send (54 bytes) for the card to segment: lengths and checksums are left to it. */
export function writeTcpHeaders(
  net: Network,
  frame: usize,
  targetMac: usize,
  targetIp: u32,
  sourcePort: u32,
  targetPort: u32,
  sequence: u32,
): void {
  setAddresses(net, frame, targetMac);
  const ip = frame + ETHERNET_BYTES;
  writeIpv4(ip, PROTOCOL_TCP, 0, net.ip, targetIp);
  store<u16>(ip, 0, 2);
  store<u16>(ip, 0, 10);
  const tcp = ip + IPV4_BYTES;
  store<u16>(tcp, bswap<u16>(<u16>sourcePort));
  store<u16>(tcp, bswap<u16>(<u16>targetPort), 2);
  store<u32>(tcp, bswap<u32>(sequence), 4);
  store<u32>(tcp, 0, 8);
  // header of 20 bytes; ACK and PSH; the largest window
  store<u16>(tcp, 0x1850, 12);
  store<u16>(tcp, 0xffff, 14);
  store<u16>(tcp, fold(pseudoSum(net.ip, targetIp, PROTOCOL_TCP, 0)), 16);
  store<u16>(tcp, 0, 18);
}
