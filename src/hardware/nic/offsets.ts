/**
 * Where every register of the card lives: byte offsets in the PF's BAR0 image (vf-hardware 5.4, 5.5) and in a VF's BAR0
 * window (1.3). Offsets only; what an access does is in registers.ts.
 *
 *   words[offset >> 2]        the register, for any offset below
 *
 * The card always runs in 64-pool mode: pool p owns the absolute queues 2p and 2p+1, the PF is pool 63.
 */
import { QUEUES_PER_POOL } from './shared.js';

// --- device ---------------------------------------------------------------------------------------------------------
export const CTRL = 0x0000;
export const CTRL_LRST = 1 << 3;
export const CTRL_RST = 1 << 26;
export const STATUS = 0x0008;
export const CTRL_EXT = 0x0018;
/** CTRL_EXT bit 14: the PF driver is done resetting; lets the VFs' mailboxes work (clears RSTI, sets RSTD). */
export const CTRL_EXT_PFRSTD = 1 << 14;
export const FRTIMER = 0x0048;
export const LINKS = 0x42a4;
export const LINKS_UP = 1 << 30;
export const LINKS_SPEED_SHIFT = 28;
export const LINKS_SPEED_10G = 3;
export const LINKS_SPEED_1G = 2;
export const LINKS_SPEED_100M = 1;
/** Bits 31:16: one maximum frame size for the port, CRC included. */
export const MAXFRS = 0x4268;
export const GCR_EXT = 0x11050;
export const GPIE = 0x0898;
/** Auto-mask enable: without it no EIAM, the VFs' neither, has any effect. */
export const GPIE_EIAME = 1 << 30;

// --- PF interrupts --------------------------------------------------------------------------------------------------
export const EICR = 0x0800;
export const EICS = 0x0808;
export const EIAC = 0x0810;
export const EITR_BASE = 0x0820;
export const EITR_COUNT = 24;
export const EIMS = 0x0880;
export const EIMC = 0x0888;
export const EIAM = 0x0890;
export const IVAR_BASE = 0x0900;
/** Byte 1: vector of the "other" causes (EICR bits 16 and above); bit 7 valid, bits 5:0 vector. */
export const IVAR_MISC = 0x0a00;
export const EICR_MAILBOX = 1 << 19;
export const EICR_LSC = 1 << 20;

// --- mailbox and VF resets ------------------------------------------------------------------------------------------
export const pfMailboxOffset = (vf: number): number => 0x4b00 + 4 * vf;
export const vfMailboxOffset = (vf: number): number => 0x4c00 + 4 * vf;
export const mailboxMemoryOffset = (vf: number): number => 0x13000 + 64 * vf;
export const MAILBOX_WORDS = 16;
/** 16 VFs each: bits 15:0 requests, 31:16 acknowledgements. */
export const pfMbicrOffset = (index: number): number => 0x0710 + 4 * index;
export const pfMbimrOffset = (index: number): number => 0x0720 + 4 * index;
export const vflreOffset = (index: number): number => (index === 0 ? 0x0600 : 0x01c0);
export const vflrecOffset = (index: number): number => 0x0700 + 4 * index;

// --- pool enables ---------------------------------------------------------------------------------------------------
/** Receive enable, one bit per pool; index = pool >> 5. */
export const vfreOffset = (index: number): number => 0x51e0 + 4 * index;
/** Transmit enable, one bit per pool; index = pool >> 5. */
export const vfteOffset = (index: number): number => 0x8110 + 4 * index;

