/** A thread that runs seeds, seen from the campaign: what is sent to it comes back as a report, whatever happens there. */
import { Worker } from 'node:worker_threads';
import type { SeedJob, SeedWorkerData } from './seed-messages.js';
import { lostSeed, type SeedlessOptions, type SeedReport, SIMULATOR } from './simulator.js';

export interface SeedWorkerOptions {
  readonly simulation: SeedlessOptions;
  readonly simulator?: string;
  /** A run that takes longer than this hangs. */
  readonly hangLimitMs?: number;
  /** Abandons the run under way. */
  readonly signal?: AbortSignal;
}

const HANG_LIMIT_MS = 120_000;
/** For one run's objects; guest RAM is not among them. */
const HEAP_LIMIT_MB = 1024;

const CORE = new URL('./seed-core.js', import.meta.url);

export class SeedWorker {
  readonly #worker: Worker;
  readonly #hangLimitMs: number;
  readonly #signal: AbortSignal | undefined;
  /** Starting a thread is no part of a run's time. */
  readonly #isReady: Promise<void>;
  #ended: string | null = null;
  #onEnd: () => void = () => {};

  constructor({ simulator = SIMULATOR, simulation, hangLimitMs = HANG_LIMIT_MS, signal }: SeedWorkerOptions) {
    const workerData: SeedWorkerData = { simulator, simulation };
    this.#hangLimitMs = hangLimitMs;
    this.#signal = signal;
    this.#worker = new Worker(CORE, {
      workerData,
      name: 'srvm seeds',
      resourceLimits: { maxOldGenerationSizeMb: HEAP_LIMIT_MB },
    });
    this.#isReady = new Promise((resolve) => {
      this.#worker.once('message', () => resolve());
      this.#worker.once('exit', () => resolve());
    });
    this.#worker.on('error', (error) => this.#gone(`the worker died: ${error.message}`));
    this.#worker.on('exit', (code) => this.#gone(`the worker ended with exit code ${code}`));
  }

  /** It runs nothing any more. */
  get isGone(): boolean {
    return this.#ended !== null;
  }

  /** One at a time. @returns null when the run was abandoned. */
  async run(job: SeedJob): Promise<SeedReport | null> {
    await this.#isReady;
    const startMs = performance.now();
    return await new Promise((resolve) => {
      const settle = (report: SeedReport | null) => {
        clearTimeout(patience);
        this.#worker.off('message', settle);
        this.#signal?.removeEventListener('abort', stop);
        this.#onEnd = () => {};
        resolve(report);
      };
      const stop = () => settle(null);
      const patience = setTimeout(() => {
        this.#gone(`no answer within ${this.#hangLimitMs / 1000} s: the run hangs, and was ended`);
      }, this.#hangLimitMs);
      this.#onEnd = () => settle(lostSeed(job.seed, this.#ended!, performance.now() - startMs));
      this.#worker.on('message', settle);
      this.#signal?.addEventListener('abort', stop, { once: true });
      if (this.#ended !== null) this.#onEnd();
      else if (this.#signal?.aborted) stop();
      else this.#worker.postMessage(job);
    });
  }

  async end(): Promise<void> {
    await this.#worker.terminate();
  }

  #gone(sentence: string): void {
    if (this.#ended !== null) return;
    this.#ended = sentence;
    this.#onEnd();
  }
}
