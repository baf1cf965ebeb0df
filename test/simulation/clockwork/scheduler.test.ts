import { describe, expect, it } from 'vitest';
import { Choices } from '../../../src/simulation/clockwork/choices.js';
import { EventLog } from '../../../src/simulation/clockwork/event-log.js';
import { Scheduler } from '../../../src/simulation/clockwork/scheduler.js';

function schedulerOf(seed: number, maxEvents = 100_000): Scheduler {
  return new Scheduler({
    choices: new Choices(seed),
    log: new EventLog({ keep: 'all' }),
    limits: { maxEvents, maxVirtualMs: 1e6 },
  });
}

describe('scheduler', () => {
  it('runs events in the order of their times, and of their making where times are equal', async () => {
    const scheduler = schedulerOf(1);
    const seen: string[] = [];
    scheduler.at(200, 'c', () => seen.push('c'));
    scheduler.at(100, 'a', () => seen.push('a'));
    scheduler.at(100, 'b', () => seen.push('b'));
    const cancel = scheduler.at(150, 'never', () => seen.push('never'));
    cancel();
    expect(await scheduler.run(() => false)).toEqual({ kind: 'idle' });
    expect(seen).toEqual(['a', 'b', 'c']);
    expect(scheduler.nowNs()).toBe(200);
  });

  it('lets promises go on between two events', async () => {
    const scheduler = schedulerOf(2);
    const host = scheduler.host('source');
    const seen: string[] = [];
    scheduler.at(0, 'start', () => {
      void (async () => {
        for (let i = 0; i < 50; i++) await null;
        seen.push('promise');
        await host.yield();
        seen.push('turn');
        await scheduler.external(new Promise((resolve) => setTimeout(resolve, 5)));
        seen.push(`external ${scheduler.nowNs() < 10_000}`);
      })();
    });
    scheduler.at(0, 'next', () => seen.push('next'));
    scheduler.at(9e6, 'late', () => seen.push('late'));
    await scheduler.run(() => false);
    expect(seen).toEqual(['promise', 'next', 'turn', 'external true', 'late']);
  });

  it('steps a core that wakes itself and one that is woken', async () => {
    const scheduler = schedulerOf(3);
    const host = scheduler.host('source');
    let left = 5;
    const asleep = scheduler.core({
      name: 'asleep',
      host,
      kind: 'tracker',
      speed: 1,
      step: () => ({ costNs: 10, againNs: null }),
    });
    const busy = scheduler.core({
      name: 'busy',
      host,
      kind: 'engine',
      speed: 2,
      step: () => {
        asleep.wake();
        return { costNs: 100, againNs: --left > 0 ? 0 : null };
      },
    });
    busy.wake();
    expect(await scheduler.run(() => false)).toEqual({ kind: 'idle' });
    expect(busy.steps).toBe(5);
    expect(busy.busyNs).toBe(250);
    expect(asleep.steps).toBeGreaterThan(0);
  });
});
