/**
 * The register table of the card: for every register its place in the PF's BAR0 image, its access class, its reset value
 * and what a read or a write does. Blocks (per queue, per VF, arrays) are generated. A VF's BAR0 is a second table that
 * maps its offsets to these (vf-hardware 5.5), so both windows share every handler.
 *
 *   REGISTERS, VF_WINDOW --compiled once per thread--> RegisterMap: handler ids, word indices and masks per 32-bit word
 *
 * The compiled form is what an access goes through (register-file.ts): a few typed-array loads and a switch.
 */

import { PF_FUNCTION } from '../pci/offsets.js';
import * as at from './offsets.js';
import {
  MAX_VFS,
  PF_BAR0_BYTES,
  POOL_COUNT,
  QUEUE_COUNT,
  QUEUES_PER_POOL,
  VECTORS_PER_VF,
} from './shared.js';

/** What a read does. The numbers are what the compiled table holds. */
export const READ = {
  /** Reserved and write-only registers. */
  zero: 0,
  plain: 1,
  clearing: 2,
  rxControl: 3,
  txControl: 4,
  vfMailbox: 5,
  pfMailbox: 6,
  timer: 7,
  txRate: 8,
} as const;

/** What a write does. */
export const WRITE = {
  ignored: 0,
  /** The hot one: store and ring the engine. */
  tail: 1,
  plain: 2,
  /** Store, and tell an engine that caches decoded filters. */
  filter: 3,
  rxHead: 4,
  txHead: 5,
  rxControl: 6,
  txControl: 7,
  vfReset: 8,
  oneToClear: 9,
  setCauses: 10,
  unmask: 11,
  vfThrottle: 12,
  pfThrottle: 13,
  vfMailbox: 14,
  pfMailbox: 15,
  deviceControl: 16,
  extendedControl: 17,
  queueDrop: 18,
  txRate: 19,
} as const;

type ReadId = (typeof READ)[keyof typeof READ];
type WriteId = (typeof WRITE)[keyof typeof WRITE];

/** Access classes as datasheets name them, with the handlers each implies. */
const ACCESS = {
  RW: { read: READ.plain, write: WRITE.plain },
  RO: { read: READ.plain, write: WRITE.ignored },
  /** Clear on read. */
  RC: { read: READ.clearing, write: WRITE.ignored },
  /** Clear on read, and ones written clear too. */
  'RC/W1C': { read: READ.clearing, write: WRITE.oneToClear },
  W1C: { read: READ.plain, write: WRITE.oneToClear },
  /** Ones written clear bits elsewhere; reads 0. */
  WO: { read: READ.zero, write: WRITE.oneToClear },
  /** Ones written set causes; the read shows them without clearing. */
  'W1S causes': { read: READ.plain, write: WRITE.setCauses },
  /** Ones written set mask bits. */
  'W1S mask': { read: READ.plain, write: WRITE.unmask },
  'RW filter': { read: READ.plain, write: WRITE.filter },
  'RW tail': { read: READ.plain, write: WRITE.tail },
  'HW head Rx': { read: READ.plain, write: WRITE.rxHead },
  'HW head Tx': { read: READ.plain, write: WRITE.txHead },
  'RW enable Rx': { read: READ.rxControl, write: WRITE.rxControl },
  'RW enable Tx': { read: READ.txControl, write: WRITE.txControl },
  'SC reset': { read: READ.zero, write: WRITE.vfReset },
  'RW throttle': { read: READ.plain, write: WRITE.vfThrottle },
  'RW throttle PF': { read: READ.plain, write: WRITE.pfThrottle },
  'mailbox VF': { read: READ.vfMailbox, write: WRITE.vfMailbox },
  'mailbox PF': { read: READ.pfMailbox, write: WRITE.pfMailbox },
  'RO counting': { read: READ.timer, write: WRITE.ignored },
  'RW device': { read: READ.plain, write: WRITE.deviceControl },
  'RW extended': { read: READ.plain, write: WRITE.extendedControl },
  'RW indirect drop': { read: READ.plain, write: WRITE.queueDrop },
  'RW indirect rate': { read: READ.txRate, write: WRITE.txRate },
} as const satisfies Record<string, { read: ReadId; write: WriteId }>;

