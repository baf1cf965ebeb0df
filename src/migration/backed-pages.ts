/**
 * Which pages of a guest's memory the kernel ever backed with memory. A page of a private anonymous mapping that is neither
 * present nor swapped out reads as zero, and looking it up is far cheaper than reading it, which would fault it in.
 *
 * Nothing tells where a WebAssembly memory lies, so it is found: a random stamp is written to the last bytes of the
 * layout, which it leaves unused, and looked for there in each mapping of the right size and kind. No stamp, no answer: the
 * caller then reads every page, which is always right.
 */
import { closeSync, openSync, readFileSync, readSync } from 'node:fs';
import { PAGE_BYTES } from '../hardware/units.js';
import { layoutFor } from '../machine/layout.js';

export interface BackedPages {
  /** One byte per page of RAM, 1 for a page that was never touched; null where it cannot be known for sure. */
  unbacked(): Uint8Array | null;
}

const STAMP_BYTES = 16;
const PAGEMAP_ENTRY_BYTES = 8;
/** In the highest byte of an entry: present, or swapped out. */
const BACKED_BITS = 0xc0;
/** Most memory of most guests is not backed for long stretches: their entries are compared, not looked at one by one. */
const PAGES_AT_ONCE = 512;
const NOTHING = Buffer.alloc(PAGES_AT_ONCE * PAGEMAP_ENTRY_BYTES);

/** Null on systems and for memories where it cannot be known. */
export function findBackedPages(memory: WebAssembly.Memory, ramBytes: number): BackedPages | null {
  const bytes = new Uint8Array(memory.buffer);
  const { dirtyLogOffset, dirtyLogBytes, totalBytes } = layoutFor(ramBytes);
  const stampAt = totalBytes - STAMP_BYTES;
  // a memory may go on behind the layout: a riscv64 hart's does
  if (bytes.length < totalBytes || dirtyLogOffset + dirtyLogBytes > stampAt) return null;
  const start = findMapping(bytes, stampAt);
  if (start === null) return null;
  return { unbacked: () => readUnbacked(start, ramBytes / PAGE_BYTES) };
}

function findMapping(bytes: Uint8Array, stampAt: number): number | null {
  const stamp = randomStamp();
  let own: number | null = null;
  try {
    bytes.set(stamp, stampAt);
    own = openSync('/proc/self/mem', 'r');
    const seen = Buffer.alloc(STAMP_BYTES);
    for (const start of anonymousMappings(bytes.length)) {
      if (readSync(own, seen, 0, STAMP_BYTES, start + stampAt) === STAMP_BYTES && seen.equals(stamp))
        return start;
    }
    return null;
  } catch {
    return null; // no /proc, or no right to look: the caller reads every page
  } finally {
    if (own !== null) closeSync(own);
    bytes.fill(0, stampAt, stampAt + STAMP_BYTES);
  }
}

/** No secret: by chance only does other memory hold it, at this place in a mapping of this size. */
function randomStamp(): Buffer {
  const stamp = Buffer.alloc(STAMP_BYTES);
  for (let at = 0; at < STAMP_BYTES; at += 4) stamp.writeUInt32LE(Math.floor(Math.random() * 2 ** 32), at);
  return stamp;
}

/** Starts of private, anonymous, writable mappings of at least this length. */
function anonymousMappings(leastBytes: number): number[] {
  const starts: number[] = [];
  for (const line of readFileSync('/proc/self/maps', 'latin1').split('\n')) {
    const match = /^([0-9a-f]+)-([0-9a-f]+) rw-p 00000000 00:00 0\s*$/.exec(line);
    if (!match) continue;
    const start = Number.parseInt(match[1]!, 16);
    if (Number.parseInt(match[2]!, 16) - start >= leastBytes) starts.push(start);
  }
  return starts;
}

function readUnbacked(start: number, pages: number): Uint8Array | null {
  const entries = Buffer.allocUnsafe(pages * PAGEMAP_ENTRY_BYTES);
  let pagemap: number | null = null;
  try {
    pagemap = openSync('/proc/self/pagemap', 'r');
    const from = (start / PAGE_BYTES) * PAGEMAP_ENTRY_BYTES;
    for (let at = 0; at < entries.length; ) {
      const got = readSync(pagemap, entries, at, entries.length - at, from + at);
      if (got === 0) return null;
      at += got;
    }
  } catch {
    return null;
  } finally {
    if (pagemap !== null) closeSync(pagemap);
  }
  const unbacked = new Uint8Array(pages);
  for (let first = 0; first < pages; first += PAGES_AT_ONCE) {
    const end = Math.min(first + PAGES_AT_ONCE, pages);
    const some = entries.subarray(first * PAGEMAP_ENTRY_BYTES, end * PAGEMAP_ENTRY_BYTES);
    if (some.equals(NOTHING.subarray(0, some.length))) unbacked.fill(1, first, end);
    else markUnbacked(some, unbacked.subarray(first, end));
  }
  return unbacked;
}

function markUnbacked(entries: Buffer, unbacked: Uint8Array): void {
  for (
    let page = 0, at = PAGEMAP_ENTRY_BYTES - 1;
    page < unbacked.length;
    page++, at += PAGEMAP_ENTRY_BYTES
  ) {
    if ((entries[at]! & BACKED_BITS) === 0) unbacked[page] = 1;
  }
}
