import { describe, expect, it } from 'vitest';
import { EventLog } from '../../../src/simulation/clockwork/event-log.js';

function filled(keep: 'none' | 'tail' | 'all', count: number): EventLog {
  const log = new EventLog({ keep });
  for (let i = 0; i < count; i++) log.add(i * 1000, `host/core ${i % 3}`, 'step', i, i * 2 ** 33, -i, 1);
  return log;
}

describe('event log', () => {
  it('has this hash for these events, on every machine', () => {
    expect(filled('none', 1000).hash).toBe(HASH_OF_1000);
  });

  it('has the same hash whatever it keeps', () => {
    const hashes = (['none', 'tail', 'all'] as const).map((keep) => filled(keep, 10_000).hash);
    expect(new Set(hashes).size).toBe(1);
  });

  it('keeps all, the last, or none', () => {
    expect(filled('all', 10_000).all()).toHaveLength(10_000);
    expect(filled('none', 10_000).all()).toHaveLength(0);
    const tail = filled('tail', 10_000);
    expect(tail.tail(2).map(({ timeNs }) => timeNs)).toEqual([9_998_000, 9_999_000]);
    const times = tail.all().map(({ timeNs }) => timeNs);
    expect(times).toHaveLength(4096);
    expect(times).toEqual([...times].sort((one, other) => one - other));
    expect(tail.count).toBe(10_000);
  });

  it('changes its hash with each part of an event, and with their order', () => {
    const hashOf = (...events: Parameters<EventLog['add']>[]): string => {
      const log = new EventLog({ keep: 'none' });
      for (const event of events) log.add(...event);
      return log.hash;
    };
    const hashes = [
      hashOf(),
      hashOf([1, 'a', 'b']),
      hashOf([2, 'a', 'b']),
      hashOf([1 + 2 ** 32, 'a', 'b']),
      hashOf([1, 'c', 'b']),
      hashOf([1, 'a', 'c']),
      hashOf([1, 'b', 'a']),
      hashOf([1, 'a', 'b', 1]),
      hashOf([1, 'a', 'b', 0, 1]),
      hashOf([1, 'a', 'b', 0, 0, 1]),
      hashOf([1, 'a', 'b', 0, 0, 0, 1]),
      hashOf([1, 'a', 'b', -1]),
      hashOf([1, 'a', 'b'], [2, 'a', 'b']),
      hashOf([2, 'a', 'b'], [1, 'a', 'b']),
    ];
    expect(new Set(hashes).size).toBe(hashes.length);
  });
});

const HASH_OF_1000 = '53cf9106cc12c273';
