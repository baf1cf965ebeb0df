/**
 * What a plugin sees of the world: exactly what a hypervisor sees that has passed a VF through. Guest RAM, registers
 * behind BARs, page mappings, its own clock. No field of the device model, and no ground truth: a method that works
 * with these works on silicon.
 *
 *   guest RAM ---- DeviceView.ram          I/O virtual addresses are guest-physical ones: offsets into ram
 *   VF BAR0 ------ DeviceView.bar0         side effects included: a read of VTEICR clears it
 *   VF BAR3 ------ DeviceView.bar3         MSI-X table at 0, pending bits at 0x2000
 *   PF BAR0 ------ DeviceView.pf           every VF's registers, heads writable while a queue is off
 *   EPT ---------- DeviceView.pages        how the guest's accesses to BAR0 are served, page by page
 */
import type { Clock } from '../hardware/clock.js';

export type { Clock };

/** 32-bit registers. Values are unsigned; offsets are bytes, multiples of 4. */
export interface RegisterWindow {
  read32(offset: number): number;
  write32(offset: number, value: number): void;
}

/** Guest-physical memory. The arrays are views of the same bytes; do not keep one past the plugin's life. */
export interface GuestRam {
  readonly bytes: number;
  readonly u8: Uint8Array;
  readonly i32: Int32Array;
}

/**
 * How the guest's accesses to one 4 KiB page of BAR0 are served. `direct`: by the device. `trapped`: each access is a
 * VM exit, carried out by the hypervisor and counted. `shadow`: by plain memory, which nobody looks at but whoever
 * asked for the mapping.
 */
export type PageMapping = 'direct' | 'trapped' | 'shadow';

export interface BarPages {
  /** Pages of BAR0: 4. */
  readonly count: number;
  mappingOf(page: number): PageMapping;
  /**
   * Changes a page's mapping. When it returns, no access is under way on the old mapping. `whileHeld` runs at a moment
   * when the guest can access the page in neither way: copy registers there. It must be short, and must not throw.
   */
  map(page: number, mapping: PageMapping, whileHeld?: () => void): void;
  /** The memory behind a page in `shadow` mapping: 1024 words. */
  shadow(page: number): Int32Array;
  /**
   * Brackets one turn of whoever serves the shadow pages. A guest that reads a shadow page it wrote waits until a turn
   * that started after its write has ended: a dedicated core is always quicker than a driver's patience, a shared
   * one is not.
   */
  turnStarted(): void;
  turnEnded(): void;
}

/** What every thread of a plugin can see. */
export interface DeviceView {
  /** Index of the VF, 0..62. Its absolute queues are 2 * vf and 2 * vf + 1. */
  readonly vf: number;
  readonly ram: GuestRam;
  readonly bar0: RegisterWindow;
  readonly bar3: RegisterWindow;
  readonly pf: RegisterWindow;
  readonly pages: BarPages;
  readonly clock: Clock;
}

/** Where a tracker puts what it found. Marks are atomic and idempotent; pages outside guest RAM are ignored. */
export interface DirtyMarks {
  /** Guest RAM in 4 KiB pages. */
  readonly pages: number;
  /** Call it after the DMA write was complete, never before. */
  mark(page: number): void;
  /** Every page that a byte of [address, address + bytes) lies in. */
  markRange(address: number, bytes: number): void;
  markAll(): void;
}

/** Hypervisor memory that the VF can reach: for a ring of the plugin's own. The guest cannot see it. */
export interface ScratchPages {
  readonly iova: number;
  readonly bytes: number;
  readonly i32: Int32Array;
}

/** A VF's counters as the guest reads them. Octets are 36 bits wide, the others 32. */
export interface VfStatistics {
  readonly goodPacketsReceived: number;
  readonly goodOctetsReceived: number;
  readonly multicastPacketsReceived: number;
  readonly goodPacketsSent: number;
  readonly goodOctetsSent: number;
}

/** Plain data that survives the stream: what device state is made of. */
export type StateValue =
  | null
  | boolean
  | number
  | string
  | Uint8Array
  | StateValue[]
  | { [name: string]: StateValue };
export type StateFields = { [name: string]: StateValue };
