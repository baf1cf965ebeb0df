import { describe, expect, it } from 'vitest';
import { runCampaign } from '../../../src/simulation/campaign/campaign.js';
import type { SeedReport } from '../../../src/simulation/campaign/simulator.js';
import { STAND_IN } from './stand-in.js';

const base = { simulation: { faults: [] }, workers: 2, simulator: STAND_IN } as const;

function* endless(): Iterable<number> {
  for (;;) yield 10;
}

describe('a campaign', () => {
  it('counts what passed, failed, got stuck', async () => {
    const seen: number[] = [];
    const report = await runCampaign({
      ...base,
      seeds: [0, 1, 2, 3, 4, 11, 12],
      onSeed: ({ seed }) => seen.push(seed),
    });
    expect(report).toMatchObject({ seeds: 7, passed: 5, failed: 1, stuck: 1, lost: 0, endedBy: 'seeds' });
    expect(report).toMatchObject({ events: 70, virtualMs: 14 });
    expect(report.notPassed).toEqual([3, 4]);
    expect(report.failures.map(({ seed, outcome }) => [seed, outcome])).toEqual([
      [3, 'failed'],
      [4, 'stuck'],
    ]);
    expect(seen.sort((a, b) => a - b)).toEqual([0, 1, 2, 3, 4, 11, 12]);
  });

  it('names the seed at which a worker threw, died or hung, and goes on', async () => {
    const report = await runCampaign({ ...base, seeds: [5, 6, 7, 8, 9, 10, 11], hangLimitMs: 10_000 });
    expect(report).toMatchObject({ seeds: 7, passed: 4, lost: 3 });
    const sentences = report.failures.map(({ seed, problems }) => [seed, problems[0]!.sentence]);
    expect(sentences).toEqual([
      [5, expect.stringContaining('the simulator has a fault of its own')],
      [6, expect.stringContaining('exit code 9')],
      [7, expect.stringContaining('hangs')],
    ]);
  });

  it('begins no seed when its time is over', async () => {
    const report = await runCampaign({ ...base, seeds: endless(), timeLimitMs: 200 });
    expect(report.endedBy).toBe('time');
    expect(report.passed).toBe(report.seeds);
  });

  it('abandons what is under way when it is stopped', async () => {
    const stop = new AbortController();
    const seen: SeedReport[] = [];
    const report = await runCampaign({
      ...base,
      seeds: [1, 7, 17, 27],
      signal: stop.signal,
      onSeed: (seed) => {
        seen.push(seed);
        setTimeout(() => stop.abort(), 100);
      },
    });
    expect(seen.map(({ seed }) => seed)).toEqual([1]);
    expect(report).toMatchObject({ seeds: 1, endedBy: 'signal' });
  });

  it('says what was never reached', async () => {
    const { coverage } = await runCampaign({ ...base, seeds: [1, 2] });
    const faults = coverage.rows.find(({ group }) => group === 'fault')!;
    expect(faults.reached).toEqual([{ key: 'link-cut', seeds: 1, times: 3 }]);
    expect(faults.never).toContain('crash-source');
    expect(coverage.never).not.toContain('phase:done');
    expect(coverage.undeclared).toEqual([]);
  });
});
