/**
 * The naive baseline: nothing is tracked before the pause; then the frozen rings are walked, and whatever DMA could have
 * written since the first page was read is sent while the guest stands still.
 *
 *   start    note how far the device has come
 *   quiesce  queues off -> walk: posted slots still name their buffers, completed ones do not (the write-back is where
 *            the address was), and nothing says which buffers they had
 *
 * So as soon as anything was received, nobody knows where: all of guest RAM is marked. Only a device that has not moved
 * since start() is known to have written nothing. A shorter list would rest on the driver's using its buffers again, which
 * not every driver does, and none promises.
 */
import { definePlugin, type Tracker, type TrackerContext, vf82599 } from 'srvm/plugin';

const { QUEUES, REG, RX, rxRegister, TX, txRegister } = vf82599;

/** Registers that say together whether the device has done anything; they survive a reset of the VF, or show it. */
const PROGRESS: readonly number[] = [
  REG.VFGPRC,
  REG.VFGORC_LSB,
  REG.VFGORC_MSB,
  REG.VFGPTC,
  REG.VFGOTC_LSB,
  REG.VFGOTC_MSB,
  ...[...Array(QUEUES).keys()].flatMap((q) => [
    ...[RX.RDH, RX.RDBAL, RX.RDLEN].map((offset) => rxRegister(q, offset)),
    ...[TX.TDH, TX.TDBAL, TX.TDLEN, TX.TDWBAL].map((offset) => txRegister(q, offset)),
  ]),
];

class FreezeWalkTracker implements Tracker {
  readonly device: vf82599.VfDevice;
  contexts: vf82599.TxContexts | undefined;
  readonly #context: TrackerContext;
  #atStart: readonly number[] = [];
  #postedSlots = 0;
  #forgottenSlots = 0;
  #walkNs = 0;

  constructor(context: TrackerContext) {
    this.#context = context;
    this.device = new vf82599.VfDevice(context);
  }

  start(): void {
    this.#atStart = this.#progress();
  }

  async quiesce(): Promise<void> {
    await this.device.quiesce();
    const { clock } = this.#context;
    const fromNs = clock.nowNs();
    this.#walk();
    this.#walkNs = clock.nowNs() - fromNs;
  }

  counters(): Readonly<Record<string, number>> {
    return {
      postedSlots: this.#postedSlots,
      forgottenSlots: this.#forgottenSlots,
      walkNs: this.#walkNs,
    };
  }

  #walk(): void {
    const { dirty } = this.#context;
    for (let q = 0; q < QUEUES; q++) {
      const ring = vf82599.frozenRxRing(this.#context, q);
      if (ring === null) continue;
      const posted = (ring.tail - ring.head + ring.slots) % ring.slots;
      this.#postedSlots += posted;
      this.#forgottenSlots += ring.slots - posted;
    }
    this.contexts = vf82599.txContextsToMove(this.#context);
    vf82599.markRings(this.#context, dirty);
    const now = this.#progress();
    if (now.every((value, i) => value === this.#atStart[i])) return;
    dirty.markAll();
    this.#context.note(
      `${this.#forgottenSlots} slots of the frozen rings no longer name the buffer that was written: all of guest RAM is sent while the guest stands still`,
    );
  }

  #progress(): number[] {
    return PROGRESS.map((register) => this.#context.bar0.read32(register));
  }
}

export default definePlugin({
  name: 'freeze-walk',
  version: '1.0.0',
  apiVersion: 1,
  description: 'no tracking before the pause; all of guest RAM is sent again in it: the naive baseline',
  claims: { marksAtPauseOnly: true },
  createTracker: (context) => new FreezeWalkTracker(context),
  saveDevice: (_context, tracker) => tracker.device.save(tracker.contexts),
  restoreDevice: (context, state) => vf82599.VfDevice.restore(context, state),
  rollbackDevice: (_context, tracker) => tracker.device.resume(),
});
