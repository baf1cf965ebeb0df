/**
 * Which pages of a guest's memory the kernel ever backed with memory. A page of a private anonymous mapping that is neither
 * present nor swapped out reads as zero, and looking it up is far cheaper than reading it: reading would fault it in.
 */
export interface BackedPages {
  /** One byte per page of RAM, 1 for a page that was never touched; null where it cannot be known for sure. */
  unbacked(): Uint8Array | null;
}
