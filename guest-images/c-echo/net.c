//   frame | target 6 | source 6 | type 2 | IPv4 header 20.. | UDP header 8 | payload
//
// 16- and 32-bit fields are compared as they lie in memory; numbers are swapped where they are reckoned with.
#include "net.h"

#include "bytes.h"
#include "sink.h"
#include "statistics.h"

enum { ETHERNET_BYTES = 14, IPV4_BYTES = 20, UDP_BYTES = 8, ARP_BYTES = 28, FRAME_BYTES_MIN = 60 };
enum { TYPE_IPV4 = 0x0008, TYPE_ARP = 0x0608, PROTOCOL_ICMP = 1, PROTOCOL_UDP = 17 };
enum { PORT_ECHO = 7, PORT_SINK = 9, PORT_STATISTICS = 9001 };
// ARP's first eight bytes: Ethernet, IPv4, address lengths 6 and 4, operation.
enum { ARP_HEAD = 0x00080100, ARP_REQUEST = 0x01000406, ARP_REPLY = 0x02000406 };
// More fragments, and the offset.
enum { FRAGMENT_BITS = 0xff3f, ICMP_REQUEST = 8, OWN_TTL = 64 };

uint32_t net_ip;
uint8_t net_mac[6];

static void copy_mac(uint8_t *to, const uint8_t *from) { __builtin_memcpy(to, from, 6); }

static bool same_mac(const uint8_t *a, const uint8_t *b) {
  return load32(a) == load32(b) && load16(a + 4) == load16(b + 4);
}

// The internet checksum's sum, folded and not complemented: 0xffff over a range that holds its own checksum.
static uint32_t fold(uint64_t sum) {
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >> 16);
  return (uint32_t)sum;
}

static uint64_t sum_of(const uint8_t *at, uint32_t bytes) {
  uint64_t sum = 0;
  for (; bytes >= 4; bytes -= 4, at += 4) sum += load32(at);
  if (bytes >= 2) sum += load16(at);
  return bytes & 1 ? sum + at[bytes & 2] : sum;
}

static void return_to_sender(uint8_t *frame) {
  copy_mac(frame, frame + 6);
  copy_mac(frame + 6, net_mac);
}

static uint32_t receive_arp(uint8_t *frame) {
  uint8_t *arp = frame + ETHERNET_BYTES;
  if (load32(arp) != ARP_HEAD || load32(arp + 4) != ARP_REQUEST || load32(arp + 24) != net_ip) return 0;
  return_to_sender(frame);
  store32(arp + 4, ARP_REPLY);
  copy_mac(arp + 18, arp + 8);
  store32(arp + 24, load32(arp + 14));
  copy_mac(arp + 8, net_mac);
  store32(arp + 14, net_ip);
  return FRAME_BYTES_MIN;
}

uint32_t net_announce(uint8_t *frame) {
  __builtin_memset(frame, 0, FRAME_BYTES_MIN);
  __builtin_memset(frame, 0xff, 6);
  copy_mac(frame + 6, net_mac);
  store16(frame + 12, TYPE_ARP);
  uint8_t *arp = frame + ETHERNET_BYTES;
  store32(arp, ARP_HEAD);
  store32(arp + 4, ARP_REQUEST);
  copy_mac(arp + 8, net_mac);
  store32(arp + 14, net_ip);
  store32(arp + 24, net_ip);
  return FRAME_BYTES_MIN;
}

static void swap_addresses(uint8_t *ip) {
  store32(ip + 16, load32(ip + 12));
  store32(ip + 12, net_ip);
}

// Sums do not mind swapped addresses and ports, and time to live stays: all checksums remain true.
static uint32_t echo(uint8_t *frame, uint8_t *ip, uint8_t *udp, uint32_t ip_bytes) {
  return_to_sender(frame);
  swap_addresses(ip);
  uint32_t ports = load32(udp);
  store32(udp, ports << 16 | ports >> 16);
  return ETHERNET_BYTES + ip_bytes;
}

