/**
 * Guest-physical memory, handed out in runs of 4 KiB pages. A guest's address is its offset in linear memory.
 *
 *   | static data | pages handed out ... | nextPage -> grows, and memory.grow with it, up to the guest's RAM
 *
 * A freed run goes to the list of its size (pages are rounded up to a power of two) and is handed out again from there.
 */

export const PAGE_BYTES: usize = 4096;
const WASM_PAGE_BYTES: usize = 65536;
const ORDERS: i32 = 20;

/** Heads of the lists of freed runs, by order. */
const freeRuns: usize = memory.data(ORDERS << 2, 8);
let nextPage: usize = 0;

function orderOf(bytes: usize): usize {
  const pages = (bytes + PAGE_BYTES - 1) / PAGE_BYTES;
  return pages <= 1 ? 0 : 32 - <usize>clz<u32>(<u32>(pages - 1));
}

/** A page-aligned run, not cleared when it was used before. 0: the guest's RAM is full. */
export function allocRun(bytes: usize): usize {
  const order = orderOf(bytes);
  const list = freeRuns + (order << 2);
  const freed = load<usize>(list);
  if (freed != 0) {
    store<usize>(list, load<usize>(freed));
    return freed;
  }
  return extend(PAGE_BYTES << order);
}

export function freeRun(run: usize, bytes: usize): void {
  const list = freeRuns + (orderOf(bytes) << 2);
  store<usize>(run, load<usize>(list));
  store<usize>(list, run);
}

/** Page-aligned memory that is never given back, of exactly this size (in pages). Zero. 0: the guest's RAM is full. */
export function extend(bytes: usize): usize {
  if (nextPage == 0) nextPage = (__heap_base + PAGE_BYTES - 1) & ~(PAGE_BYTES - 1);
  const rounded = (bytes + PAGE_BYTES - 1) & ~(PAGE_BYTES - 1);
  const end = <u64>nextPage + <u64>rounded;
  const have = <u64>memory.size() * WASM_PAGE_BYTES;
  if (end > have) {
    const grown = memory.grow(<i32>((end - have + WASM_PAGE_BYTES - 1) / WASM_PAGE_BYTES));
    if (grown < 0) return 0;
  }
  const start = nextPage;
  nextPage = <usize>end;
  return start;
}

/** A zeroed structure of class T (an @unmanaged class: its fields lie in guest memory and nowhere else). */
export function make<T>(): T {
  return changetype<T>(extend(offsetof<T>()));
}
