import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { randomRun } from './random-run.js';

const seeds = fc.integer({ min: 0, max: 2 ** 40 });

describe('any run', () => {
  it('loses no wake-up, enters no core twice and keeps the limits of waits', async () => {
    await fc.assert(
      fc.asyncProperty(seeds, fc.constantFrom(undefined, 1, 2), async (seed, physicalCores) => {
        const run = await randomRun(seed, physicalCores === undefined ? {} : { physicalCores });
        expect(run.end).toEqual({ kind: 'idle' });
        expect(run.problems).toEqual([]);
        expect(run.workers.every(({ reentered }) => !reentered)).toBe(true);
        expect(run.workers.map(({ box }) => box)).toEqual(run.workers.map(() => 0));
        expect(run.workers.reduce((sum, { done }) => sum + done, 0)).toBe(run.given);
      }),
      { numRuns: 60 },
    );
  });

  it('never goes back in time', async () => {
    await fc.assert(
      fc.asyncProperty(seeds, async (seed) => {
        const { log } = await randomRun(seed);
        const times = log.all().map(({ timeNs }) => timeNs);
        expect(times).toEqual([...times].sort((one, other) => one - other));
      }),
      { numRuns: 20 },
    );
  });

  it('is the same for the same seed, and another for another', async () => {
    const hashes = new Set<string>();
    for (let seed = 0; seed < 30; seed++) {
      const one = await randomRun(seed);
      const two = await randomRun(seed);
      expect(two.log.hash).toBe(one.log.hash);
      expect(two.log.all()).toEqual(one.log.all());
      hashes.add(one.log.hash);
    }
    expect(hashes.size).toBe(30);
  });

  it('shows nothing of a host that crashed', async () => {
    await fc.assert(
      fc.asyncProperty(seeds, async (seed) => {
        const { log } = await randomRun(seed, { crash: true });
        const events = log.all();
        const crash = events.findIndex(({ what }) => what === 'crash');
        expect(crash).toBeGreaterThan(0);
        expect(events.slice(crash + 1).filter(({ actor }) => actor.startsWith('source/'))).toEqual([]);
      }),
      { numRuns: 30 },
    );
  });
});