// --- receive filters and switch -------------------------------------------------------------------------------------
export const MRQC = 0x5818;
/** MRQC 3:0: VMDq with RSS, 32 pools of 4 queues or 64 pools of 2; VMDq with traffic classes, one queue for each. */
export const MRQC_VMDQ_RSS_32 = 0xa;
export const MRQC_VMDQ_RSS_64 = 0xb;
export const MRQC_VMDQ_CLASSES = 0xd;
/** Receive traffic class of each of the 8 priorities, 3 bits each. */
export const RTRUP2TC = 0x3020;
export const MTQC = 0x8120;
/** Bit 0 enable, 12:7 default pool, 29 no default pool, 30 replication. */
export const VT_CTL = 0x51b0;
export const VT_CTL_NO_DEFAULT_POOL = 1 << 29;
export const VT_CTL_REPLICATION = 1 << 30;
export const FCTRL = 0x5080;
/** FCTRL: accept broadcast, all multicast, all unicast (port level). */
export const FCTRL_MPE = 1 << 8;
export const FCTRL_UPE = 1 << 9;
export const FCTRL_BAM = 1 << 10;
export const VLNCTRL = 0x5088;
/** VLNCTRL bit 30: the VLAN filter is on. */
export const VLNCTRL_VFE = 1 << 30;
export const RXCSUM = 0x5000;
export const RXCTRL = 0x3000;
export const HLREG0 = 0x4240;
export const DMATXCTL = 0x4a80;
/** DMATXCTL bit 0: transmit enable of the port. */
export const DMATXCTL_TE = 1;
export const RAR_COUNT = 128;
export const ralOffset = (entry: number): number => (entry < 16 ? 0x5400 : 0xa200) + 8 * entry;
export const rahOffset = (entry: number): number => (entry < 16 ? 0x5404 : 0xa204) + 8 * entry;
export const RAH_VALID = 0x8000_0000 | 0;
/** Pools 0..31 / 32..63 that address entry i belongs to. */
export const mpsarLoOffset = (entry: number): number => 0xa600 + 8 * entry;
export const mpsarHiOffset = (entry: number): number => 0xa604 + 8 * entry;
/** 4096-bit hash table of multicast addresses: word = hash >> 5, bit = hash & 31. */
export const mtaOffset = (index: number): number => 0x5200 + 4 * index;
export const MTA_WORDS = 128;
export const MCSTCTRL = 0x5090;
/** 4096-bit VLAN bitmap of the port: word = vid >> 5, bit = vid & 31. */
export const vftaOffset = (index: number): number => 0xa000 + 4 * index;
export const VFTA_WORDS = 128;
export const VLVF_COUNT = 64;
/** VLAN entry: bit 31 valid, 11:0 VID. */
export const vlvfOffset = (entry: number): number => 0xf100 + 4 * entry;
export const VLVF_VALID = 0x8000_0000 | 0;
/** Pool bitmap of a VLAN entry: half 0 = pools 0..31, half 1 = pools 32..63. */
export const vlvfbOffset = (entry: number, half: number): number => 0xf200 + 8 * entry + 4 * half;
export const vmolrOffset = (pool: number): number => 0xf000 + 4 * pool;
export const VMOLR_UPE = 1 << 22;
export const VMOLR_VPE = 1 << 23;
export const VMOLR_AUPE = 1 << 24;
export const VMOLR_ROMPE = 1 << 25;
export const VMOLR_ROPE = 1 << 26;
export const VMOLR_BAM = 1 << 27;
export const VMOLR_MPE = 1 << 28;
export const vmvirOffset = (pool: number): number => 0x8000 + 4 * pool;
/** VMVIR bit 30: always insert the default tag (15:0); bit 31: never insert. */
export const VMVIR_ALWAYS = 1 << 30;
export const VMVIR_NEVER = 0x8000_0000 | 0;
/** 8 pools each: bits 7:0 MAC anti-spoof, 15:8 VLAN anti-spoof. */
export const pfVfSpoofOffset = (index: number): number => 0x8200 + 4 * index;
export const PFDTXGSWC = 0x8220;
export const PFDTXGSWC_LOOPBACK = 1;
/** Frames dropped by the anti-spoof checks (bits 7:0 VLAN, 15:8 MAC in silicon; a plain count here). */
export const SSVPC = 0x8780;
/** Pools caught spoofing, one bit each. */
export const vmecmOffset = (index: number): number => 0x8790 + 4 * index;
/**
 * Indirect drop enable: bit 0 enable, 14:8 queue, 16 write. The engine reads the resulting bit of a queue from
 * CONTROL.queueDrop (shared.ts), never this register.
 */
export const QDE = 0x2f04;
/**
 * Transmit rate limit: RTTDQSEL selects a queue (6:0), RTTBCNRC then holds that queue's limit. The engine reads
 * words[REGION.txRate + queue] (shared.ts): the RTTBCNRC value, bit 31 enabled, bits 27:0 link speed / rate in 14.14.
 */
export const RTTDQSEL = 0x4904;
export const RTTBCNRC = 0x4984;
export const RTTBCNRC_ENABLE = 0x8000_0000 | 0;
export const retaOffset = (index: number): number => 0x5c00 + 4 * index;
export const rssKeyOffset = (index: number): number => 0x5c80 + 4 * index;

// --- queues: absolute queue P = pool * 2 + q -----------------------------------------------------------------------
export const queueOf = (pool: number, queue: number): number => pool * QUEUES_PER_POOL + queue;
/** First byte of the 64-byte block of an absolute Rx queue; add one of RX.* */
export const rxQueueOffset = (queue: number): number =>
  (queue < 64 ? 0x1000 : 0xd000 - 64 * 0x40) + 0x40 * queue;
