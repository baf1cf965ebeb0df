/**
 * Registers of an 82599 VF (BAR0): offsets, bits, and the values that the stock driver programs.
 */
import { barRead, barWrite } from './machine';

export const VFCTRL: u32 = 0x0000;
export const VFSTATUS: u32 = 0x0008;
export const VFLINKS: u32 = 0x0010;
export const VTEICR: u32 = 0x0100;
export const VTEICS: u32 = 0x0104;
export const VTEIMS: u32 = 0x0108;
export const VTEIMC: u32 = 0x010c;
export const VTEIAC: u32 = 0x0110;
export const VTEIAM: u32 = 0x0114;
export const VTIVAR: u32 = 0x0120;
export const VTIVAR_MISC: u32 = 0x0140;
export const VFMBMEM: u32 = 0x0200;
export const VFMAILBOX: u32 = 0x02fc;
export const VFPSRTYPE: u32 = 0x0300;
export const VTEITR: u32 = 0x0820;

/** Queue registers: block start + QUEUE_STRIDE * queue. */
export const QUEUE_STRIDE: u32 = 0x40;
export const VFRDBAL: u32 = 0x1000;
export const VFRDBAH: u32 = 0x1004;
export const VFRDLEN: u32 = 0x1008;
export const VFDCA_RXCTRL: u32 = 0x100c;
export const VFRDH: u32 = 0x1010;
export const VFSRRCTL: u32 = 0x1014;
export const VFRDT: u32 = 0x1018;
export const VFRXDCTL: u32 = 0x1028;
export const VFTDBAL: u32 = 0x2000;
export const VFTDBAH: u32 = 0x2004;
export const VFTDLEN: u32 = 0x2008;
export const VFDCA_TXCTRL: u32 = 0x200c;
export const VFTDH: u32 = 0x2010;
export const VFTDT: u32 = 0x2018;
export const VFTXDCTL: u32 = 0x2028;
export const VFTDWBAL: u32 = 0x2038;
export const VFTDWBAH: u32 = 0x203c;

export const VFGPRC: u32 = 0x101c;
export const VFGORC_LSB: u32 = 0x1020;
export const VFGORC_MSB: u32 = 0x1024;
export const VFMPRC: u32 = 0x1034;
export const VFGPTC: u32 = 0x201c;
export const VFGOTC_LSB: u32 = 0x2020;
export const VFGOTC_MSB: u32 = 0x2024;

export const CTRL_RST: u32 = 1 << 26;
export const LINKS_UP: u32 = 1 << 30;
export const DCTL_ENABLE: u32 = 1 << 25;
export const DCTL_SWFLSH: u32 = 1 << 26;
export const RXDCTL_VME: u32 = 1 << 30;
export const IVAR_VALID: u32 = 0x80;
export const ITR_NO_DISTURB: u32 = 1 << 31;

/** WTHRESH 8, HTHRESH 1, PTHRESH 32, ENABLE. */
export const TXDCTL_RUN: u32 = 0x02080120;
export const DCA_TXCTRL_RUN: u32 = 0x2200;
export const DCA_RXCTRL_RUN: u32 = 0x0200;
/** DROP_EN, one-buffer descriptors, 256 B headers, buffers of 2 or 3 KiB. */
export const SRRCTL_2K: u32 = 0x12000402;
export const SRRCTL_3K: u32 = 0x12000403;
export const PSRTYPE_RUN: u32 = 0x00001330;
export const PSRTYPE_TWO_QUEUES: u32 = 0x20000000;

/** VF registers are in BAR0. */
@inline export function readRegister(slot: u32, register: u32): u32 {
  return barRead(slot, 0, register);
}

@inline export function writeRegister(slot: u32, register: u32, value: u32): void {
  barWrite(slot, 0, register, value);
}

/** A read whose only purpose is that the writes before it have arrived. */
export function flushWrites(slot: u32): void {
  barRead(slot, 0, VFSTATUS);
}
