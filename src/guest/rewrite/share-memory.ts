/**
 * The guest's memory becomes one that the host made: imported, shared, as large as the VM's whole layout. Active data
 * segments are emptied and handed to the host, which writes them once at first boot: a second instance over the same
 * memory (the logging build, or the destination's) must not write them again.
 */
import { WASM_PAGE_BYTES } from '../../machine/layout.js';
import { GuestImageError } from '../guest-image-error.js';
import { constantI32 } from '../wasm/instructions.js';
import type { WasmModule } from '../wasm/wasm-module.js';
import { HOST_MODULE, MEMORY_FIELD } from '../world.js';

/** What the host writes into guest RAM at first boot. */
export interface BootData {
  readonly offset: number;
  readonly bytes: Uint8Array;
}

export interface SharedMemory {
  readonly dataSegments: BootData[];
  /** memory.size at boot, in 64 KiB pages. */
  readonly initialPages: number;
  /** What memory.grow may reach, in 64 KiB pages: RAM, or less if the image says so. */
  readonly maxPages: number;
}

/** Changes `module` in place. The memory import keeps index 0. */
export function shareMemory(module: WasmModule, ramBytes: number, totalBytes: number): SharedMemory {
  const { min, max } = module.memories[0];
  const pages = totalBytes / WASM_PAGE_BYTES;
  module.memories = [];
  module.imports.push({
    module: HOST_MODULE,
    field: MEMORY_FIELD,
    description: { kind: 'memory', limits: { min: pages, max: pages, shared: true } },
  });
  const dataSegments: BootData[] = [];
  module.data = module.data.map((segment) => {
    if (segment.offset === null) return segment;
    const offset = constantI32(segment.offset);
    if (offset === null || offset + segment.bytes.length > min * WASM_PAGE_BYTES) {
      throw new GuestImageError(
        'malformed',
        'a data segment of the image does not lie inside its initial memory',
      );
    }
    dataSegments.push({ offset, bytes: segment.bytes.slice() });
    // an active segment is dropped after instantiation; an empty passive one behaves the same and keeps the indices
    return { offset: null, bytes: new Uint8Array(0) };
  });
  module.hasDataCount = module.data.length > 0;
  return { dataSegments, initialPages: min, maxPages: Math.min(ramBytes / WASM_PAGE_BYTES, max ?? 65536) };
}
