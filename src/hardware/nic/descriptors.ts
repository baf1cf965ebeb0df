/**
 * The bits of the 82599's descriptors (vf-hardware 2). A descriptor is four little-endian words; "dword n" below is the
 * word at byte 4n.
 *
 *            dword 0            dword 1          dword 2                  dword 3
 *   Rx read  buffer address ------------------   header address -------------------------------
 *   Rx done  RSS/packet type    RSS hash         status, errors           length | VLAN tag << 16
 *   Tx data  buffer address ------------------   length, type, command    status, index, options, PAYLEN
 *   Tx ctx   lengths, VLAN tag  (IPsec)          type, L4 type            index, L4 length, MSS
 */

export const DESCRIPTOR_BYTES = 16;
export const DESCRIPTOR_WORDS = 4;

// --- Rx write-back, dword 0 -----------------------------------------------------------------------------------------
export const RSS_TYPE = {
  none: 0,
  ipv4Tcp: 1,
  ipv4: 2,
  ipv6Tcp: 3,
  ipv6: 5,
  ipv4Udp: 7,
  ipv6Udp: 8,
} as const;
/** Packet type flags, in the place that they have in dword 0. */
export const PACKET_TYPE = {
  ipv4: 1 << 4,
  ipv4Options: 1 << 5,
  ipv6: 1 << 6,
  ipv6Extensions: 1 << 7,
  tcp: 1 << 8,
  udp: 1 << 9,
  sctp: 1 << 10,
} as const;
/** Header length of a split packet: bits 30:21; bit 31: the split happened. */
export const HEADER_LENGTH_SHIFT = 21;
export const MAX_HEADER_LENGTH = 0x3ff;
export const SPLIT_HEADER = 0x8000_0000 | 0;

// --- Rx write-back, dword 2 -----------------------------------------------------------------------------------------
export const RX_STATUS = {
  done: 1 << 0,
  endOfPacket: 1 << 1,
  vlanStripped: 1 << 3,
  udpChecksum: 1 << 4,
  l4Checksum: 1 << 5,
  ipChecksum: 1 << 6,
  /** The UDP checksum field was not zero. */
  udpValid: 1 << 10,
  /** The frame came from another function of this card. */
  loopback: 1 << 18,
} as const;
export const RX_ERROR = {
  headerBufferOverflow: 1 << 23,
  l4Checksum: 1 << 30,
  ipChecksum: 0x8000_0000 | 0,
} as const;

// --- Rx queue modes (SRRCTL.DESCTYPE) -------------------------------------------------------------------------------
export const DESCTYPE = { legacy: 0, oneBuffer: 1, split: 2, replicateLarge: 4, splitAlways: 5 } as const;
export const srrctlBufferBytes = (srrctl: number): number => (srrctl & 0x7f) * 1024;
export const srrctlHeaderBytes = (srrctl: number): number => ((srrctl >>> 8) & 0x3f) * 64;
export const srrctlType = (srrctl: number): number => (srrctl >>> 25) & 7;
/** PSRTYPE: which headers may be split off. */
export const PSRTYPE = { tcp: 1 << 4, udp: 1 << 5, ipv4: 1 << 8, ipv6: 1 << 9, l2: 1 << 12 } as const;
/** PSRTYPE bits 31:29: how many bits of the redirection table choose the queue. */
export const psrtypeQueueBits = (psrtype: number): number => psrtype >>> 29;

// --- Tx -------------------------------------------------------------------------------------------------------------
export const TX_TYPE = { context: 2, data: 3 } as const;
export const txType = (dword2: number): number => (dword2 >>> 20) & 0xf;
export const TX_LENGTH_MASK = 0xffff;
export const TX_COMMAND = {
  endOfPacket: 1 << 24,
  reportStatus: 1 << 27,
  advanced: 1 << 29,
  insertVlan: 1 << 30,
  segment: 0x8000_0000 | 0,
} as const;
/** Tx data descriptor, dword 3. */
export const TX_OPTION = {
  done: 1 << 0,
  checkContext: 1 << 7,
  ipChecksum: 1 << 8,
  l4Checksum: 1 << 9,
} as const;
/** Which of the queue's two stored contexts a descriptor writes or uses. */
export const txContextIndex = (dword3: number): number => (dword3 >>> 4) & 7;
export const txPayloadLength = (dword3: number): number => dword3 >>> 14;
/** Tx context descriptor. */
export const contextIpLength = (dword0: number): number => dword0 & 0x1ff;
export const contextMacLength = (dword0: number): number => (dword0 >>> 9) & 0x7f;
export const contextVlanTag = (dword0: number): number => dword0 >>> 16;
export const CONTEXT_IPV4 = 1 << 10;
export const L4_TYPE = { udp: 0, tcp: 1, sctp: 2 } as const;
export const contextL4Type = (dword2: number): number => (dword2 >>> 11) & 3;
export const contextL4Length = (dword3: number): number => (dword3 >>> 8) & 0xff;
export const contextSegmentBytes = (dword3: number): number => dword3 >>> 16;

/** A packet of more descriptors than this is taken for an attack on the device: its queue stops. */
export const MAX_PACKET_DESCRIPTORS = 40;
