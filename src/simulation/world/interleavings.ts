/**
 * Who came between two steps of another: what of it a run has seen, told from where DMA lands while pages are harvested and
 * copied.
 *
 *   a page of a round:   harvested (due) ........ copied ........ next harvest
 *   DMA lands in it:                 write-before-copy   write-after-copy
 *                                          '-- copy-torn --' (the same burst on both sides of the copy)
 */
import type { CoverageCounter } from './coverage-counter.js';

/** Chunks of one page that land within so much time are one burst: a frame, a few descriptors. */
const BURST_NS = 3_000;

/** What the migration under way is at when something lands. */
export type CopyStage = 'harvest' | 'round' | 'quiescing' | 'other';

export class Interleavings {
  readonly #coverage: CoverageCounter;
  /** By page: when DMA last landed in it while it was due. */
  readonly #landedWhileDueNs = new Map<number, number>();
  /** Pages of this round; null: those that were seen due. */
  #ofRound: Uint8Array | null = null;

  constructor(coverage: CoverageCounter) {
    this.#coverage = coverage;
  }

  /** A round begins: these pages are due. Null: all of them, from a moment on that is still to come. */
  round(due: Uint8Array | null): void {
    this.#ofRound = due?.slice() ?? null;
    this.#landedWhileDueNs.clear();
  }

  /** @param due what is left of the round, one byte per page */
  landed(page: number, nowNs: number, stage: CopyStage, due: Uint8Array): void {
    if (stage === 'harvest') this.#coverage.reach('interleaving:dma-while-harvested');
    if (stage === 'quiescing') this.#coverage.reach('interleaving:dma-while-quiescing');
    if (stage !== 'round') return;
    if (due[page] !== 0) {
      this.#landedWhileDueNs.set(page, nowNs);
      this.#coverage.reach('interleaving:write-before-copy');
      return;
    }
    const beforeNs = this.#landedWhileDueNs.get(page);
    const isOfRound = this.#ofRound === null ? beforeNs !== undefined : this.#ofRound[page] !== 0;
    if (!isOfRound) return;
    this.#coverage.reach('interleaving:write-after-copy');
    if (beforeNs !== undefined && nowNs - beforeNs <= BURST_NS)
      this.#coverage.reach('interleaving:copy-torn');
    this.#landedWhileDueNs.delete(page);
  }
}