static uint32_t answer_statistics(uint8_t *frame, uint8_t *ip, uint8_t *udp, uint32_t query_bytes) {
  if (query_bytes >= 4 && load32(udp + UDP_BYTES) == STATISTICS_RESET) sink_reset();
  statistics_write(udp + UDP_BYTES);
  uint32_t ip_bytes = (uint32_t)(udp - ip) + UDP_BYTES + STATISTICS_BYTES;
  store16(ip + 2, swap16(ip_bytes));
  ip[8] = OWN_TTL;
  store16(ip + 10, 0);
  store16(udp + 4, swap16(UDP_BYTES + STATISTICS_BYTES));
  // 0: no checksum
  store16(udp + 6, 0);
  store16(ip + 10, ~fold(sum_of(ip, (uint32_t)(udp - ip))));
  return echo(frame, ip, udp, ip_bytes);
}

static uint32_t receive_udp(uint8_t *frame, uint8_t *ip, uint8_t *udp, uint32_t bytes, uint32_t ip_bytes) {
  uint32_t udp_bytes = swap16(load16(udp + 4));
  if (udp_bytes < UDP_BYTES || udp_bytes > bytes) return 0;
  if (load16(udp + 6) != 0) {
    uint64_t pseudo = (uint64_t)load32(ip + 12) + load32(ip + 16) + (PROTOCOL_UDP << 8) + swap16(udp_bytes);
    if (fold(pseudo + sum_of(udp, udp_bytes)) != 0xffff) return 0;
  }
  switch (swap16(load16(udp + 2))) {
    case PORT_ECHO:
      return echo(frame, ip, udp, ip_bytes);
    case PORT_SINK:
      sink_take(udp + UDP_BYTES, udp_bytes - UDP_BYTES, load32(ip + 12), load16(udp));
      return 0;
    case PORT_STATISTICS:
      return answer_statistics(frame, ip, udp, udp_bytes - UDP_BYTES);
    default:
      return 0;
  }
}

static uint32_t receive_icmp(uint8_t *frame, uint8_t *ip, uint8_t *icmp, uint32_t bytes, uint32_t ip_bytes) {
  if (bytes < 8 || load16(icmp) != ICMP_REQUEST || fold(sum_of(icmp, bytes)) != 0xffff) return 0;
  return_to_sender(frame);
  swap_addresses(ip);
  store32(icmp, 0);
  store16(icmp + 2, ~fold(sum_of(icmp, bytes)));
  return ETHERNET_BYTES + ip_bytes;
}

static uint32_t receive_ipv4(uint8_t *frame, uint32_t bytes) {
  uint8_t *ip = frame + ETHERNET_BYTES;
  uint32_t header_bytes = (ip[0] & 15u) * 4;
  uint32_t ip_bytes = swap16(load16(ip + 2));
  if (ip[0] >> 4 != 4 || header_bytes < IPV4_BYTES || ip_bytes < header_bytes + UDP_BYTES) return 0;
  if (ip_bytes > bytes - ETHERNET_BYTES || load32(ip + 16) != net_ip) return 0;
  if ((load16(ip + 6) & FRAGMENT_BITS) != 0 || fold(sum_of(ip, header_bytes)) != 0xffff) return 0;
  uint8_t *segment = ip + header_bytes;
  uint32_t segment_bytes = ip_bytes - header_bytes;
  if (ip[9] == PROTOCOL_UDP) return receive_udp(frame, ip, segment, segment_bytes, ip_bytes);
  if (ip[9] == PROTOCOL_ICMP) return receive_icmp(frame, ip, segment, segment_bytes, ip_bytes);
  return 0;
}

uint32_t net_receive(uint8_t *frame, uint32_t bytes) {
  // the card's switch may return what this station broadcast
  if (bytes < ETHERNET_BYTES + ARP_BYTES || same_mac(frame + 6, net_mac)) return 0;
  switch (load16(frame + 12)) {
    case TYPE_IPV4:
      return receive_ipv4(frame, bytes);
    case TYPE_ARP:
      return receive_arp(frame);
    default:
      return 0;
  }
}
