/** Bits of the VF's registers and of its mailbox messages, as the scripted guest's driver has them. */
import { RX, TX, VF } from '../../../hardware/nic/offsets.js';

export const QUEUE_STRIDE = 0x40;
export const rxRegister = (queue: number, name: keyof typeof RX): number =>
  VF.RX + QUEUE_STRIDE * queue + RX[name];
export const txRegister = (queue: number, name: keyof typeof TX): number =>
  VF.TX + QUEUE_STRIDE * queue + TX[name];

export const ENABLE = 1 << 25;
export const SOFTWARE_FLUSH = 1 << 26;
export const STRIP_VLAN = 1 << 30;
export const VFCTRL_RESET = 1 << 26;
/** WTHRESH 8, HTHRESH 1, PTHRESH 32. */
export const TX_THRESHOLDS = 0x0008_0120;
export const HEADER_BUFFER_BYTES = 256;
export const DROP_WITHOUT_DESCRIPTORS = 1 << 28;
export const DESCRIPTOR_TYPE = { oneBuffer: 1 << 25, splitAlways: 5 << 25 } as const;
/** TCP, UDP, IPv4, IPv6 and L2 headers; bit 29: two queues. */
export const PSRTYPE = 0x1330;
export const PSRTYPE_TWO_QUEUES = 0x2000_0000;

export const MAILBOX = {
  request: 1 << 0,
  acknowledge: 1 << 1,
  owned: 1 << 2,
  status: 1 << 4,
  acknowledged: 1 << 5,
  resetting: 1 << 6,
  resetDone: 1 << 7,
} as const;
/** One read clears these. */
export const CLEARED_BY_READ = MAILBOX.status | MAILBOX.acknowledged | MAILBOX.resetDone;

export const MESSAGE = {
  reset: 0x01,
  setVlan: 0x04,
  setMaxFrame: 0x05,
  negotiateApi: 0x08,
  xcastMode: 0x0c,
} as const;
export const SUCCESS = 0x8000_0000 | 0;
export const FAILURE = 0x4000_0000;
export const MESSAGE_MASK = 0xffff;
export const INFO_SHIFT = 16;
