import { describe, expect, it } from 'vitest';
import { Choices } from '../../../src/simulation/clockwork/choices.js';
import { RunIsOver } from '../../../src/simulation/clockwork/errors.js';
import { EventLog } from '../../../src/simulation/clockwork/event-log.js';
import type { HostTime } from '../../../src/simulation/clockwork/host-time.js';
import { Scheduler } from '../../../src/simulation/clockwork/scheduler.js';
import type { CoreSpec, VirtualCore } from '../../../src/simulation/clockwork/virtual-core.js';

function schedulerOf(seed: number, limits = { maxEvents: 10_000, maxVirtualMs: 1000 }): Scheduler {
  return new Scheduler({ choices: new Choices(seed), log: new EventLog({ keep: 'all' }), limits });
}

function coreOn(host: HostTime, scheduler: Scheduler, spec: Partial<CoreSpec>): VirtualCore {
  return scheduler.core({
    name: 'core',
    host,
    kind: 'other',
    speed: 1,
    step: () => ({ costNs: 100, againNs: null }),
    ...spec,
  });
}

const never = (): boolean => false;

describe('the end of a run', () => {
  it('comes with done, and at the limits', async () => {
    const forever = (scheduler: Scheduler): void => {
      scheduler.at(1e6, 'again', () => forever(scheduler));
    };
    const scheduler = schedulerOf(1);
    forever(scheduler);
    expect(await scheduler.run(() => scheduler.nowNs() >= 5e6)).toEqual({ kind: 'done' });
    expect(await scheduler.run(never)).toEqual({ kind: 'limit', which: 'maxVirtualMs' });
    const few = schedulerOf(1, { maxEvents: 50, maxVirtualMs: 1e9 });
    forever(few);
    expect(await few.run(never)).toEqual({ kind: 'limit', which: 'maxEvents' });
    expect(few.happened).toBe(50);
  });

  it('comes with the error of an event, a core or a check', async () => {
    const scheduler = schedulerOf(2);
    scheduler.at(5, 'bad', () => {
      throw new Error('event');
    });
    await expect(scheduler.run(never)).rejects.toThrow('event');
    const other = schedulerOf(2);
    const step = (): never => {
      throw new Error('core');
    };
    coreOn(other.host('source'), other, { step }).wake();
    await expect(other.run(never)).rejects.toThrow('core');
    const third = schedulerOf(2);
    third.at(5, 'harmless', () => {});
    third.afterEach(() => {
      if (third.nowNs() > 0) throw new Error('check');
    });
    await expect(third.run(never)).rejects.toThrow('check');
  });

  it('does not come with a core whose owner hears of its throw', async () => {
    const scheduler = schedulerOf(3);
    const heard: unknown[] = [];
    const step = (): never => {
      throw new Error('plugin');
    };
    const core = coreOn(scheduler.host('source'), scheduler, { step, onThrow: (error) => heard.push(error) });
    core.wake();
    scheduler.at(1e6, 'later', () => core.wake());
    expect(await scheduler.run(never)).toEqual({ kind: 'idle' });
    expect(heard).toMatchObject([{ message: 'plugin' }]);
    expect(core).toMatchObject({ isDead: true, steps: 1 });
  });

  it('unwinds a core that waits for what cannot come', async () => {
    const scheduler = schedulerOf(4, { maxEvents: 100, maxVirtualMs: 1e6 });
    let thrown: unknown;
    const core = coreOn(scheduler.host('source'), scheduler, {
      step: () => {
        try {
          for (;;) scheduler.pumpUntil(core, never, 1000);
        } catch (error) {
          thrown = error;
          throw error;
        }
      },
    });
    core.wake();
    expect(await scheduler.run(never)).toEqual({ kind: 'limit', which: 'maxEvents' });
    expect(thrown).toBeInstanceOf(RunIsOver);
  });
});

