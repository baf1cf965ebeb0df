/** A memory BAR of a function: its number, and how large it is. */
export interface PciBar {
  readonly index: number;
  readonly bytes: number;
}

/** A function on bus 0 as the host bridge reaches it. Values are unsigned 32-bit. */
export interface PciFunction {
  /** 64-bit memory BARs; each takes two dwords of configuration space. */
  readonly bars: readonly PciBar[];
  /** The dword at `offset`, a multiple of 4. */
  configRead(offset: number): number;
  configWrite(offset: number, value: number): void;
  barRead(bar: number, offset: number, size: number): number;
  barWrite(bar: number, offset: number, size: number, value: number): void;
}
