/**
 * The vCPU in its worker: boot, stop, builds, move, interrupts, traps.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeAll, describe, expect, it } from 'vitest';
import { SharedDirtyMap } from '../../src/machine/dirty-map.js';
import { VcpuPhaseError } from '../../src/machine/vcpu-control.js';
import { decodeVcpuState } from '../../src/machine/vcpu-state.js';
import { until } from '../hypervisor/lab.js';
import { copyRam, GUEST, startVm, type TestVm, testImage } from './test-guest.js';

// compiled here, once: on a machine with much else to do that takes longer than a test has
beforeAll(async () => void (await testImage()), 240_000);

const vms: TestVm[] = [];

async function vm(commandLine: string | null): Promise<TestVm> {
  const started = await startVm(commandLine);
  vms.push(started);
  return started;
}

afterEach(async () => {
  await Promise.all(vms.splice(0).map((one) => one.end()));
});

const counterOf = (one: TestVm) => Atomics.load(one.words, GUEST.counter / 4) >>> 0;
const release = (one: TestVm) => Atomics.store(one.words, GUEST.release / 4, 1);

describe('a vCPU', () => {
  it('stands still until it is resumed, then runs to its exit code', async () => {
    const one = await vm('x');
    expect(one.control.phase.kind).toBe('paused');
    await sleep(5);
    expect(one.console).toEqual([]);
    one.control.resume();
    expect(await one.over()).toMatchObject({ kind: 'halted', exitCode: 0xffffffff });
    expect(one.console).toEqual(['up']);
  });

  it('is stopped in an endless loop, again and again, and goes on where it was', async () => {
    const one = await vm('s');
    for (let i = 0; i < 20; i++) {
      one.control.resume();
      const before = counterOf(one);
      await until('the guest to count', () => counterOf(one) !== before);
      await one.control.pause();
      const stopped = counterOf(one);
      await sleep(1);
      expect(counterOf(one)).toBe(stopped);
    }
    expect(one.console).toEqual(['up']);
  });

  it('answers a pause that follows a resume at once, and two pauses at a time', async () => {
    const one = await vm('s');
    for (let i = 0; i < 50; i++) {
      one.control.resume();
      await Promise.all([one.control.pause(), one.control.pause()]);
      expect(one.control.phase.kind).toBe('paused');
    }
    expect(() => one.control.captureState()).not.toThrow();
  });

  it('gives the same result when it is switched and moved to other memories on the way', async () => {
    const straight = await vm('h');
    release(straight);
    straight.control.resume();
    const expected = await straight.over();
    expect(expected.kind).toBe('halted');
    let current = await vm('h');
    current.control.resume();
    for (let move = 0; move < 6; move++) {
      await sleep(2);
      await current.control.useBuild(move % 2 === 0 ? 'logging' : 'plain');
      await sleep(2);
      await current.control.pause();
      expect(current.control.phase.kind).toBe('paused');
      const state = structuredClone(current.control.captureState());
      const next = await vm(null);
      copyRam(current, next);
      next.control.restoreState(decodeVcpuState(state, await testImage()));
      next.control.resume();
      current = next;
    }
    release(current);
    const actual = await current.over();
    expect(actual).toMatchObject({ kind: 'halted', exitCode: (expected as { exitCode: number }).exitCode });
    expect(Buffer.compare(current.bytes.slice(0, 0x100000), straight.bytes.slice(0, 0x100000))).toBe(0);
  });

  it('is moved from deep down a recursion', async () => {
    const straight = await vm('n');
    release(straight);
    straight.control.resume();
    const expected = await straight.over();
    expect(expected.kind).toBe('halted');
    const one = await vm('n');
    Atomics.store(one.words, GUEST.counter / 4, 1);
    one.control.resume();
    await until('the deepest call', () => counterOf(one) === 0);
    await one.control.pause();
    const state = one.control.captureState();
    expect(state.frames.length).toBeGreaterThan(30_000);
    const next = await vm(null);
    copyRam(one, next);
    next.control.restoreState(decodeVcpuState(state, await testImage()));
    await next.control.useBuild('logging');
    release(next);
    next.control.resume();
    expect(await next.over()).toMatchObject({
      kind: 'halted',
      exitCode: (expected as { exitCode: number }).exitCode,
    });
  });

  it('grows memory within RAM, and a clock that waits for no one', async () => {
    const grown = await vm('g');
    grown.control.resume();
    const pages = (await testImage()).initialPages;
    expect(await grown.over()).toMatchObject({ kind: 'halted', exitCode: (pages << 16) | (pages + 3) });
    const timed = await vm('c');
    timed.control.resume();
    expect(await timed.over()).toMatchObject({ exitCode: 1 });
  });

  it('wakes for interrupts, loses none, and says them after a move too', async () => {
    const one = await vm('i');
    one.control.resume();
    await until('its first line', () => one.console.length === 1);
    one.control.raiseInterrupt(0);
    await until('its second line', () => one.console.length === 2);
    await one.control.pause(); // out of a wait for ever
    one.control.raiseInterrupt(3);
    const next = await vm(null);
    copyRam(one, next);
    next.control.raiseInterrupt(4); // before the restore: a device that was restored first
    next.control.restoreState(one.control.captureState());
    next.control.resume();
    await until('two lines', () => next.console.length === 2);
    next.control.raiseInterrupt(31);
    expect(await next.over()).toMatchObject({ kind: 'halted', exitCode: 3 });
    expect([...one.console, ...next.console]).toEqual(['up', 'line a', 'line d', 'line e']);
  });

  it('returns early from a wait when kicked', async () => {
    const one = await vm('i');
    one.control.resume();
    await until('its first line', () => one.console.length === 1);
    const before = counterOf(one);
    // a kick wakes a guest that sleeps; one that has not fallen asleep yet does not notice
    await until('the guest to wake', () => {
      one.control.kick();
      return counterOf(one) > before;
    });
  });

  it('says an unfinished line when it ends', async () => {
    const one = await vm('p');
    one.control.resume();
    await until('its first line', () => one.console.length === 1);
    await one.control.stop();
    expect(one.console).toEqual(['up', 'p']);
  });

  it('can be stopped and moved while throttled, and gets its time back', async () => {
    const one = await vm('s');
    one.control.resume();
    one.control.setThrottle(99);
    await sleep(30);
    await one.control.pause();
    one.control.setThrottle(0);
    one.control.resume();
    const before = counterOf(one);
    await until('its full speed', () => counterOf(one) > before + 100_000);
  });
});

describe('a guest that traps', () => {
  it.each([
    ['t', /the guest trapped: .*out of bounds/],
    ['d', /the guest trapped: its call stack overflowed/],
    ['b', /the vCPU failed: register 8 of slot 1 is broken/],
  ])('mode %s ends its VM with a report, and nothing else', async (mode, message) => {
    const one = await vm(mode);
    one.control.resume();
    const phase = await one.over();
    expect(phase.kind).toBe('trapped');
    if (phase.kind !== 'trapped') return;
    expect(phase.report.message).toMatch(message);
    expect(phase.report.stack.length).toBeGreaterThan(0);
    await one.control.pause(); // nothing to wait for
    expect(() => one.control.captureState()).toThrow(VcpuPhaseError);
  });

  it('refuses frames that are not its own, without harm', async () => {
    const one = await vm('s');
    one.control.resume();
    await until('the guest to count', () => counterOf(one) > 0);
    await one.control.pause();
    const state = one.control.captureState();
    for (const frames of [new Uint8Array(16).fill(0xff), new Uint8Array(200), new Uint8Array(4).fill(9)]) {
      const next = await vm(null);
      copyRam(one, next);
      next.control.restoreState({ ...state, frames });
      next.control.resume();
      await Promise.race([next.over(), sleep(20)]);
    }
  });
});

describe('the dirty log', () => {
  it('is written by the logging build only', async () => {
    const one = await vm('w');
    const map = new SharedDirtyMap(
      one.memory.buffer as unknown as SharedArrayBuffer,
      one.layout.dirtyLogOffset,
      one.layout.ramPages,
    );
    const found = new Uint8Array(one.layout.ramPages);
    one.control.resume();
    await until('the guest to write', () => counterOf(one) > 1000);
    expect(map.harvest(found)).toBe(0);
    await one.control.useBuild('logging');
    const before = counterOf(one);
    await until('the guest to write', () => counterOf(one) > before + 10_000);
    expect(map.harvest(found)).toBeGreaterThan(100);
    await one.control.useBuild('plain');
    map.harvest(found);
    await sleep(2);
    expect(map.harvest(found)).toBe(0);
  });

  it('loses no store to a harvest that runs beside the guest', async () => {
    const one = await vm('w');
    const map = new SharedDirtyMap(
      one.memory.buffer as unknown as SharedArrayBuffer,
      one.layout.dirtyLogOffset,
      one.layout.ramPages,
    );
    one.control.resume();
    await one.control.useBuild('logging');
    const copy = one.bytes.slice(0, one.layout.ramBytes);
    const dirty = new Uint8Array(one.layout.ramPages).fill(1);
    const copyDirty = () => {
      for (let page = 0; page < dirty.length; page++) {
        if (dirty[page] === 0) continue;
        dirty[page] = 0;
        copy.set(one.bytes.subarray(page << 12, (page + 1) << 12), page << 12);
      }
    };
    for (let trial = 0; trial < 10; trial++) {
      for (let round = 0; round < 300; round++) {
        map.harvest(dirty);
        copyDirty();
      }
      await one.control.pause();
      map.harvest(dirty);
      copyDirty();
      expect(Buffer.compare(copy, one.bytes.slice(0, one.layout.ramBytes))).toBe(0);
      one.control.resume();
    }
  });
});
