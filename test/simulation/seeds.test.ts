/**
 * Whole migrations by the hundred: every promise, all faults, both of SRVM's modes. A seed that fails here is replayed by
 * the command in the message.
 */
import { availableParallelism } from 'node:os';
import { describe, expect, it } from 'vitest';
import { runCampaign } from '../../src/simulation/campaign/campaign.js';
import { replayCommand } from '../../src/simulation/campaign/replay.js';
import type { SeedReport } from '../../src/simulation/campaign/simulator.js';
import { FAULT_KINDS } from '../../src/simulation/world/fault-plan.js';
import { simulate } from '../../src/simulation/world/simulate.js';

const SEEDS_PER_MODE = 150;
const SEEDS_PER_IMAGE = 8;
const SAME_TWICE = 8;
const LIMIT_MS = 600_000;

const seedsFrom = (first: number, count: number): number[] =>
  Array.from({ length: count }, (_, i) => first + i);

describe.each([
  ['scan', 1],
  ['shadow-doorbell', 1 + SEEDS_PER_MODE],
])('seeds under %s', (mode, first) => {
  it(
    `${SEEDS_PER_MODE} from ${first} on keep every promise`,
    async () => {
      const report = await runCampaign({
        seeds: seedsFrom(first, SEEDS_PER_MODE),
        simulation: { mode, faults: FAULT_KINDS },
        workers: availableParallelism(),
      });
      const failures = report.failures.map(
        ({ seed, problems }) => `${replayCommand(seed, { mode })}: ${problems[0]?.sentence}`,
      );
      expect(failures).toEqual([]);
      expect(report.seeds).toBe(SEEDS_PER_MODE);
      // seeds in which nothing happened would keep every promise too
      const reached = (key: string): boolean => !report.coverage.never.includes(key);
      expect(reached('outcome:completed') && reached('outcome:failed')).toBe(true);
    },
    LIMIT_MS,
  );
});

// side by side, a worker each: a worker's first seeds are its slowest
it.concurrent.each(['kv-store', 'udp-echo', 'c-echo'])(
  `${SEEDS_PER_IMAGE} seeds with %s as the guest keep every promise`,
  async (image) => {
    const { failures, seeds } = await runCampaign({
      seeds: seedsFrom(1, SEEDS_PER_IMAGE),
      simulation: { image, faults: FAULT_KINDS },
      workers: 1,
    });
    expect(failures.map(({ seed, problems }) => [replayCommand(seed, { image }), problems])).toEqual([]);
    expect(seeds).toBe(SEEDS_PER_IMAGE);
  },
  LIMIT_MS,
);

describe('a seed', () => {
  it(
    'is the same run event for event, in this thread and in another one',
    async () => {
      const elsewhere = new Map<number, SeedReport>();
      await runCampaign({
        // backwards: what ran before in a thread must not matter
        seeds: seedsFrom(1, SAME_TWICE).reverse(),
        simulation: { faults: FAULT_KINDS },
        workers: 1,
        onSeed: (report) => elsewhere.set(report.seed, report),
      });
      for (const seed of seedsFrom(1, SAME_TWICE)) {
        const { logHash, events } = await simulate({ seed, faults: FAULT_KINDS });
        expect({ seed, logHash, events }).toEqual({
          seed,
          logHash: elsewhere.get(seed)!.logHash,
          events: elsewhere.get(seed)!.events,
        });
      }
    },
    LIMIT_MS,
  );
});
