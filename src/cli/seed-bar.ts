/** The progress bar of a campaign, on stderr; nothing where stderr is no terminal. */
import { Presets, SingleBar } from 'cli-progress';
import type { SeedReport } from '../simulation/campaign/simulator.js';

export interface SeedBarOptions {
  /** Null: as many as the time allows, and the bar is the time's. */
  readonly seeds: number | null;
  readonly timeLimitMs: number | null;
}

export class SeedBar {
  readonly #bar: SingleBar;
  readonly #timeLimitMs: number | null;
  readonly #startMs = performance.now();
  #seeds = 0;
  #failed = 0;

  constructor({ seeds, timeLimitMs }: SeedBarOptions) {
    this.#timeLimitMs = seeds === null ? timeLimitMs : null;
    const measure = seeds === null ? '{percentage}% of the time' : '{value} of {total} seeds';
    this.#bar = new SingleBar(
      {
        format: `{bar} ${measure}  {ran} run, {failed} did not pass  {eta_formatted} left`,
        stream: process.stderr,
        hideCursor: true,
        clearOnComplete: true,
        barsize: 30,
        etaBuffer: 200,
      },
      Presets.shades_classic,
    );
    this.#bar.start(seeds ?? timeLimitMs ?? 1, 0, { ran: 0, failed: 0 });
  }

  took(report: SeedReport): void {
    this.#seeds++;
    if (report.outcome !== 'passed') this.#failed++;
    const done =
      this.#timeLimitMs === null
        ? this.#seeds
        : Math.min(this.#timeLimitMs, performance.now() - this.#startMs);
    this.#bar.update(Math.round(done), { ran: this.#seeds, failed: this.#failed });
  }

  stop(): void {
    this.#bar.stop();
  }
}
