/** A thread that only raises interrupts, or only settles queue requests, as the engine's thread would. */
import { workerData } from 'node:worker_threads';
import { realClock } from '../../../src/hardware/clock.js';
import { fireModerated, raiseRx } from '../../../src/hardware/nic/interrupts.js';
import { settleQueues } from '../../../src/hardware/nic/queue-state.js';
import { CONTROL, type NicHandle, NicShared, REGION } from '../../../src/hardware/nic/shared.js';
import { CountingMsi, WORD } from './shared-msi.js';

const { handle, sab, job } = workerData as {
  handle: NicHandle;
  sab: SharedArrayBuffer;
  job: 'raise' | 'settle';
};
const shared = new NicShared(handle);
const words = new Int32Array(sab);
const msi = new CountingMsi(words);

if (job === 'raise') {
  const total = Atomics.load(words, WORD.total);
  for (let i = 0; i < total; i++) {
    Atomics.add(words, WORD.work, 1);
    raiseRx(shared, msi, realClock, 0, 0);
    fireModerated(shared, msi, realClock);
    // uneven pauses, so that unmasking meets every point of raising
    for (let spin = (i * 7919) % 997; spin > 0; spin--) Atomics.load(words, WORD.work);
  }
  while (Atomics.load(words, WORD.stop) === 0) fireModerated(shared, msi, realClock);
} else {
  const doorbell = REGION.control + CONTROL.doorbell;
  Atomics.store(shared.words, REGION.control + CONTROL.engineAsleep, 1);
  Atomics.store(shared.words, REGION.control + CONTROL.engineRunning, 2);
  Atomics.store(words, WORD.work, 1);
  Atomics.notify(words, WORD.work);
  while (Atomics.load(words, WORD.stop) === 0) {
    const seen = Atomics.load(shared.words, doorbell);
    settleQueues(shared, null);
    Atomics.wait(shared.words, doorbell, seen, 100);
  }
}
