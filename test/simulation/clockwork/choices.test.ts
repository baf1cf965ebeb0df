import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Choices } from '../../../src/simulation/clockwork/choices.js';

const seeds = fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER });

describe('choices', () => {
  it('are these for seed 42, on every machine', () => {
    const choices = new Choices(42);
    expect([choices.nextU32(), choices.int(1000), choices.between(5, 9)]).toEqual(FIRST_OF_42);
    expect(new Choices(42).fork('network').nextU32()).toBe(NETWORK_OF_42);
  });

  it('lie in their ranges', () => {
    fc.assert(
      fc.property(seeds, fc.integer({ min: 1, max: 2 ** 45 }), (seed, below) => {
        const choices = new Choices(seed);
        for (let i = 0; i < 20; i++) {
          const drawn = choices.int(below);
          expect(Number.isInteger(drawn) && drawn >= 0 && drawn < below).toBe(true);
          const between = choices.between(-below, below);
          expect(Number.isInteger(between) && between >= -below && between <= below).toBe(true);
        }
      }),
    );
  });

  it('of a fork do not depend on what was drawn before', () => {
    fc.assert(
      fc.property(seeds, fc.nat(50), (seed, draws) => {
        const used = new Choices(seed);
        for (let i = 0; i < draws; i++) used.nextU32();
        const [one, two] = [used.fork('x'), new Choices(seed).fork('x')];
        for (let i = 0; i < 10; i++) expect(one.nextU32()).toBe(two.nextU32());
      }),
    );
  });

  it('of forks and of neighbouring seeds differ', () => {
    const first = new Set<number>();
    for (let seed = 0; seed < 500; seed++) {
      first.add(new Choices(seed).nextU32());
      for (const purpose of ['a', 'b', 'network', 'host source']) {
        first.add(new Choices(seed).fork(purpose).nextU32());
      }
    }
    expect(first.size).toBe(2500);
  });

  it('follow their weights and probabilities', () => {
    const choices = new Choices(1);
    const counts = { often: 0, seldom: 0, never: 0 };
    for (let i = 0; i < 10_000; i++) {
      counts[
        choices.weighted([
          ['often', 9],
          ['seldom', 1],
          ['never', 0],
        ] as const)
      ]++;
    }
    expect(counts.never).toBe(0);
    expect(counts.seldom).toBeGreaterThan(850);
    expect(counts.seldom).toBeLessThan(1150);
    let hits = 0;
    for (let i = 0; i < 10_000; i++) if (choices.chance(0.25)) hits++;
    expect(hits).toBeGreaterThan(2300);
    expect(hits).toBeLessThan(2700);
    expect(choices.chance(0)).toBe(false);
    expect(choices.chance(1)).toBe(true);
  });

  it('refuse to pick from nothing', () => {
    expect(() => new Choices(1).pick([])).toThrow(/nothing to pick from/);
    expect(() => new Choices(1).weighted([['x', 0]])).toThrow(/nothing to choose from/);
  });
});

const FIRST_OF_42 = [3648644458, 979, 7];
const NETWORK_OF_42 = 3658041367;