export type AccessClass = keyof typeof ACCESS;

export interface RegisterBlock {
  readonly name: string;
  /** Offset in the PF's BAR0 of element `index`. */
  readonly offset: (index: number) => number;
  readonly count: number;
  readonly access: AccessClass;
  /** Bits that software can write (or set, or clear). */
  readonly mask: number;
  readonly reset: number;
  /** Section of the hardware reference. */
  readonly section: string;
  /** Register whose word holds the state, when it is not this one's own. */
  readonly state?: (index: number) => number;
  /** What the handler is told: queue, VF or function number. The index if absent. */
  readonly unit?: (index: number) => number;
}

const ALL = 0xffff_ffff;
const VECTORS = (1 << VECTORS_PER_VF) - 1;
const IVAR_MASK = 0x8383_8383;

function one(
  name: string,
  offset: number,
  access: AccessClass,
  mask: number,
  reset: number,
  section: string,
): RegisterBlock {
  return { name, offset: () => offset, count: 1, access, mask, reset, section };
}

function many(
  name: string,
  offset: (index: number) => number,
  count: number,
  access: AccessClass,
  mask: number,
  reset: number,
  section: string,
): RegisterBlock {
  return { name, offset, count, access, mask, reset, section };
}

function rxQueue(name: string, low: number, access: AccessClass, mask: number, reset = 0): RegisterBlock {
  return many(name, (queue) => at.rxQueueOffset(queue) + low, QUEUE_COUNT, access, mask, reset, '1.3');
}

function txQueue(name: string, low: number, access: AccessClass, mask: number, reset = 0): RegisterBlock {
  return many(name, (queue) => at.txQueueOffset(queue) + low, QUEUE_COUNT, access, mask, reset, '1.3');
}

const QUEUE_BLOCKS: readonly RegisterBlock[] = [
  rxQueue('RDBAL', at.RX.RDBAL, 'RW', 0xffff_ff80),
  rxQueue('RDBAH', at.RX.RDBAH, 'RW', ALL),
  rxQueue('RDLEN', at.RX.RDLEN, 'RW', 0x000f_ff80),
  rxQueue('DCA_RXCTRL', at.RX.DCA_RXCTRL, 'RW', 0xff00_ffff, 0xa200),
  rxQueue('RDH', at.RX.RDH, 'HW head Rx', 0xffff),
  rxQueue('SRRCTL', at.RX.SRRCTL, 'RW', 0x1fc0_3f7f, 0x0402),
  rxQueue('RDT', at.RX.RDT, 'RW tail', 0xffff),
  rxQueue('RXDCTL', at.RX.RXDCTL, 'RW enable Rx', 0x4200_bfff),
  rxQueue('RSCCTL', at.RX.RSCCTL, 'RW', 0x0f),
  txQueue('TDBAL', at.TX.TDBAL, 'RW', 0xffff_ff80),
  txQueue('TDBAH', at.TX.TDBAH, 'RW', ALL),
  txQueue('TDLEN', at.TX.TDLEN, 'RW', 0x000f_ff80),
  txQueue('DCA_TXCTRL', at.TX.DCA_TXCTRL, 'RW', 0xff00_ffff, 0x2a00),
  txQueue('TDH', at.TX.TDH, 'HW head Tx', 0xffff),
  txQueue('TDT', at.TX.TDT, 'RW tail', 0xffff),
  txQueue('TXDCTL', at.TX.TXDCTL, 'RW enable Tx', 0x027f_7f7f),
  txQueue('TDWBAL', at.TX.TDWBAL, 'RW', ALL),
  txQueue('TDWBAH', at.TX.TDWBAH, 'RW', ALL),
];

