import { Worker } from 'node:worker_threads';
import { describe, expect, it } from 'vitest';
import { createSharedCable, openSharedCable } from '../../../src/hardware/wire/shared-cable.js';
import { drain, frameOf, send, until } from './frames-of.js';

describe('shared cable', () => {
  it('carries frames after the flush, both ways, and survives many laps of its ring', () => {
    const [a, b] = createSharedCable({ ringBytes: 32768 });
    const left = openSharedCable(a);
    const right = openSharedCable(b);
    left.transmit(frameOf(2, 1, 60, 9), 0, 60);
    expect(drain(right)).toEqual([]);
    left.flush();
    expect(drain(right)).toEqual([frameOf(2, 1, 60, 9)]);
    for (let lap = 0; lap < 200; lap++) {
      const frame = frameOf(1, 2, 60 + lap * 7, lap & 0xff);
      expect(send(right, frame)).toBe(true);
      expect(drain(left)).toEqual([frame]);
    }
  });

  it('drops and counts when the reader does not read', () => {
    const [a, b] = createSharedCable({ ringBytes: 32768 });
    const left = openSharedCable(a);
    const right = openSharedCable(b);
    let taken = 0;
    for (let i = 0; i < 64; i++) if (send(left, frameOf(2, 1, 1500))) taken++;
    expect(left.stats.txDropped).toBe(64 - taken);
    expect(drain(right)).toHaveLength(taken);
    expect(send(left, frameOf(2, 1, 1500))).toBe(true);
  });

  it('wakes a sleeping reader, also when frames came before it slept, and when the cable is closed', async () => {
    const [a, b] = createSharedCable();
    const left = openSharedCable(a);
    const right = openSharedCable(b);
    let woken = 0;
    send(left, frameOf(2, 1));
    right.onWake = () => woken++;
    await until(() => woken === 1, 'the wake for a frame that was there before');
    drain(right);
    expect(drain(right)).toEqual([]);
    send(left, frameOf(2, 1));
    await until(() => woken === 2, 'the wake for a new frame');
    drain(right);
    drain(right);
    await left.close();
    await until(() => woken === 3, 'the wake at the end');
    expect(right.linkUp).toBe(false);
  });

  it('echoes through another thread, asleep and busy', async () => {
    const [a, b] = createSharedCable();
    const worker = new Worker(new URL('./shared-cable-echo.js', import.meta.url), { workerData: b });
    const wire = openSharedCable(a);
    const got: Uint8Array[] = [];
    try {
      for (let burst = 0; burst < 5; burst++) {
        for (let i = 0; i < 100; i++) wire.transmit(frameOf(1, 2, 60 + i, burst), 0, 60 + i);
        wire.flush();
        await until(() => {
          got.push(...drain(wire));
          return got.length === (burst + 1) * 100;
        }, `burst ${burst} to come back`);
      }
      expect(got[499]).toEqual(frameOf(1, 2, 159, 4));
    } finally {
      await worker.terminate();
    }
  });
});
