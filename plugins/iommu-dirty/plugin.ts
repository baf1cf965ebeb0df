/**
 * The hardware's way of today: the IOMMU sets a dirty bit in its page tables for every page that DMA writes; the bits are read
 * and cleared before each round. Exact, no core, no work per packet, and of no use where the IOMMU has none.
 *
 *   start    bits on, what they say of before is thrown away
 *   round    bits -> marks, cleared
 *   quiesce  queues off -> bits -> marks -> bits off
 */
import {
  definePlugin,
  discardedMarks,
  type IommuDirtyBits,
  type Tracker,
  type TrackerContext,
  vf82599,
} from 'srvm/plugin';

class IommuTracker implements Tracker {
  readonly device: vf82599.VfDevice;
  contexts: vf82599.TxContexts | undefined;
  readonly #context: TrackerContext;
  readonly #bits: IommuDirtyBits;
  #collections = 0;
  #pages = 0;
  #collectingNs = 0;

  constructor(context: TrackerContext, bits: IommuDirtyBits) {
    this.#context = context;
    this.#bits = bits;
    this.device = new vf82599.VfDevice(context);
  }

  start(): void {
    // what an earlier migration left is cleared first: thrown away after the bits are on, it could be of this one
    this.#bits.collect(discardedMarks);
    this.#bits.setEnabled(true);
  }

  beforeHarvest(): void {
    const { clock, dirty } = this.#context;
    const fromNs = clock.nowNs();
    this.#pages += this.#bits.collect(dirty);
    this.#collections++;
    this.#collectingNs += clock.nowNs() - fromNs;
  }

  async quiesce(): Promise<void> {
    await this.device.quiesce();
    this.contexts = vf82599.txContextsToMove(this.#context);
  }

  stop(): void {
    this.#bits.setEnabled(false);
  }

  counters(): Readonly<Record<string, number>> {
    return {
      collections: this.#collections,
      pagesFound: this.#pages,
      collectingNs: this.#collectingNs,
    };
  }
}

export default definePlugin({
  name: 'iommu-dirty',
  version: '1.0.0',
  apiVersion: 1,
  description: "the IOMMU's dirty bits, read and cleared each round; needs --iommu dirty-bits=on",
  requires: ['iommu-dirty-bits'],
  createTracker: (context) => new IommuTracker(context, context.iommuDirty!),
  saveDevice: (_context, tracker) => tracker.device.save(tracker.contexts),
  restoreDevice: (context, state) => vf82599.VfDevice.restore(context, state),
  rollbackDevice: (_context, tracker) => tracker.device.resume(),
});