const VF_BLOCKS: readonly RegisterBlock[] = [
  many('VFCTRL', at.vfCtrlOffset, MAX_VFS, 'SC reset', at.VFCTRL_RST, 0, '1.3'),
  many('VTEICR', at.vteicrOffset, MAX_VFS, 'RC/W1C', VECTORS, 0, '1.3'),
  { ...many('VTEICS', at.vteicsOffset, MAX_VFS, 'W1S causes', VECTORS, 0, '1.3'), state: at.vteicrOffset },
  many('VTEIMS', at.vteimsOffset, MAX_VFS, 'W1S mask', VECTORS, 0, '1.3'),
  { ...many('VTEIMC', at.vteimcOffset, MAX_VFS, 'WO', VECTORS, 0, '1.3'), state: at.vteimsOffset },
  many('VTEIAC', at.vteiacOffset, MAX_VFS, 'RW', VECTORS, 0, '1.3'),
  many('VTEIAM', at.vteiamOffset, MAX_VFS, 'RW', VECTORS, 0, '1.3'),
  many('VTIVAR', at.vtivarOffset, MAX_VFS, 'RW', IVAR_MASK, 0, '1.3'),
  many('VTIVAR_MISC', at.vtivarMiscOffset, MAX_VFS, 'RW', 0x83, 0, '1.3'),
  many('VTRSCINT', (i) => at.vtrscintOffset(0, i), MAX_VFS * VECTORS_PER_VF, 'RW', ALL, 0, '1.3'),
  many('VTEITR', (i) => at.vteitrOffset(0, i), MAX_VFS * VECTORS_PER_VF, 'RW throttle', 0xff8, 0, '1.3'),
  many('VFMAILBOX', at.vfMailboxOffset, MAX_VFS, 'mailbox VF', ALL, 0, '1.4'),
  many('PFMAILBOX', at.pfMailboxOffset, MAX_VFS, 'mailbox PF', ALL, 0, '1.4'),
  many('MBMEM', (i) => at.mailboxMemoryOffset(0) + 4 * i, MAX_VFS * at.MAILBOX_WORDS, 'RW', ALL, 0, '1.4'),
  many('PSRTYPE', at.psrtypeOffset, POOL_COUNT, 'RW', 0xe000_1330, 0, '1.3'),
  many('VFGPRC', at.vfgprcOffset, POOL_COUNT, 'RO', 0, 0, '1.3'),
  many('VFGORC_LSB', at.vfgorcLowOffset, POOL_COUNT, 'RO', 0, 0, '1.3'),
  many('VFGORC_MSB', at.vfgorcHighOffset, POOL_COUNT, 'RO', 0, 0, '1.3'),
  many('VFMPRC', at.vfmprcOffset, POOL_COUNT, 'RO', 0, 0, '1.3'),
  many('VFGPTC', at.vfgptcOffset, POOL_COUNT, 'RO', 0, 0, '1.3'),
  many('VFGOTC_LSB', at.vfgotcLowOffset, POOL_COUNT, 'RO', 0, 0, '1.3'),
  many('VFGOTC_MSB', at.vfgotcHighOffset, POOL_COUNT, 'RO', 0, 0, '1.3'),
];

const pfFunction = () => PF_FUNCTION;

