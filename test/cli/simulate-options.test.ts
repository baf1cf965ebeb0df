import { describe, expect, it } from 'vitest';
import {
  orderOf,
  parseFaults,
  parseSeeds,
  type SimulateOptions,
  seedsFrom,
} from '../../src/cli/simulate-options.js';
import { replayCommand } from '../../src/simulation/campaign/replay.js';

const base: SimulateOptions = {
  plugin: 'plugins/srvm',
  image: 'scripted',
  faults: 'all',
  shrink: false,
  figures: false,
  cores: '4',
  json: false,
};

describe('what srvm simulate was asked', () => {
  it('is one seed, many, or its shrinking', () => {
    expect(orderOf({ ...base, seed: '42' })).toEqual({ kind: 'one', seed: 42 });
    expect(orderOf({ ...base, seed: '42', shrink: true })).toEqual({ kind: 'shrink', seed: 42 });
    expect(orderOf({ ...base, seeds: '1..1000', minutes: '10' })).toEqual({
      kind: 'many',
      first: 1,
      last: 1000,
      timeLimitMs: 600_000,
    });
  });

  it('is a minute of seeds when nothing is said', () => {
    expect(orderOf(base)).toEqual({ kind: 'many', first: 1, last: null, timeLimitMs: 60_000 });
    expect([...seedsFrom(3, 5)]).toEqual([3, 4, 5]);
  });

  it.each([
    ['a seed and seeds', { seed: '1', seeds: '1..2' }, /--seed is one run/],
    ['a trace of many', { seeds: '1..2', trace: 'x' }, /--trace is about one run/],
    ['shrinking many', { shrink: true }, /--shrink is about one run/],
    ['a plan for many', { faultPlan: 'x' }, /--fault-plan is about one run/],
    ['no seed', { seed: 'x' }, /--seed: 'x' is not a whole number/],
    ['a range that is none', { seeds: '7' }, /--seeds: '7' is no range/],
    ['a range backwards', { seeds: '7..3' }, /--seeds/],
    ['no time', { minutes: '0' }, /--minutes/],
  ])('refuses %s', (_, options, message) => {
    expect(() => orderOf({ ...base, ...options })).toThrow(message);
  });

  it('takes fault kinds by name', () => {
    expect(parseFaults('none')).toEqual([]);
    expect(parseFaults('all')).toContain('crash');
    expect(parseFaults('net,cancel')).toEqual(['net', 'cancel']);
    expect(() => parseFaults('net,rain')).toThrow(/no kind 'rain'/);
    expect(parseSeeds('0..7')).toEqual({ first: 0, last: 7 });
  });
});

describe('the command that replays a seed', () => {
  it('says what differs from the defaults, as a shell takes it', () => {
    expect(replayCommand(42, {})).toBe('srvm simulate --seed 42');
    expect(replayCommand(7, { plugin: "my plugin's", mode: 'scan' }, '--fault-plan', 'a.json')).toBe(
      "srvm simulate --seed 7 --plugin 'my plugin'\\''s' --mode scan --fault-plan a.json",
    );
  });
});
