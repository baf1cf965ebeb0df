/**
 * Where everything of the CPU lies in the CPU area: byte offsets from its start. Read by the AssemblyScript core and by
 * TypeScript alike, hence plain numbers only.
 *
 *   state (one page) | TLBs | decoded code pages | their copies | their descriptors | RAM page -> code page
 */

// integer registers; number 32 is where writes to x0 go
export const X = 0x000;
export const X_SINK = 32;
export const F = 0x110;
export const PC = 0x210;
export const PRIVILEGE = 0x218;
/** sstatus.FS, 0..3. */
export const FS = 0x21c;
export const FFLAGS = 0x220;
export const FRM = 0x224;
/** SIE, SPIE, SPP, SUM, MXR only; the rest of sstatus is constant or FS. */
export const SSTATUS = 0x228;
export const STVEC = 0x230;
export const SSCRATCH = 0x238;
export const SEPC = 0x240;
export const SCAUSE = 0x248;
export const STVAL = 0x250;
export const SATP = 0x258;
export const SIE = 0x260;
/** The software-writable bit of sip (SSIP). */
export const SIP = 0x268;
export const SCOUNTEREN = 0x270;
export const SENVCFG = 0x278;
export const STIMECMP = 0x280;
/** Retired instructions; cycle shows the same. */
export const INSTRET = 0x288;
/** Host address of the LR reservation, 0xFFFFFFFF without one. Not part of a saved state: an SC may fail. */
export const RESERVED_AT = 0x290;
export const RESERVED_VALUE = 0x298;
export const SISELECT = 0x2a0;
export const EIDELIVERY = 0x2a8;
export const EITHRESHOLD = 0x2ac;
/** Pending and enabled bits of the IMSIC's file. Pending bits are set by any thread, atomically. */
export const IMSIC_EIP = 0x2c0;
export const IMSIC_EIE = 0x2e0;
export const IMSIC_BYTES = 32;
export const IMSIC_IDS = 255;

// not state: how the core and its host talk
export const MMIO_HIGH = 0x300;
export const MMIO_FAULT = 0x304;
export const DIRTY_LOGGING = 0x308;
export const DIRTY_GENERATION = 0x30c;
export const DIRTY_ACKNOWLEDGED = 0x310;
/** Atomically updated for the sake of the fence alone. */
export const FENCE_WORD = 0x314;

/** Bitmaps of 512 bits: parts of 2 MiB and of 1 GiB whose translation may have come from a superpage. */
export const SUPERPAGES_2M = 0x400;
export const SUPERPAGES_1G = 0x440;
export const SUPERPAGES_BYTES = 0x40;

/** Numbers (u16) of the TLB entries that were filled since the TLBs were last cleared. */
export const TLB_FILLS = 0x600;
export const TLB_FILLS_KEPT = 1024;

export const PRIVILEGE_U = 0;
export const PRIVILEGE_S = 1;

/** What run() returns. */
export const RUN_BUDGET = 0;
export const RUN_ATTENTION = 1;
export const RUN_ECALL = 2;
export const RUN_WFI = 3;

export const RAM_BASE = 0x8000_0000;
export const PAGE = 4096;
/** What cbo.zero writes; the device tree says so. */
export const CACHE_BLOCK = 64;

// TLBs: three contexts (U, S, S with SUM), each loads | stores | fetches
export const TLB = 0x1000;
export const TLB_ENTRY = 16;
export const TLB_DATA_ENTRIES = 512;
export const TLB_FETCH_ENTRIES = 512;
export const TLB_STORES = TLB_DATA_ENTRIES * TLB_ENTRY;
export const TLB_FETCHES = 2 * TLB_DATA_ENTRIES * TLB_ENTRY;
export const TLB_CONTEXT = TLB_FETCHES + TLB_FETCH_ENTRIES * TLB_ENTRY;
export const TLB_CONTEXTS = 3;

// decoded code: a page of code is 2048 slots of 16 bytes, one for each halfword, and two more behind its end
export const CODE = 0x14000;
export const CODE_PAGES = 2048;
export const SLOT = 16;
export const SLOTS_BYTES = 2048 * SLOT;
export const CODE_STRIDE = SLOTS_BYTES + 4 * SLOT;
export const CODE_COPY = CODE + CODE_PAGES * CODE_STRIDE;
/** Per code page: RAM offset, generation when it was last compared, stores into it. */
export const CODE_INFO = CODE_COPY + CODE_PAGES * PAGE;
export const CODE_INFO_BYTES = 16;
/** One u16 per RAM page: its code page + 1, or 0. */
export const CODE_MAP = CODE_INFO + CODE_PAGES * CODE_INFO_BYTES;
