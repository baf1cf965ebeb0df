/**
 * Guest memories that are used again from run to run: a shared WebAssembly memory is dear to make, and its address space
 * comes back only with the garbage collector. What is handed out is all zero.
 */
import { PAGE_BYTES } from '../../hardware/units.js';
import { layoutFor } from '../../machine/layout.js';
import { createMemory } from '../../machine/memory.js';
import { createPageHelper, type PageHelper } from '../../migration/page-helper.js';

interface Pooled {
  readonly memory: WebAssembly.Memory;
  readonly helper: PageHelper;
}

export class MemoryPool {
  readonly #free = new Map<number, Pooled[]>();
  readonly #taken = new Map<WebAssembly.Memory, Pooled>();

  take(ramBytes: number): WebAssembly.Memory {
    const layout = layoutFor(ramBytes);
    const pooled = this.#free.get(layout.totalBytes)?.pop() ?? poolable(createMemory(layout));
    this.#taken.set(pooled.memory, pooled);
    return pooled.memory;
  }

  /** Nothing may touch it any more. */
  give(memory: WebAssembly.Memory): void {
    const pooled = this.#taken.get(memory);
    if (pooled === undefined) return;
    this.#taken.delete(memory);
    clear(pooled);
    const bytes = memory.buffer.byteLength;
    const free = this.#free.get(bytes) ?? [];
    free.push(pooled);
    this.#free.set(bytes, free);
  }
}

const poolable = (memory: WebAssembly.Memory): Pooled => ({ memory, helper: createPageHelper(memory) });

/** Looks for what is not zero: most of a guest's RAM was never touched. */
function clear({ memory, helper }: Pooled): void {
  const bytes = new Uint8Array(memory.buffer);
  const end = bytes.length;
  for (let at = 0; (at = helper.zeroUntil(at, end)) < end; at += PAGE_BYTES) {
    bytes.fill(0, at, at + PAGE_BYTES);
  }
}
