/** page-dirtier: its rate, its verification, and that it goes on answering. */
import { describe, expect, it } from 'vitest';
import { askCounters, pattern, withGuest } from './station.js';

const WRITTEN = 6;
const ERRORS = 7;
const WORKING_SET = 9;
const VERIFIED = 10;
const PAGE_BYTES = 4096;

describe('page-dirtier', () => {
  it.each(['random', 'sequential'])('writes at its rate and verifies what it wrote, %s', (order) => {
    const options = { commandLine: `ip=10.0.0.2 rate=20000 ws=4M order=${order}` };
    withGuest('page-dirtier', options, function* (station) {
      const { machine, host } = station;
      const counters: number[] = [];
      yield* askCounters(station, counters);
      const before = counters[WRITTEN]!;
      yield* machine.sleepMs(500);
      host.sendUdp(7, pattern(100, 1), 20_001);
      yield* machine.until(() => {
        host.receive();
        return host.lastTo(20_001) !== undefined;
      }, 'an echo');
      yield* askCounters(station, counters);
      expect(counters[WRITTEN]! - before).toBeGreaterThan(9500);
      expect(counters[WRITTEN]! - before).toBeLessThan(10_500);
      expect(counters[WORKING_SET]).toBe(1024);
      expect(counters[VERIFIED]).toBeGreaterThan(8000);
      expect(counters[ERRORS]).toBe(0);
    });
  });

  it('finds a page that went back to an older content', () => {
    const options = { commandLine: 'ip=10.0.0.2 rate=20000 ws=1M order=sequential' };
    withGuest('page-dirtier', options, function* (station) {
      const { machine } = station;
      yield* machine.sleepMs(50);
      const counters: number[] = [];
      const old = machine.memory.slice();
      yield* machine.sleepMs(20);
      // one page of the working set, as a migration that missed its last write would leave it
      const changed: number[] = [];
      for (let at = 0; at < old.length; at += PAGE_BYTES) {
        const page = Buffer.from(machine.memory.buffer, at, PAGE_BYTES);
        const before = Buffer.from(old.buffer, at, PAGE_BYTES);
        if (page.readBigUInt64LE(4088) !== before.readBigUInt64LE(4088)) changed.push(at);
      }
      const victim = changed[changed.length >> 1]!;
      machine.memory.set(old.subarray(victim, victim + PAGE_BYTES), victim);
      yield* machine.sleepMs(50);
      yield* askCounters(station, counters);
      expect(counters[ERRORS]).toBe(1);
    });
  });
});
