/**
 * How the memory of a riscv64 VM is divided: as any VM's (machine/layout.ts), with the CPU area behind.
 *
 *   0            ramBytes                          cpuOffset                                   totalBytes
 *   | guest RAM | control, scratch, ..., dirty log | state | TLBs | decoded code | page map |
 *
 * Guest-physical RAM_BASE is byte 0.
 */
import { layoutFor, type MemoryLayout, WASM_PAGE_BYTES } from '../../machine/layout.js';
import { CODE_MAP, PAGE } from './wasm/offsets.js';

/** Two bytes for each page of RAM. */
const CODE_MAP_ENTRY_BYTES = 2;

export interface Rv64Layout {
  readonly machine: MemoryLayout;
  /** Start of the CPU area; the offsets of wasm/offsets.ts count from here. */
  readonly cpuOffset: number;
  readonly cpuBytes: number;
  readonly totalBytes: number;
}

/** @param ramBytes multiple of 64 KiB, at most 2 GiB (the caller has validated it). */
export function rv64LayoutFor(ramBytes: number): Rv64Layout {
  const machine = layoutFor(ramBytes);
  const cpuOffset = machine.totalBytes;
  const needed = CODE_MAP + (ramBytes / PAGE) * CODE_MAP_ENTRY_BYTES;
  const cpuBytes = Math.ceil(needed / WASM_PAGE_BYTES) * WASM_PAGE_BYTES;
  return { machine, cpuOffset, cpuBytes, totalBytes: cpuOffset + cpuBytes };
}

/** Of fixed size and all zero: host memory is taken only where it is touched. */
export function createRv64Memory(layout: Rv64Layout): WebAssembly.Memory {
  const pages = layout.totalBytes / WASM_PAGE_BYTES;
  return new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true });
}
