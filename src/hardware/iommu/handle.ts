/**
 * What crosses threads when a function is attached to a domain: shared buffers and numbers only.
 * One page-sized byte map each for the ground truth and for the optional dirty bits.
 */

export interface IovaRange {
  /** First I/O virtual address, page aligned. */
  readonly iovaStart: number;
  /** Where it lands in `memory`, bytes, page aligned. */
  readonly memoryOffset: number;
  /** Page multiple. */
  readonly bytes: number;
  readonly writable: boolean;
}

export interface DomainHandle {
  /** The memory that DMA reads and writes (a guest's whole shared WebAssembly memory, or hypervisor memory for the PF). */
  readonly memory: SharedArrayBuffer;
  /** At most 8; looked up in order, the first is the fast path (guest RAM, identity mapped). */
  readonly ranges: readonly IovaRange[];
  /**
   * Ground truth: one byte per 4 KiB page of `memory`, set to 1 by the IOMMU after each DMA write into that page.
   * For the verifier, --verify and reports only: no tracker is ever handed it.
   */
  readonly truth: SharedArrayBuffer;
  /** Same shape: the IOMMU's own dirty bits, a hardware capability that is off by default (null). */
  readonly dirtyBits: SharedArrayBuffer | null;
  /** Int32 words, see DOMAIN_WORD. */
  readonly control: SharedArrayBuffer;
}

/** Words of DomainHandle.control. */
export const DOMAIN_WORD = {
  readFaults: 0,
  writeFaults: 1,
  /** Last faulting IOVA, low and high 32 bits. */
  lastFaultLow: 2,
  lastFaultHigh: 3,
  /** Non-zero: record dirty bits (when the capability exists). */
  dirtyBitsOn: 4,
  /** Bytes that DMA wrote / read, low 32 bits (wraps). */
  bytesWrittenLow: 5,
  bytesReadLow: 6,
} as const;
export const DOMAIN_CONTROL_BYTES = 64;