const PF_BLOCKS: readonly RegisterBlock[] = [
  one('CTRL', at.CTRL, 'RW device', ALL & ~(at.CTRL_RST | at.CTRL_LRST), 0, '5.3'),
  // GIO master enable status; must never read all ones
  one('STATUS', at.STATUS, 'RO', 0, 0x0008_0000, '1.2'),
  one('CTRL_EXT', at.CTRL_EXT, 'RW extended', ALL, 0, '5.4'),
  one('FRTIMER', at.FRTIMER, 'RO counting', 0, 0, '1.3'),
  one('LINKS', at.LINKS, 'RO', 0, 0, '1.3'),
  one('RXMEMWRAP', 0x3190, 'RO', 0, 0, '1.3'),
  one('MAXFRS', at.MAXFRS, 'RW filter', 0xffff_0000, 1518 << 16, '5.4'),
  // 64 pools and auto-mask: the only mode this card has, so it comes up in it
  one('GCR_EXT', at.GCR_EXT, 'RW', ALL, 3, '5.4'),
  one('GPIE', at.GPIE, 'RW', ALL, at.GPIE_EIAME | (3 << 14), '5.4'),
  { ...one('EICR', at.EICR, 'RC/W1C', ALL, 0, '5.4'), unit: pfFunction },
  { ...one('EICS', at.EICS, 'W1S causes', 0x3fff_ffff, 0, '5.4'), state: () => at.EICR, unit: pfFunction },
  { ...one('EIMS', at.EIMS, 'W1S mask', 0x3fff_ffff, 0, '5.4'), unit: pfFunction },
  { ...one('EIMC', at.EIMC, 'WO', ALL, 0, '5.4'), state: () => at.EIMS },
  one('EIAC', at.EIAC, 'RW', ALL, 0, '5.4'),
  one('EIAM', at.EIAM, 'RW', ALL, 0, '5.4'),
  many('EITR', (i) => at.EITR_BASE + 4 * i, at.EITR_COUNT, 'RW throttle PF', 0xff8, 0, '5.5'),
  many('IVAR', (i) => at.IVAR_BASE + 4 * i, POOL_COUNT, 'RW', 0xbfbf_bfbf, 0, '5.5'),
  one('IVAR_MISC', at.IVAR_MISC, 'RW', 0xbfbf, 0, '5.5'),
  many('PFMBICR', at.pfMbicrOffset, 4, 'W1C', ALL, 0, '1.4'),
  many('PFMBIMR', at.pfMbimrOffset, 4, 'RW', ALL, ALL, '1.4'),
  many('VFLRE', at.vflreOffset, 2, 'RO', 0, 0, '5.4'),
  { ...many('VFLREC', at.vflrecOffset, 2, 'WO', ALL, 0, '5.4'), state: at.vflreOffset },
  many('VFRE', at.vfreOffset, 2, 'RW filter', ALL, 0, '5.4'),
  many('VFTE', at.vfteOffset, 2, 'RW filter', ALL, 0, '5.4'),
  one('MRQC', at.MRQC, 'RW filter', ALL, 0, '5.4'),
  one('RTRUP2TC', at.RTRUP2TC, 'RW filter', 0xff_ffff, 0, '5.4'),
  one('MTQC', at.MTQC, 'RW filter', ALL, 0, '5.4'),
  one('VT_CTL', at.VT_CTL, 'RW filter', ALL, 0, '5.4'),
  one('FCTRL', at.FCTRL, 'RW filter', ALL, 0, '5.4'),
  one('VLNCTRL', at.VLNCTRL, 'RW filter', ALL, 0, '5.4'),
  one('MCSTCTRL', at.MCSTCTRL, 'RW filter', ALL, 0, '5.4'),
  one('RXCSUM', at.RXCSUM, 'RW filter', ALL, 0, '2.2'),
  one('RXCTRL', at.RXCTRL, 'RW filter', ALL, 0, '5.4'),
  one('HLREG0', at.HLREG0, 'RW filter', ALL, 0, '5.4'),
  one('DMATXCTL', at.DMATXCTL, 'RW filter', ALL, 0, '5.4'),
  many('RAL', at.ralOffset, at.RAR_COUNT, 'RW filter', ALL, 0, '5.4'),
  many('RAH', at.rahOffset, at.RAR_COUNT, 'RW filter', 0x8000_ffff, 0, '5.4'),
  many('MPSAR_LO', at.mpsarLoOffset, at.RAR_COUNT, 'RW filter', ALL, 0, '5.4'),
  many('MPSAR_HI', at.mpsarHiOffset, at.RAR_COUNT, 'RW filter', ALL, 0, '5.4'),
  many('MTA', at.mtaOffset, at.MTA_WORDS, 'RW filter', ALL, 0, '5.4'),
  many('VFTA', at.vftaOffset, at.VFTA_WORDS, 'RW filter', ALL, 0, '5.4'),
  many('VLVF', at.vlvfOffset, at.VLVF_COUNT, 'RW filter', 0x8000_0fff, 0, '5.4'),
  many('VLVFB', (i) => at.vlvfbOffset(i >> 1, i & 1), at.VLVF_COUNT * 2, 'RW filter', ALL, 0, '5.4'),
  many('VMOLR', at.vmolrOffset, POOL_COUNT, 'RW filter', 0x1fc0_0000, 0, '5.4'),
  many('VMVIR', at.vmvirOffset, POOL_COUNT, 'RW filter', 0xc000_ffff, 0, '5.4'),
  many('PFVFSPOOF', at.pfVfSpoofOffset, 8, 'RW filter', 0xffff, 0, '5.4'),
  one('PFDTXGSWC', at.PFDTXGSWC, 'RW filter', 1, 0, '5.4'),
  one('SSVPC', at.SSVPC, 'RC', 0, 0, '5.4'),
  many('VMECM', at.vmecmOffset, 2, 'RC', 0, 0, '5.4'),
  one('QDE', at.QDE, 'RW indirect drop', 0x7f01, 0, '5.4'),
  one('RTTDQSEL', at.RTTDQSEL, 'RW', 0x7f, 0, '5.4'),
  one('RTTBCNRC', at.RTTBCNRC, 'RW indirect rate', 0x8fff_ffff, 0, '5.4'),
  many('RETA', at.retaOffset, 32, 'RW filter', 0x0f0f_0f0f, 0, '5.4'),
  many('RSSRK', at.rssKeyOffset, 10, 'RW filter', ALL, 0, '5.4'),
  one('GPRC', at.GPRC, 'RC', 0, 0, '5.4'),
  one('BPRC', at.BPRC, 'RC', 0, 0, '5.4'),
  one('MPRC', at.MPRC, 'RC', 0, 0, '5.4'),
  one('GPTC', at.GPTC, 'RC', 0, 0, '5.4'),
  one('MPC', at.MPC, 'RC', 0, 0, '5.4'),
];

