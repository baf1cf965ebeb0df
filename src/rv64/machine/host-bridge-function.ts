/** The host bridge's own function, 00:00.0: an identity and nothing else. */
import type { PciFunction } from './pci-function.js';

/** Vendor and device, and class 06:00 (host bridge), as QEMU's generic bridge has them. */
const WORDS: ReadonlyMap<number, number> = new Map([
  [0x00, 0x0008_1b36],
  [0x08, 0x0600_0000],
]);

export const hostBridgeFunction: PciFunction = {
  bars: [],
  configRead: (offset) => WORDS.get(offset) ?? 0,
  configWrite() {},
  barRead: () => 0xffff_ffff,
  barWrite() {},
};
