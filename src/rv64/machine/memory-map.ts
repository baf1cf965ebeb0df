/**
 * Guest-physical addresses of the riscv64 machine.
 *
 *   0x0010_1000  RTC        0x1000_0000  UART       0x3000_0000  PCIe configuration space (bus 0)
 *   0x0d00_0000  APLIC                              0x4000_0000  32-bit PCI window
 *   0x8000_0000  RAM, up to 2 GiB
 *   0x3_0000_0000  IMSIC                          0x4_0000_0000  64-bit PCI window
 *
 * Addresses on the PCI bus are others: RAM begins at 0 there (dma-ranges of the device tree says so), as the IOVAs of every
 * VF do here. So the 32-bit window and the IMSIC lie where no RAM can be, seen from the bus.
 *
 *   bus:  0 RAM ...  | 0xc000_0000 32-bit window | 0x3_0000_0000 IMSIC | 0x4_0000_0000 64-bit window
 */
export interface Range {
  readonly base: number;
  readonly bytes: number;
}

/** A window onto the PCI bus. */
export interface BusWindow extends Range {
  /** Its first address on the bus. */
  readonly busBase: number;
}

export const MAP = {
  rtc: { base: 0x0010_1000, bytes: 0x1000 },
  aplic: { base: 0x0d00_0000, bytes: 0x8000 },
  uart: { base: 0x1000_0000, bytes: 0x100 },
  /** S-level interrupt file of hart 0: one page. Message writes of devices go here. */
  imsic: { base: 0x3_0000_0000, bytes: 0x1000 },
  /** One bus: 32 devices of 8 functions of 4 KiB. */
  ecam: { base: 0x3000_0000, bytes: 0x10_0000 },
  pci32: { base: 0x4000_0000, bytes: 0x4000_0000, busBase: 0xc000_0000 },
  pci64: { base: 0x4_0000_0000, bytes: 0x4000_0000, busBase: 0x4_0000_0000 },
  ram: { base: 0x8000_0000, bytes: 0x8000_0000 },
} as const satisfies Record<string, Range | BusWindow>;

/** Ticks of the guest's `time` in a second. */
export const TIMEBASE_HZ = 10_000_000;
export const NS_PER_TICK = 1e9 / TIMEBASE_HZ;
/** Interrupt identities of the IMSIC: 1..IMSIC_IDS. */
export const IMSIC_IDS = 255;
/** Sources of the APLIC that devices raise. */
export const WIRED = { uart: 1, rtc: 2 } as const;
export const WIRED_SOURCES = 31;
export const HART_ID = 0;
