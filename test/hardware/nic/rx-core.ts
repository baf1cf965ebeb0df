/** The engine in a thread of its own, receiving frames of varying length as fast as they are taken. */
import { workerData } from 'node:worker_threads';
import { realClock } from '../../../src/hardware/clock.js';
import type { DomainHandle } from '../../../src/hardware/iommu/handle.js';
import { NicEngine } from '../../../src/hardware/nic/engine.js';
import { type NicHandle, NicShared } from '../../../src/hardware/nic/shared.js';
import type { FrameSink, Wire } from '../../../src/hardware/wire/wire.js';
import { frameOf, macOf, PEER_MAC, variedLength } from './engine-harness.js';

export interface RxCoreData {
  readonly handle: NicHandle;
  readonly domain: DomainHandle;
  readonly frames: number;
  /** Word 0: the other side has seen all. */
  readonly done: SharedArrayBuffer;
}

const { handle, domain, frames, done } = workerData as RxCoreData;
const finished = new Int32Array(done);
let index = 0;
let next: Uint8Array | null = null;

const wire: Wire = {
  receive(sink: FrameSink, budget: number): number {
    let taken = 0;
    while (taken < budget && index < frames) {
      next ??= frameOf(macOf(0), PEER_MAC, variedLength(index), index & 0xff);
      if (!sink(next, 0, next.length)) break;
      next = null;
      index++;
      taken++;
    }
    return taken;
  },
  transmit: () => true,
  flush() {},
  linkUp: true,
  onWake: null,
  stats: { rxFrames: 0, rxBytes: 0, txFrames: 0, txBytes: 0, txDropped: 0, rxDropped: 0 },
  async close() {},
};
const engine = new NicEngine({
  shared: new NicShared(handle),
  wire,
  msi: { deliver: () => undefined },
  clock: realClock,
});
engine.attach(0, domain);
while (Atomics.load(finished, 0) === 0) engine.step();
engine.close();
