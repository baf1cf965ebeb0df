/** The loop of a worker that drives an engine: when it steps, rests, sleeps, wakes and ends. */
import { afterEach, describe, expect, it } from 'vitest';
import { realClock } from '../../src/hardware/clock.js';
import { EngineLoop, type SteppedEngine } from '../../src/hypervisor/engine-loop.js';
import { until } from './lab.js';

// not at the words' start: the loop is told where they are
const RUNG = 2;
const ASLEEP = 3;

/** Has as much work as it is given, and counts what is asked of it. */
class Jobs implements SteppedEngine {
  waiting = 0;
  done = 0;
  steps = 0;
  dueInNs = Infinity;
  limitInNs = Infinity;

  step(): number {
    this.steps++;
    if (this.waiting === 0) return 0;
    this.waiting--;
    this.done++;
    return 1;
  }

  nextDueNs(): number {
    return realClock.nowNs() + this.dueInNs;
  }

  limitEndNs(): number {
    return realClock.nowNs() + this.limitInNs;
  }
}

interface Rig {
  readonly jobs: Jobs;
  readonly loop: EngineLoop;
  readonly words: Int32Array;
  readonly ends: number;
  isAsleep(): boolean;
  /** Work comes, as another thread brings it; returns how many sleepers were woken. */
  ring(): number;
}

describe("an engine's loop", () => {
  let rig: Rig | null = null;
  afterEach(async () => {
    rig?.loop.stop();
    await until('the end', () => rig === null || rig.ends > 0);
    rig = null;
  });

  function makeRig(): Rig {
    const jobs = new Jobs();
    const words = new Int32Array(new SharedArrayBuffer(16));
    let ends = 0;
    const loop = new EngineLoop(jobs, { words, rung: RUNG, asleep: ASLEEP }, async () => {
      ends++;
    });
    return {
      jobs,
      loop,
      words,
      get ends() {
        return ends;
      },
      isAsleep: () => Atomics.load(words, ASLEEP) === 1,
      ring() {
        jobs.waiting++;
        Atomics.add(words, RUNG, 1);
        return Atomics.load(words, ASLEEP) === 0 ? 0 : Atomics.notify(words, RUNG);
      },
    };
  }

  it('does nothing before it is started, then steps while there is work, and counts those steps', async () => {
    rig = makeRig();
    const { jobs, loop } = rig;
    jobs.waiting = 100;
    expect(jobs.steps).toBe(0);
    loop.start();
    await until('the work', () => jobs.waiting === 0);
    expect(loop.busySteps).toBe(100);
    expect(jobs.done).toBe(100);
  });

  it('gives the event loop its turn while there is work without end', async () => {
    rig = makeRig();
    const { jobs, loop } = rig;
    jobs.waiting = Infinity;
    loop.start();
    let turns = 0;
    await until('turns of the event loop', () => {
      turns++;
      return turns > 5 && jobs.done > 1000;
    });
    expect(loop.sleeps).toBe(0);
  });

  it('sleeps without work, and a ring wakes it', async () => {
    rig = makeRig();
    const { jobs, loop, isAsleep } = rig;
    loop.start();
    for (let times = 1; times <= 3; times++) {
      await until('sleep', isAsleep);
      expect(rig.ring()).toBe(1);
      await until('the work', () => jobs.done === times);
    }
    expect(loop.sleeps).toBeGreaterThanOrEqual(3);
  });

  it('is woken by its own thread without a ring, and leaves no waiter behind', async () => {
    rig = makeRig();
    const { jobs, loop, isAsleep } = rig;
    loop.start();
    for (let times = 0; times < 5; times++) {
      await until('sleep', isAsleep);
      const { steps } = jobs;
      loop.wakeUp();
      await until('a look', () => jobs.steps > steps);
    }
    await until('sleep', isAsleep);
    expect(rig.ring()).toBe(1);
  });

  it('finds what came while it was about to sleep, its ring unheard', async () => {
    rig = makeRig();
    const { jobs, loop } = rig;
    const { step } = jobs;
    // it asks when the next work is due before every rest; the sixth rest in a row is a sleep
    const arrivals = [1, 2, 3, 4, 5, 6];
    let rests = 0;
    let sleepsBefore = 0;
    jobs.nextDueNs = () => {
      if (++rests === arrivals[0]) {
        arrivals.shift();
        rests = 0;
        jobs.waiting = 1;
        sleepsBefore = loop.sleeps;
      }
      return Infinity;
    };
    const slept: number[] = [];
    jobs.step = () => {
      const work = step.call(jobs);
      if (work !== 0) slept.push(loop.sleeps - sleepsBefore);
      return work;
    };
    loop.start();
    await until('all of it', () => jobs.done === 6);
    expect(slept).toEqual([0, 0, 0, 0, 0, 0]);
  });

  it('waits in place for a deadline that is near', async () => {
    rig = makeRig();
    const { jobs, loop } = rig;
    jobs.dueInNs = 100_000;
    loop.start();
    await until('many looks', () => jobs.steps > 200);
    expect(loop.sleeps).toBe(0);
  });

  it('waits in place at a speed limit, and finds what came before the wait', async () => {
    rig = makeRig();
    const { jobs, loop, words } = rig;
    jobs.limitInNs = 1000;
    // nothing is ever due: without the limit it would be asleep by the eleventh turn
    const { step } = jobs;
    let waits = 0;
    let unheard = 0;
    jobs.step = () => {
      // the look before the wait: what comes now is found by it, what comes later rings
      if (Atomics.load(words, ASLEEP) === 1 && ++waits % 10 === 0) {
        unheard++;
        jobs.waiting++;
      }
      return step.call(jobs);
    };
    loop.start();
    await until('many waits', () => waits >= 200);
    expect(loop.sleeps).toBe(0);
    expect(jobs.done).toBe(unheard);

    jobs.limitInNs = Infinity;
    await until('sleep', () => loop.sleeps > 0);
  });

  it('does not wait in place for a limit that ends far off', async () => {
    rig = makeRig();
    rig.jobs.limitInNs = 10e6;
    rig.loop.start();
    await until('sleep', () => rig!.loop.sleeps > 0);
  });

  it('ends once, out of its work or out of its sleep, and steps no more', async () => {
    for (const waiting of [Infinity, 0]) {
      rig = makeRig();
      const { jobs, loop, isAsleep } = rig;
      jobs.waiting = waiting;
      loop.start();
      await until('its way', () => (waiting === 0 ? isAsleep() : jobs.done > 100));
      loop.stop();
      await until('the end', () => rig!.ends > 0);
      const { steps } = jobs;
      await new Promise((resolve) => setTimeout(resolve, 20));
      expect(jobs.steps).toBe(steps);
      expect(rig.ends).toBe(1);
    }
  });
});
