import { describe, expect, it } from 'vitest';
import { decide, type RoundFacts } from '../../src/migration/convergence.js';
import { ParameterError } from '../../src/migration/errors.js';
import { DEFAULT_PARAMETERS, withParameters } from '../../src/migration/parameters.js';
import { MigrationStats } from '../../src/migration/stats.js';

const facts: RoundFacts = {
  round: 2,
  remainingPages: 10_000,
  previousRemainingPages: 12_000,
  bytesPerMs: 1_000_000,
  roundBytes: 40_000_000,
  polishRounds: 0,
  throttlePercent: 0,
};
const limits = (changes: Record<string, unknown>) => withParameters(DEFAULT_PARAMETERS, changes);

describe('stop or copy another round', () => {
  it('stops when what is left fits the downtime limit at the measured rate', () => {
    // 40.96 MB at 1 MB/ms
    expect(decide(facts, limits({ 'downtime-limit': 41 }))).toMatchObject({
      action: 'stop',
      why: 'below-limit',
    });
    expect(decide(facts, limits({ 'downtime-limit': 40 }))).toMatchObject({
      action: 'again',
      why: 'above-limit',
    });
    expect(decide(facts, limits({ 'downtime-limit': 40 })).expectedDowntimeMs).toBeCloseTo(40.96);
  });

  it('goes on below the limit while each round halves what is left, a few times', () => {
    const shrinking = { ...facts, previousRemainingPages: 20_000 };
    const parameters = limits({ 'downtime-limit': 100, 'x-srvm-polish-rounds': 2 });
    expect(decide(shrinking, parameters)).toMatchObject({ action: 'again', why: 'polishing' });
    expect(decide({ ...shrinking, polishRounds: 2 }, parameters)).toMatchObject({ action: 'stop' });
    expect(decide(facts, parameters)).toMatchObject({ action: 'stop' });
  });

  it('stops at once when next to nothing is left', () => {
    expect(decide({ ...facts, remainingPages: 3 }, limits({ 'downtime-limit': 0 }))).toMatchObject({
      why: 'nothing-left',
    });
  });

  it('stops after the maximum of rounds whatever is left', () => {
    const parameters = limits({ 'downtime-limit': 1, 'x-srvm-max-rounds': 5 });
    expect(decide({ ...facts, round: 4 }, parameters).action).toBe('again');
    expect(decide({ ...facts, round: 5 }, parameters)).toMatchObject({
      action: 'stop',
      why: 'maximum-rounds',
    });
  });

  it('throttles as a last resort, only when asked, from the second round on', () => {
    const off = limits({ 'downtime-limit': 1 });
    const on = limits({ 'downtime-limit': 1, 'x-srvm-auto-converge': true, 'max-cpu-throttle': 45 });
    expect(decide(facts, off).throttlePercent).toBe(0);
    expect(decide({ ...facts, round: 1 }, on).throttlePercent).toBe(0);
    expect(decide(facts, on).throttlePercent).toBe(20);
    expect(decide({ ...facts, throttlePercent: 20 }, on).throttlePercent).toBe(30);
    expect(decide({ ...facts, throttlePercent: 40 }, on).throttlePercent).toBe(45);
    // a guest that dirties little of what the link moves is left alone
    expect(decide({ ...facts, roundBytes: 200_000_000 }, on).throttlePercent).toBe(0);
  });
});

describe('parameters', () => {
  it('are changed one by one, and checked', () => {
    expect(limits({ 'max-bandwidth': 5 })['max-bandwidth']).toBe(5);
    expect(DEFAULT_PARAMETERS['max-bandwidth']).toBe(0);
    expect(() => limits({ bandwidth: 5 })).toThrow(/no migration parameter "bandwidth".*max-bandwidth/);
    for (const value of [-1, 1.5, '5', null, Number.NaN, 2 ** 60]) {
      expect(() => limits({ 'max-bandwidth': value }), String(value)).toThrow(ParameterError);
    }
    expect(() => limits({ 'max-cpu-throttle': 100 })).toThrow(/1\.\.99/);
    expect(() => limits({ 'x-srvm-verify': 1 })).toThrow(/true or false/);
    expect(() => limits({ toString: 1 })).toThrow(ParameterError);
  });
});

describe('query-migrate', () => {
  it("has QEMU's fields and units", () => {
    const stats = new MigrationStats(4096 * 100);
    stats.startedAtNs = 1e9;
    stats.remainingPages = 9;
    stats.sentPagesAtHarvest = 91;
    stats.bytesPerSecond = 1e6;
    stats.syncCount = 3;
    expect(stats.info('none', 0, { bytes: 0, dataPages: 0, zeroPages: 0 })).toEqual({ status: 'none' });
    const info = stats.info('active', 1.25e9, { bytes: 12345, dataPages: 3, zeroPages: 90 });
    expect(info).toMatchObject({
      status: 'active',
      'total-time': 250,
      'expected-downtime': 0,
      ram: {
        transferred: 12345,
        remaining: 7 * 4096,
        total: 409600,
        duplicate: 90,
        normal: 3,
        'normal-bytes': 12288,
        mbps: 8,
        'dirty-sync-count': 3,
        'page-size': 4096,
      },
    });
    expect(info.downtime).toBeUndefined();
  });
});
