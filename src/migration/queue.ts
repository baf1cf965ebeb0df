/**
 * The migrations of one host: so many at a time, the others wait in the order they came. Waiting costs nothing: a migration
 * takes its cores and its link when it begins.
 */
import PQueue from 'p-queue';
import type { MigrationReport } from './report.js';
import type { SourceMigration } from './source.js';

/** What one host's link and cores carry without the migrations slowing each other down more than they gain. */
export const DEFAULT_CONCURRENT_MIGRATIONS = 2;

export class MigrationQueue {
  readonly #queue: PQueue;

  /** @param concurrent how many may be under way at once, 1 or more */
  constructor(concurrent: number = DEFAULT_CONCURRENT_MIGRATIONS) {
    this.#queue = new PQueue({ concurrency: concurrent });
  }

  get waiting(): number {
    return this.#queue.size;
  }

  get running(): number {
    return this.#queue.pending;
  }

  /**
   * Resolves with the report once the migration had its turn and is over. One that was cancelled while it waited ends
   * without having begun.
   */
  async add(migration: SourceMigration): Promise<MigrationReport> {
    return this.#queue.add(() => migration.run());
  }

  /** Resolves when nothing runs and nothing waits. */
  idle(): Promise<void> {
    return this.#queue.onIdle();
  }
}