/** Every register of the card. */
export const REGISTERS: readonly RegisterBlock[] = [...PF_BLOCKS, ...VF_BLOCKS, ...QUEUE_BLOCKS];

/** One array of registers in a VF's BAR0, and where the PF's image has them. */
export interface WindowBlock {
  readonly name: string;
  readonly offset: (index: number) => number;
  readonly count: number;
  readonly pfOffset: (vf: number, index: number) => number;
}

function shown(
  name: string,
  offset: number,
  pfOffset: (vf: number, index: number) => number,
  count = 1,
  stride = 4,
): WindowBlock {
  return { name, offset: (index) => offset + stride * index, count, pfOffset };
}

function shownQueue(name: string, base: number, low: number, block: (queue: number) => number): WindowBlock {
  return shown(name, base + low, (vf, index) => block(at.queueOf(vf, index)) + low, QUEUES_PER_POOL, 0x40);
}

/**
 * A VF's BAR0. What is not here is reserved: queue blocks 2..7 and VTIVAR(1..3), which drivers write for queues this mode
 * has not got, and VFMRQC, VFRSSRK and VFRETA, which later chips brought.
 */
export const VF_WINDOW: readonly WindowBlock[] = [
  shown('VFCTRL', at.VF.CTRL, at.vfCtrlOffset),
  shown('VFSTATUS', at.VF.STATUS, () => at.STATUS),
  shown('VFLINKS', at.VF.LINKS, () => at.LINKS),
  shown('VFFRTIMER', at.VF.FRTIMER, () => at.FRTIMER),
  shown('VTEICR', at.VF.VTEICR, at.vteicrOffset),
  shown('VTEICS', at.VF.VTEICS, at.vteicsOffset),
  shown('VTEIMS', at.VF.VTEIMS, at.vteimsOffset),
  shown('VTEIMC', at.VF.VTEIMC, at.vteimcOffset),
  shown('VTEIAC', at.VF.VTEIAC, at.vteiacOffset),
  shown('VTEIAM', at.VF.VTEIAM, at.vteiamOffset),
  shown('VTIVAR', at.VF.VTIVAR, at.vtivarOffset),
  shown('VTIVAR_MISC', at.VF.VTIVAR_MISC, at.vtivarMiscOffset),
  shown('VTRSCINT', at.VF.VTRSCINT, at.vtrscintOffset, VECTORS_PER_VF),
  shown('VFMBMEM', at.VF.MBMEM, (vf, i) => at.mailboxMemoryOffset(vf) + 4 * i, at.MAILBOX_WORDS),
  shown('VFMAILBOX', at.VF.MAILBOX, at.vfMailboxOffset),
  shown('VFPSRTYPE', at.VF.PSRTYPE, at.psrtypeOffset),
  shown('VTEITR', at.VF.VTEITR, at.vteitrOffset, VECTORS_PER_VF),
  shown('VFRXMEMWRAP', at.VF.RXMEMWRAP, () => 0x3190),
  shown('VFGPRC', at.VF.GPRC, at.vfgprcOffset),
  shown('VFGORC_LSB', at.VF.GORC_LSB, at.vfgorcLowOffset),
  shown('VFGORC_MSB', at.VF.GORC_MSB, at.vfgorcHighOffset),
  shown('VFMPRC', at.VF.MPRC, at.vfmprcOffset),
  shown('VFGPTC', at.VF.GPTC, at.vfgptcOffset),
  shown('VFGOTC_LSB', at.VF.GOTC_LSB, at.vfgotcLowOffset),
  shown('VFGOTC_MSB', at.VF.GOTC_MSB, at.vfgotcHighOffset),
  ...Object.entries(at.RX).map(([name, low]) => shownQueue('VF' + name, at.VF.RX, low, at.rxQueueOffset)),
  ...Object.entries(at.TX).map(([name, low]) => shownQueue('VF' + name, at.VF.TX, low, at.txQueueOffset)),
];

