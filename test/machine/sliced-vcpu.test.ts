/**
 * A vCPU in slices in the caller's thread: the same guest, orders and events as in a worker.
 */
import { beforeAll, describe, expect, it } from 'vitest';
import type { TimerClock } from '../../src/hardware/clock.js';
import { ComponentVcpu } from '../../src/machine/component-vcpu.js';
import { emptyBus } from '../../src/machine/guest-bus.js';
import { CTRL, layoutFor } from '../../src/machine/layout.js';
import { controlWords, createMemory, writeBootState } from '../../src/machine/memory.js';
import { SlicedVcpu } from '../../src/machine/sliced-vcpu.js';
import { VcpuControl } from '../../src/machine/vcpu-control.js';
import { GUEST, testImage } from './test-guest.js';

/** Time that a test moves. */
class HandClock implements TimerClock {
  #nowNs = 0;
  #due: { atNs: number; call: () => void }[] = [];

  nowNs(): number {
    return this.#nowNs;
  }

  after(delayMs: number, call: () => void): () => void {
    const timer = { atNs: this.#nowNs + delayMs * 1e6, call };
    this.#due.push(timer);
    return () => {
      this.#due = this.#due.filter((each) => each !== timer);
    };
  }

  async yield(): Promise<void> {}

  advance(ms: number): void {
    this.#nowNs += ms * 1e6;
    for (const timer of this.#due.filter((each) => each.atNs <= this.#nowNs)) {
      this.#due = this.#due.filter((each) => each !== timer);
      timer.call();
    }
  }
}

async function startSliced(commandLine: string, pollsPerSlice = Number.POSITIVE_INFINITY) {
  const image = await testImage();
  const layout = layoutFor(image.ramBytes);
  const memory = createMemory(layout);
  const clock = new HandClock();
  const lines: string[] = [];
  const kind = new ComponentVcpu(image, memory, async () => {});
  const control = new VcpuControl(kind, memory, clock, { onConsole: (line) => lines.push(line) });
  writeBootState(memory, image, commandLine, 0);
  let polls = 0;
  const port = { postMessage: (event: Parameters<VcpuControl['receive']>[0]) => control.receive(event) };
  const vcpu = new SlicedVcpu(
    { image, memory, port },
    { bus: emptyBus, clock, poll: () => ++polls % pollsPerSlice === 0 },
  );
  expect(vcpu.slice().kind).toBe('paused');
  await control.prepared;
  return {
    control,
    vcpu,
    clock,
    lines,
    words: new Int32Array(memory.buffer),
    ctrl: controlWords(memory, layout),
  };
}

// compiled here, once: on a machine with much else to do that takes longer than a test has
beforeAll(async () => void (await testImage()), 240_000);

describe('a vCPU in slices', () => {
  it('gives the same result however it is cut, and whichever builds it runs in', async () => {
    const whole = await startSliced('m');
    whole.control.resume();
    expect(whole.vcpu.slice()).toEqual({ kind: 'over' });
    const expected = whole.control.phase;
    expect(expected.kind).toBe('halted');
    const cut = await startSliced('m', 3);
    cut.control.resume();
    let slices = 0;
    const builds = new Set<string>();
    for (; cut.vcpu.slice().kind !== 'over'; slices++) {
      builds.add(cut.control.build);
      if (slices % 7 === 3) void cut.control.useBuild(slices % 2 === 0 ? 'plain' : 'logging');
      // what useBuild awaits
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect(slices).toBeGreaterThan(20);
    expect([...builds]).toEqual(['plain', 'logging']);
    expect(cut.control.phase).toEqual(expected);
    expect(cut.lines).toEqual(['up']);
  });

  it('stands still while it is paused, and says so once for each order', async () => {
    const one = await startSliced('s', 100);
    one.control.resume();
    expect(one.vcpu.slice()).toEqual({ kind: 'running' });
    const paused = one.control.pause();
    expect(one.vcpu.slice().kind).toBe('paused');
    await paused;
    const count = one.words[GUEST.counter / 4];
    expect(one.vcpu.slice().kind).toBe('paused');
    expect(one.words[GUEST.counter / 4]).toBe(count);
    one.control.resume();
    one.vcpu.slice();
    expect(one.words[GUEST.counter / 4]).toBeGreaterThan(count!);
    const stopped = one.control.stop();
    expect(one.vcpu.slice()).toEqual({ kind: 'over' });
    await stopped;
    expect(one.vcpu.slice()).toEqual({ kind: 'over' });
  });

  it('says what it waits for, and loses no interrupt', async () => {
    const one = await startSliced('i');
    one.control.resume();
    const waiting = one.vcpu.slice();
    const sequence = one.ctrl[CTRL.irqSequence]!;
    expect(waiting).toEqual({ kind: 'waiting', sequence, limitMs: Number.POSITIVE_INFINITY });
    one.control.raiseInterrupt(2);
    expect(one.vcpu.slice().kind).toBe('waiting');
    expect(one.lines).toEqual(['up', 'line c']);
    one.control.raiseInterrupt(31);
    expect(one.vcpu.slice()).toEqual({ kind: 'over' });
    expect(one.control.phase).toMatchObject({ kind: 'halted', exitCode: 1 });
  });

  it('gives away the time that a throttle takes, once in each of its periods', async () => {
    const one = await startSliced('s', 1000);
    one.control.resume();
    one.control.setThrottle(80);
    expect(one.vcpu.slice()).toEqual({ kind: 'running' });
    one.clock.advance(51);
    expect(one.vcpu.slice()).toEqual({ kind: 'throttled', sleepMs: 40 });
    expect(one.vcpu.slice()).toEqual({ kind: 'running' });
    one.control.setThrottle(0);
    one.clock.advance(500);
    expect(one.vcpu.slice()).toEqual({ kind: 'running' });
  });

  it('reports a guest that traps', async () => {
    const one = await startSliced('t');
    one.control.resume();
    expect(one.vcpu.slice()).toEqual({ kind: 'over' });
    expect(one.control.phase.kind).toBe('trapped');
  });
});
