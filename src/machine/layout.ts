/**
 * How a VM's one shared WebAssembly memory is divided.
 *
 *   0                ramBytes                                                    totalBytes
 *   | guest RAM ......| control page | DMA scratch | Asyncify stack | dirty log |
 *                     '------------------- VMM area -------------------------'
 *
 * The guest never learns of the VMM area: memory.size and memory.grow are virtualised. Guest-physical addresses are
 * offsets into this memory. The VMM area is untrusted: a wild guest store there spoils this VM only.
 */
import { PAGE_BYTES } from '../hardware/units.js';

export const WASM_PAGE_BYTES = 65536;
export const CONTROL_BYTES = PAGE_BYTES;
export const SCRATCH_BYTES = 15 * PAGE_BYTES;
/**
 * Room for the frames of a stopped guest. A saved frame is smaller than the engine's own, so VCPU_STACK_MB of stack
 * always fit: a guest that recurses too far overflows its stack, stopped or not.
 */
export const ASYNCIFY_BYTES = 16 * WASM_PAGE_BYTES;
/** First bytes of Asyncify's area: where its stack is, and where it ends. */
export const ASYNCIFY_HEADER_BYTES = 8;
/** Stack of a vCPU's worker (resourceLimits.stackSizeMb). */
export const VCPU_STACK_MB = 1;
export const MIN_RAM_BYTES = 16 * 1024 * 1024;
/** Of any guest. */
export const MAX_RAM_BYTES = 2 * 1024 * 1024 * 1024;
/** Of a WebAssembly component. */
export const MAX_COMPONENT_RAM_BYTES = 1024 * 1024 * 1024;

export interface MemoryLayout {
  readonly ramBytes: number;
  /** Guest RAM in 4 KiB pages. */
  readonly ramPages: number;
  readonly controlOffset: number;
  /** Hypervisor-owned pages that can be mapped into a VF's domain (a scratch ring at the destination). */
  readonly scratchOffset: number;
  readonly asyncifyOffset: number;
  /** One byte per 4 KiB page of the whole memory: the vCPU's dirty log, written by the logging build. */
  readonly dirtyLogOffset: number;
  readonly dirtyLogBytes: number;
  readonly totalBytes: number;
}

/** @param ramBytes multiple of 64 KiB, MIN_RAM_BYTES..MAX_RAM_BYTES (the caller has validated it). */
export function layoutFor(ramBytes: number): MemoryLayout {
  const controlOffset = ramBytes;
  const scratchOffset = controlOffset + CONTROL_BYTES;
  const asyncifyOffset = scratchOffset + SCRATCH_BYTES;
  const dirtyLogOffset = asyncifyOffset + ASYNCIFY_BYTES;
  // the log covers itself too: Asyncify's own stores are logged like any other
  const upperBound =
    dirtyLogOffset + Math.ceil((dirtyLogOffset + 2 * WASM_PAGE_BYTES) / PAGE_BYTES) + WASM_PAGE_BYTES;
  const totalBytes = Math.ceil(upperBound / WASM_PAGE_BYTES) * WASM_PAGE_BYTES;
  return {
    ramBytes,
    ramPages: ramBytes / PAGE_BYTES,
    controlOffset,
    scratchOffset,
    asyncifyOffset,
    dirtyLogOffset,
    dirtyLogBytes: totalBytes / PAGE_BYTES,
    totalBytes,
  };
}

/** Int32 words of the control page. All are read and written with Atomics except by the guest's polls (atomic too). */
export const CTRL = {
  /** Non-zero: the guest's next poll calls out. The only word that generated code reads. */
  attention: 0,
  /** What the main thread wants, see VCPU_COMMAND. */
  command: 1,
  /** What the vCPU is doing, see VCPU_STATE. The main thread may wait on it. */
  state: 2,
  /** Build that the guest is to run in, see VCPU_BUILD; `activeBuild` is the one it does run in. */
  build: 3,
  /** memory.size as the guest sees it, in 64 KiB pages. */
  guestPages: 4,
  /** Pending interrupt lines, one bit each; set by Atomics.or from any thread. */
  irqPending: 5,
  /** Incremented with every interrupt and every kick: a blocked wait-for-interrupt waits on it. */
  irqSequence: 6,
  /** vCPU throttle, percent of time taken away (0..99). */
  throttlePercent: 7,
  /** 1 while the Asyncify stack holds frames to rewind. */
  framesValid: 8,
  exitCode: 9,
  /** How many mutable globals are saved in `globals`. */
  globalCount: 10,
  /** Guest clock = host clock + offset: a double at words 12..13 (8-byte aligned), ns. */
  clockOffset: 12,
  /** VM exits by reason: 16 counters, see hypervisor/vm-exits. */
  exits: 16,
  /** Times the vCPU blocked in wait-for-interrupt, and total ns blocked as a double at 34..35. */
  waits: 32,
  waitNs: 34,
  /** Bytes of the saved Asyncify stack, while framesValid. */
  frameBytes: 36,
  /** Length of the command line, whose bytes begin at word `commandLine`. */
  commandLineBytes: 37,
  /** Written by the vCPU when it enters the guest. */
  activeBuild: 38,
  /** PCI hot-plug: 8 words, see hypervisor/hotplug-registers. */
  hotplug: 40,
  /** Saved mutable globals, 8 bytes each, at most MAX_GLOBALS. */
  globals: 64,
  commandLine: 512,
} as const;
export const MAX_GLOBALS = 128;
export const MAX_COMMAND_LINE_BYTES = 2048;

export const VCPU_STATE = { created: 0, running: 1, paused: 2, halted: 3, trapped: 4 } as const;
/**
 * Low byte of the command word. `switch` makes the vCPU leave the guest and enter it again in the build that CTRL.build
 * names. The bits above number the order, so that two equal orders in a row are two.
 */
export const VCPU_COMMAND = { none: 0, pause: 1, switch: 2, stop: 3 } as const;
export const COMMAND_KIND_MASK = 0xff;
export const COMMAND_NUMBER_SHIFT = 8;
export const VCPU_BUILD = { plain: 0, logging: 1 } as const;
/** A throttled guest runs for this long between two sleeps. */
export const THROTTLE_SLICE_MS = 10;
export const MAX_THROTTLE_PERCENT = 99;
/** Words of the control page. */
export const CONTROL_WORDS = CONTROL_BYTES / 4;