/** The compiled form of a window: one entry per 32-bit word of the BAR. */
export interface RegisterMap {
  readonly read: Uint8Array;
  readonly write: Uint8Array;
  /** Word of NicShared.words that holds the state. */
  readonly word: Int32Array;
  readonly mask: Int32Array;
  /** Queue, VF or function the handler works on. */
  readonly unit: Uint8Array;
}

function emptyMap(bytes: number): RegisterMap {
  const words = bytes >> 2;
  return {
    read: new Uint8Array(words),
    write: new Uint8Array(words),
    word: new Int32Array(words),
    mask: new Int32Array(words),
    unit: new Uint8Array(words),
  };
}

let pfMap: RegisterMap | null = null;

/** The PF's BAR0, compiled on first use in this thread. */
export function pfRegisterMap(): RegisterMap {
  if (pfMap !== null) return pfMap;
  const map = emptyMap(PF_BAR0_BYTES);
  for (const block of REGISTERS) {
    const { read, write } = ACCESS[block.access];
    for (let i = 0; i < block.count; i++) {
      const entry = block.offset(i) >> 2;
      map.read[entry] = read;
      map.write[entry] = write;
      map.word[entry] = (block.state?.(i) ?? block.offset(i)) >> 2;
      map.mask[entry] = block.mask;
      map.unit[entry] = block.unit?.(i) ?? i;
    }
  }
  pfMap = map;
  return map;
}

/** The BAR0 of VF `vf`: the PF's entries at the VF's places. */
export function vfRegisterMap(vf: number): RegisterMap {
  const pf = pfRegisterMap();
  const map = emptyMap(at.VF_BAR0_BYTES);
  for (const block of VF_WINDOW) {
    for (let i = 0; i < block.count; i++) {
      const to = block.offset(i) >> 2;
      const from = block.pfOffset(vf, i) >> 2;
      map.read[to] = pf.read[from]!;
      map.write[to] = pf.write[from]!;
      map.word[to] = pf.word[from]!;
      map.mask[to] = pf.mask[from]!;
      map.unit[to] = pf.unit[from]!;
    }
  }
  return map;
}