/** First byte of the 64-byte block of an absolute Tx queue; add one of TX.* */
export const txQueueOffset = (queue: number): number => 0x6000 + 0x40 * queue;
/** Byte offsets inside an Rx queue's block. */
export const RX = {
  RDBAL: 0x00,
  RDBAH: 0x04,
  RDLEN: 0x08,
  DCA_RXCTRL: 0x0c,
  RDH: 0x10,
  SRRCTL: 0x14,
  RDT: 0x18,
  RXDCTL: 0x28,
  RSCCTL: 0x2c,
} as const;
/** Byte offsets inside a Tx queue's block. */
export const TX = {
  TDBAL: 0x00,
  TDBAH: 0x04,
  TDLEN: 0x08,
  DCA_TXCTRL: 0x0c,
  TDH: 0x10,
  TDT: 0x18,
  TXDCTL: 0x28,
  TDWBAL: 0x38,
  TDWBAH: 0x3c,
} as const;
export const DCTL_ENABLE = 1 << 25;
export const DCTL_SWFLSH = 1 << 26;
/** RXDCTL: strip the VLAN tag into the descriptor. */
export const RXDCTL_VME = 1 << 30;
export const SRRCTL_DROP_EN = 1 << 28;
export const psrtypeOffset = (pool: number): number => 0xea00 + 4 * pool;

// --- per-VF interrupt registers -------------------------------------------------------------------------------------
export const vfCtrlOffset = (vf: number): number => 0x0300 + 4 * vf;
export const vteicrOffset = (vf: number): number => 0x0b00 + 4 * vf;
export const vteicsOffset = (vf: number): number => 0x0c00 + 4 * vf;
export const vteimsOffset = (vf: number): number => 0x0d00 + 4 * vf;
export const vteimcOffset = (vf: number): number => 0x0e00 + 4 * vf;
export const vteiacOffset = (vf: number): number => 0x0f00 + 4 * vf;
export const vteiamOffset = (vf: number): number => 0x4d00 + 4 * vf;
export const vtivarMiscOffset = (vf: number): number => 0x4e00 + 4 * vf;
/** One word covers the VF's two queue pairs: byte 0 Rx0, 1 Tx0, 2 Rx1, 3 Tx1. */
export const vtivarOffset = (vf: number): number => 0x12500 + 4 * vf;
export const vtrscintOffset = (vf: number, vector: number): number => 0x12000 + 4 * (3 * vf + vector);
/**
 * The model's own place: 63 VFs of 3 vectors need 189 words, and the reference's 0x12300 has room for 128 before VTIVAR.
 */
export const vteitrOffset = (vf: number, vector: number): number => 0x12600 + 4 * (3 * vf + vector);

// --- per-VF statistics (plain words; the engine counts, nothing clears on read) ------------------------------------
/** Good packets received, 32-bit wrap. */
export const vfgprcOffset = (pool: number): number => 0x101c + 0x40 * pool;
/** Good octets received, 36-bit wrap: low word, and bits 35:32 in the high one. */
export const vfgorcLowOffset = (pool: number): number => 0x1020 + 0x40 * pool;
export const vfgorcHighOffset = (pool: number): number => 0xd020 + 0x40 * pool;
/** Multicast packets received, 32-bit wrap. */
export const vfmprcOffset = (pool: number): number => 0xd01c + 0x40 * pool;
/** Good packets transmitted, 32-bit wrap. */
export const vfgptcOffset = (pool: number): number => 0x8300 + 4 * pool;
/** Good octets transmitted, 36-bit wrap. */
export const vfgotcLowOffset = (pool: number): number => 0x8400 + 8 * pool;
export const vfgotcHighOffset = (pool: number): number => 0x8404 + 8 * pool;
// Port statistics, clear on read through the PF's BAR.
export const GPRC = 0x4074;
export const GPTC = 0x4080;
export const MPRC = 0x407c;
export const BPRC = 0x4078;
/** Frames the port dropped for want of descriptors: missed packets, packet buffer 0. */
export const MPC = 0x3fa0;

// --- the VF's own BAR0 (1.3); n = queue in the VF ------------------------------------------------------------------
export const VF_BAR0_BYTES = 0x4000;
export const VF = {
  CTRL: 0x0000,
  STATUS: 0x0008,
  LINKS: 0x0010,
  FRTIMER: 0x0048,
  VTEICR: 0x0100,
  VTEICS: 0x0104,
  VTEIMS: 0x0108,
  VTEIMC: 0x010c,
  VTEIAC: 0x0110,
  VTEIAM: 0x0114,
  VTIVAR: 0x0120,
  VTIVAR_MISC: 0x0140,
  VTRSCINT: 0x0180,
  MBMEM: 0x0200,
  MAILBOX: 0x02fc,
  PSRTYPE: 0x0300,
  VTEITR: 0x0820,
  RX: 0x1000,
  GPRC: 0x101c,
  GORC_LSB: 0x1020,
  GORC_MSB: 0x1024,
  MPRC: 0x1034,
  TX: 0x2000,
  GPTC: 0x201c,
  GOTC_LSB: 0x2020,
  GOTC_MSB: 0x2024,
  RXMEMWRAP: 0x3190,
} as const;
export const VFCTRL_RST = 1 << 26;
