import { Worker } from 'node:worker_threads';
import { describe, expect, it } from 'vitest';
import { Card, frameOf, macOf, PEER_MAC, Pool, RxRing, variedLength } from './engine-harness.js';
import type { RxCoreData } from './rx-core.js';

const FRAMES = 4000;

/** Waits for a slot as a driver does: by the length (as the stock one) or by the done bit. */
function poll(ring: RxRing, slot: number, by: 'length' | 'done'): void {
  const deadline = Date.now() + 20_000;
  for (let turn = 0; ; turn++) {
    if (by === 'length' ? (ring.word(slot, 3) & 0xffff) !== 0 : (ring.word(slot, 2) & 1) !== 0) return;
    if ((turn & 0xffff) === 0 && Date.now() > deadline) throw new Error(`slot ${slot} was never completed`);
  }
}

describe('a driver in another thread', () => {
  it.each(['length', 'done'] as const)(
    'that polls the %s finds whole descriptors and whole frames',
    async (by) => {
      const card = new Card();
      const pool = new Pool(card, 0);
      const ring = new RxRing(pool, { count: 64 });
      card.engine.close();
      ring.post(63);
      const done = new SharedArrayBuffer(4);
      const data: RxCoreData = { handle: card.shared.handle, domain: pool.handle, frames: FRAMES, done };
      const worker = new Worker(new URL('./rx-core.js', import.meta.url), { workerData: data });
      await new Promise((resolve) => worker.once('online', resolve));
      let wrong = 0;
      for (let index = 0; index < FRAMES; index++) {
        const slot = index % 64;
        poll(ring, slot, by);
        const frame = frameOf(macOf(0), PEER_MAC, variedLength(index), index & 0xff);
        const whole = (ring.word(slot, 2) & 3) === 3 && (ring.word(slot, 3) & 0xffff) === frame.length;
        if (!whole || Buffer.compare(ring.payload(slot), frame) !== 0) wrong++;
        ring.post(1);
      }
      Atomics.store(new Int32Array(done), 0, 1);
      await new Promise((resolve) => worker.once('exit', resolve));
      expect(wrong).toBe(0);
    },
  );
});
