/** The guest's thread and the engine's thread on the same card at once. */
import { Worker } from 'node:worker_threads';
import { afterEach, describe, expect, it } from 'vitest';
import { realClock } from '../../../src/hardware/clock.js';
import * as at from '../../../src/hardware/nic/offsets.js';
import { createNicHandle } from '../../../src/hardware/nic/reset.js';
import { NicShared } from '../../../src/hardware/nic/shared.js';
import { VfBar } from '../../../src/hardware/nic/vf-bar.js';
import { ConfigSpace } from '../../../src/hardware/pci/config-space.js';
import { COMMAND_MASTER, MSIX_ENABLE, PCI } from '../../../src/hardware/pci/offsets.js';
import { CountingMsi, WORD } from './shared-msi.js';

let worker: Worker | null = null;
let words = new Int32Array(new SharedArrayBuffer(16));

afterEach(async () => {
  Atomics.store(words, WORD.stop, 1);
  if (worker !== null) await new Promise((resolve) => worker!.once('exit', resolve));
});

function startEngine(job: 'raise' | 'settle', total: number) {
  const handle = createNicHandle(1);
  const sab = new SharedArrayBuffer(16);
  words = new Int32Array(sab);
  words[WORD.total] = total;
  const shared = new NicShared(handle);
  const msi = new CountingMsi(words);
  const bar = new VfBar(shared, 0, msi, realClock);
  bar.write32(3, 12, 0);
  const config = new ConfigSpace(shared, 0, msi, realClock);
  config.write32(PCI.COMMAND, COMMAND_MASTER);
  config.write32(PCI.MSIX, MSIX_ENABLE);
  bar.write32(0, at.VF.VTIVAR, 0x80);
  bar.write32(0, at.VF.VTEIAC, 1);
  bar.write32(0, at.VF.VTEIAM, 1);
  bar.write32(0, at.VF.VTEIMS, 1);
  worker = new Worker(new URL('./engine-core.js', import.meta.url), { workerData: { handle, sab, job } });
  return bar;
}

/** An interrupt handler's loop: sleep until an interrupt, look at the work, unmask, sleep again. */
function pollUntilDone(bar: VfBar, total: number): { seen: number; interrupts: number } {
  let handled = 0;
  let seen = 0;
  while (seen < total) {
    if (Atomics.wait(words, WORD.interrupts, handled, 20_000) === 'timed-out') break;
    handled = Atomics.load(words, WORD.interrupts);
    seen = Atomics.load(words, WORD.work);
    bar.write32(0, at.VF.VTEIMS, 1);
  }
  return { seen, interrupts: handled };
}

describe('two threads', () => {
  it.each([0, 0x8000_0028])('lose no interrupt between raising and unmasking (VTEITR 0x%x)', (throttle) => {
    const total = 60_000;
    const bar = startEngine('raise', total);
    bar.write32(0, at.VF.VTEITR, throttle);
    const { seen, interrupts } = pollUntilDone(bar, total);
    expect(seen).toBe(total);
    expect(interrupts).toBeGreaterThan(10);
  });

  it('see ENABLE follow at the first read although the engine was asleep', () => {
    const bar = startEngine('settle', 0);
    Atomics.wait(words, WORD.work, 0, 20_000);
    let late = 0;
    for (let i = 0; i < 200; i++) {
      bar.write32(0, 0x1028, at.DCTL_ENABLE);
      if ((bar.read32(0, 0x1028) & at.DCTL_ENABLE) === 0) late++;
      bar.write32(0, 0x1028, 0);
      if ((bar.read32(0, 0x1028) & at.DCTL_ENABLE) !== 0) late++;
    }
    // a machine under load may deschedule the other thread for longer than the read waits
    expect(late).toBeLessThan(20);
  });
});
