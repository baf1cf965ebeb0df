/**
 * Sums over packets: the internet checksum, and the check of the test payload.
 *
 * The internet checksum does not care for byte order, so words are loaded as they lie and the result is stored as it is.
 */

/** Adds up `bytes` bytes as little-endian 32-bit words (the tail zero-padded) into 64 bits. */
export function sumOf(at: usize, bytes: u32, start: u64): u64 {
  let sum = start;
  const end = at + (bytes & ~3);
  for (; at < end; at += 4) sum += <u64>load<u32>(at);
  if ((bytes & 2) != 0) {
    sum += <u64>load<u16>(at);
    at += 2;
  }
  return (bytes & 1) != 0 ? sum + <u64>load<u8>(at) : sum;
}

/** Folds a sum to 16 bits; not complemented. */
@inline export function fold(sum: u64): u32 {
  let folded = (sum & 0xffffffff) + (sum >> 32);
  folded = (folded & 0xffff) + (folded >> 16);
  folded = (folded & 0xffff) + (folded >> 16);
  folded = (folded & 0xffff) + (folded >> 16);
  return <u32>folded;
}

/** Header checksum of an IPv4 header of 20 bytes whose checksum field is zero. */
@inline export function ipv4Checksum(ip: usize): u32 {
  const sum =
    <u64>load<u32>(ip) + <u64>load<u32>(ip, 4) + <u64>load<u32>(ip, 8) + <u64>load<u32>(ip, 12) + <u64>load<u32>(ip, 16);
  return ~fold(sum) & 0xffff;
}

/** Sum of the pseudo-header: addresses as in the packet, protocol, length of the segment. */
@inline export function pseudoSum(source: u32, target: u32, protocol: u32, bytes: u32): u64 {
  return <u64>source + <u64>target + <u64>(protocol << 8) + <u64>bswap<u16>(<u16>bytes);
}

/** The test payload is `u32 seq | u32 check | f64 timestampNs | words`, little-endian; check covers all whole words but itself. */
export const CHECK_OFFSET: usize = 4;
export const PAYLOAD_HEAD_BYTES: u32 = 16;

/** The check word that a test payload must carry: s1 ^ rotl(s2, 16). `bytes` >= PAYLOAD_HEAD_BYTES. */
export function payloadCheck(payload: usize, bytes: u32): u32 {
  let s1 = load<u32>(payload);
  let s2 = s1;
  let at = payload + 8;
  const end = payload + (bytes & ~3);
  // unrolled: the loop's own work, and the monitor's poll in it, would cost as much as the sums
  for (const bulk = end - ((end - at) & 31); at < bulk; at += 32) {
    s1 += load<u32>(at);
    s2 += s1;
    s1 += load<u32>(at, 4);
    s2 += s1;
    s1 += load<u32>(at, 8);
    s2 += s1;
    s1 += load<u32>(at, 12);
    s2 += s1;
    s1 += load<u32>(at, 16);
    s2 += s1;
    s1 += load<u32>(at, 20);
    s2 += s1;
    s1 += load<u32>(at, 24);
    s2 += s1;
    s1 += load<u32>(at, 28);
    s2 += s1;
  }
  for (; at < end; at += 4) {
    s1 += load<u32>(at);
    s2 += s1;
  }
  return s1 ^ rotl<u32>(s2, 16);
}

/** The same sums over any data, its last word zero-padded: what kv clients send as FLAGS. */
export function dataCheck(data: usize, bytes: u32): u32 {
  let s1: u32 = 0;
  let s2: u32 = 0;
  let at = data;
  const end = data + (bytes & ~3);
  for (; at < end; at += 4) {
    s1 += load<u32>(at);
    s2 += s1;
  }
  const rest = bytes & 3;
  if (rest != 0) {
    let last: u32 = load<u8>(at);
    if (rest > 1) last |= <u32>load<u8>(at, 1) << 8;
    if (rest > 2) last |= <u32>load<u8>(at, 2) << 16;
    s1 += last;
    s2 += s1;
  }
  return s1 ^ rotl<u32>(s2, 16);
}