describe('what main threads wait for', () => {
  it('external work takes no virtual time and is handed over in the order it was announced', async () => {
    const scheduler = schedulerOf(5);
    const seen: string[] = [];
    const work = async (name: string, realMs: number): Promise<void> => {
      await scheduler.external(new Promise((resolve) => setTimeout(resolve, realMs)));
      seen.push(`${name} at ${scheduler.nowNs()}`);
    };
    scheduler.at(10, 'start', () => void Promise.all([work('slow', 20), work('fast', 1)]));
    scheduler.at(20, 'end', () => seen.push('end'));
    await scheduler.run(never);
    expect(seen).toEqual(['slow at 10', 'fast at 10', 'end']);
  });

  it('a word that changes', async () => {
    const scheduler = schedulerOf(6);
    const words = new Int32Array(new SharedArrayBuffer(8));
    const [host, crashed] = [scheduler.host('source'), scheduler.host('destination')];
    const seen: number[] = [];
    scheduler.at(0, 'start', () => {
      void scheduler.whenChanged(words, 1, 0, host).then(() => seen.push(scheduler.nowNs()));
      void scheduler.whenChanged(words, 1, 0, crashed).then(() => seen.push(-1));
    });
    scheduler.at(100, 'crash', () => crashed.crash());
    scheduler.atHardware(5000, 'store', () => Atomics.store(words, 1, 7));
    await scheduler.run(never);
    expect(seen).toHaveLength(1);
    expect(seen[0]).toBeGreaterThan(5000);
  });

  it('messages in the order posted; timers that are never early; nothing after a crash', async () => {
    const scheduler = schedulerOf(7);
    const host = scheduler.host('source');
    const order: number[] = [];
    for (let i = 0; i < 100; i++) host.post('message', () => order.push(i));
    let firedNs = 0;
    host.after(3, () => {
      firedNs = scheduler.nowNs();
    });
    host.after(4, () => host.crash());
    host.after(5, () => order.push(-1));
    const cancel = host.after(2, () => order.push(-2));
    cancel();
    expect(await scheduler.run(never)).toEqual({ kind: 'idle' });
    expect(order).toEqual(Array.from({ length: 100 }, (_, i) => i));
    expect(firedNs).toBeGreaterThanOrEqual(3e6);
    expect(scheduler.nowNs()).toBeLessThan(5e6);
  });

  it('tells of a crash, also whoever asks later', () => {
    const host = schedulerOf(10).host('source');
    const told: string[] = [];
    host.onCrash(() => told.push('before'));
    host.crash();
    host.crash();
    host.onCrash(() => told.push('after'));
    expect(told).toEqual(['before', 'after']);
  });

  it('a clock that goes on while it is read', async () => {
    const scheduler = schedulerOf(8);
    const host = scheduler.host('source');
    let reads = 0;
    coreOn(host, scheduler, {
      step: () => {
        const endNs = host.nowNs() + 10_000;
        while (host.nowNs() < endNs) reads++;
        return { costNs: 1, againNs: null };
      },
    }).wake();
    await scheduler.run(never);
    expect(reads).toBeGreaterThan(10);
  });
});

describe('nesting', () => {
  it('lets others in at a point, but not those that say no', async () => {
    const under = new Map<string, Set<string>>();
    for (let seed = 0; seed < 40; seed++) {
      const scheduler = schedulerOf(seed, { maxEvents: 2000, maxVirtualMs: 1e6 });
      const host = scheduler.host('source');
      const stack: string[] = [];
      for (const name of ['vcpu', 'engine', 'tracker']) {
        const step = (): { costNs: number; againNs: number } => {
          if (stack.length > 0) under.set(name, (under.get(name) ?? new Set()).add(stack.at(-1)!));
          stack.push(name);
          for (let i = 0; i < 10; i++) scheduler.point();
          stack.pop();
          return { costNs: 300, againNs: 0 };
        };
        const mayNest = (core: VirtualCore): boolean => name !== 'vcpu' || core.name !== 'tracker';
        coreOn(host, scheduler, { name, step, mayNest }).wake();
      }
      await scheduler.run(never);
    }
    expect(under.get('engine')).toEqual(new Set(['vcpu', 'tracker']));
    expect(under.get('tracker')).toEqual(new Set(['vcpu', 'engine']));
    expect(under.get('vcpu')).toEqual(new Set(['engine']));
  });

  it('shares few physical cores fairly', async () => {
    const scheduler = schedulerOf(9, { maxEvents: 100_000, maxVirtualMs: 60 });
    const host = scheduler.host('source', { physicalCores: 2 });
    const cores = ['a', 'b', 'c', 'd'].map((name) =>
      coreOn(host, scheduler, { name, step: () => ({ costNs: 10_000, againNs: 0 }) }),
    );
    for (const core of cores) core.wake();
    await scheduler.run(never);
    const busyMs = cores.map((core) => core.busyNs / 1e6);
    expect(busyMs.reduce((sum, ms) => sum + ms)).toBeLessThanOrEqual(120.1);
    expect(busyMs.reduce((sum, ms) => sum + ms)).toBeGreaterThan(110);
    for (const ms of busyMs) expect(ms).toBeGreaterThan(20);
  });
});
