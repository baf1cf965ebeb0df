/**
 * Many seeds over all cores. Seeds are handed out one at a time, reports are streamed and summed, and what is kept of a
 * failure is bounded; a worker that dies or hangs names its seed and is replaced.
 *
 *   seeds --> worker (one per core): simulate(seed) --report--> onSeed, sums, failures
 *                 | silent for too long, or gone                   ^
 *                 +-- ended, seed reported as lost, next worker ---+
 */
import { Coverage } from './coverage.js';
import { SeedWorker } from './seed-worker.js';
import type { SeedlessOptions, SeedReport } from './simulator.js';

export interface CampaignOptions {
  /** Handed out in this order; may be endless when there is a time limit. */
  readonly seeds: Iterable<number>;
  readonly simulation: SeedlessOptions;
  readonly workers: number;
  /** No seed is begun after so much real time. */
  readonly timeLimitMs?: number;
  /** A seed that takes longer than this hangs. */
  readonly hangLimitMs?: number;
  readonly simulator?: string;
  /** Each seed's report as it comes: not in the seeds' order. */
  readonly onSeed?: (report: SeedReport) => void;
  /** Stops the campaign: seeds under way are abandoned. */
  readonly signal?: AbortSignal;
}

export interface CampaignReport {
  readonly seeds: number;
  readonly passed: number;
  readonly failed: number;
  readonly stuck: number;
  readonly lost: number;
  /** Some of those that did not pass, whole, by seed. */
  readonly failures: readonly SeedReport[];
  /** All that did not pass, in order. */
  readonly notPassed: readonly number[];
  readonly coverage: Coverage;
  readonly events: number;
  readonly virtualMs: number;
  readonly wallMs: number;
  readonly endedBy: 'seeds' | 'time' | 'signal';
}

/** Failures that are kept whole; of the others, the seed. */
const MAX_FAILURES = 100;
/** A worker is replaced after so many seeds: what a run leaves to the garbage collector cannot pile up. */
const SEEDS_PER_WORKER = 250;

export async function runCampaign(options: CampaignOptions): Promise<CampaignReport> {
  return await new Campaign(options).run();
}

class Campaign {
  readonly #options: CampaignOptions;
  readonly #seeds: Iterator<number>;
  readonly #coverage = new Coverage();
  readonly #count = { passed: 0, failed: 0, stuck: 0, lost: 0 };
  readonly #failures: SeedReport[] = [];
  readonly #notPassed: number[] = [];
  readonly #startMs = performance.now();
  #events = 0;
  #virtualMs = 0;
  #endedBy: CampaignReport['endedBy'] = 'seeds';

  constructor(options: CampaignOptions) {
    this.#options = options;
    this.#seeds = options.seeds[Symbol.iterator]();
  }

  async run(): Promise<CampaignReport> {
    await Promise.all(Array.from({ length: this.#options.workers }, () => this.#lane()));
    const { passed, failed, stuck, lost } = this.#count;
    return {
      seeds: passed + failed + stuck + lost,
      ...this.#count,
      failures: this.#failures.sort((a, b) => a.seed - b.seed),
      notPassed: this.#notPassed.sort((a, b) => a - b),
      coverage: this.#coverage,
      events: this.#events,
      virtualMs: this.#virtualMs,
      wallMs: performance.now() - this.#startMs,
      endedBy: this.#endedBy,
    };
  }

  /** One core's share: worker after worker until no seed is left. */
  async #lane(): Promise<void> {
    let seed = this.#nextSeed();
    while (seed !== null) {
      const worker = new SeedWorker(this.#options);
      try {
        for (let runs = 0; seed !== null && runs < SEEDS_PER_WORKER && !worker.isGone; runs++) {
          const report = await worker.run({ seed });
          if (report === null) {
            this.#endedBy = 'signal';
            return;
          }
          this.#take(report);
          seed = this.#nextSeed();
        }
      } finally {
        await worker.end();
      }
    }
  }

  #nextSeed(): number | null {
    const { signal, timeLimitMs = Number.POSITIVE_INFINITY } = this.#options;
    if (signal?.aborted) {
      this.#endedBy = 'signal';
      return null;
    }
    if (performance.now() - this.#startMs >= timeLimitMs) {
      this.#endedBy = 'time';
      return null;
    }
    const next = this.#seeds.next();
    return next.done ? null : next.value;
  }

  #take(report: SeedReport): void {
    this.#count[report.outcome]++;
    this.#coverage.add(report);
    this.#events += report.events;
    this.#virtualMs += report.virtualMs;
    if (report.outcome !== 'passed') {
      this.#notPassed.push(report.seed);
      if (this.#failures.length < MAX_FAILURES) this.#failures.push(report);
    }
    this.#options.onSeed?.(report);
  }
}
