/**
 * The 82599 VF's BAR0 as its data sheet numbers it, for plugins: a queue's block is RX_BLOCK / TX_BLOCK + 0x40 * queue,
 * plus an offset of RX / TX. PF offsets take the absolute queue, vf * 2 + queue (64-pool mode).
 */
export const QUEUES = 2;
export const VECTORS = 3;
export const MAX_RING_SLOTS = 4096;
export const DESCRIPTOR_BYTES = 16;

export const REG = {
  VFCTRL: 0x0000,
  VFSTATUS: 0x0008,
  VFLINKS: 0x0010,
  VTEICR: 0x0100,
  /** Writing sets causes; reading shows them without clearing. */
  VTEICS: 0x0104,
  VTEIMS: 0x0108,
  VTEIMC: 0x010c,
  VTEIAC: 0x0110,
  VTEIAM: 0x0114,
  VTIVAR: 0x0120,
  VTIVAR_MISC: 0x0140,
  VTRSCINT: 0x0180,
  VFMBMEM: 0x0200,
  VFMAILBOX: 0x02fc,
  VFPSRTYPE: 0x0300,
  VTEITR: 0x0820,
  VFGPRC: 0x101c,
  VFGORC_LSB: 0x1020,
  VFGORC_MSB: 0x1024,
  VFMPRC: 0x1034,
  VFGPTC: 0x201c,
  VFGOTC_LSB: 0x2020,
  VFGOTC_MSB: 0x2024,
} as const;

export const RX_BLOCK = 0x1000;
export const TX_BLOCK = 0x2000;
export const QUEUE_STRIDE = 0x40;

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

/** RXDCTL, TXDCTL: as read, whether the queue really runs. */
export const ENABLE = 1 << 25;
/** RXDCTL, TXDCTL: software flush, a command rather than state. */
export const SOFTWARE_FLUSH = 1 << 26;

export const rxRegister = (queue: number, offset: number): number => RX_BLOCK + QUEUE_STRIDE * queue + offset;
export const txRegister = (queue: number, offset: number): number => TX_BLOCK + QUEUE_STRIDE * queue + offset;

/** Where the PF sees VFRDH of absolute queue P. */
export const pfRxHead = (absoluteQueue: number): number =>
  absoluteQueue < 64 ? 0x1010 + 0x40 * absoluteQueue : 0xd010 + 0x40 * (absoluteQueue - 64);
/** Where the PF sees VFTDH of absolute queue P. */
export const pfTxHead = (absoluteQueue: number): number => 0x6010 + 0x40 * absoluteQueue;

/** Bytes of a packet buffer by SRRCTL: KiB in bits 6:0. */
export const packetBufferBytes = (srrctl: number): number => (srrctl & 0x7f) * 1024;
/** Bytes of a header buffer by SRRCTL: 64 B units in bits 13:8; only split descriptor types use one. */
export const headerBufferBytes = (srrctl: number): number => {
  const type = (srrctl >>> 25) & 7;
  return type === 2 || type === 4 || type === 5 ? ((srrctl >>> 8) & 0x3f) * 64 : 0;
};
