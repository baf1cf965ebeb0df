/**
 * The tail registers trapped: every doorbell of the guest's is a VM exit, in which what it posts is recorded before the device
 * can have it (exits.ts). No extra core, nothing lost at any rate; the guest pays with an exit for every batch of buffers it
 * hands over and every packet it sends.
 *
 *   start    the pages of the queues' registers are trapped; what is posted already is remembered
 *   round    the pages held for a moment: what the heads have passed is marked
 *   quiesce  the same -> queues off -> the same, exactly
 */
import {
  type CoreHandle,
  definePlugin,
  type ExitRequest,
  type ExitsHandle,
  type Tracker,
  type TrackerContext,
  vf82599,
} from 'srvm/plugin';
import { RxQueue } from './rx-queue.js';
import { TxQueue } from './tx-queue.js';
import { COUNTER, SHARED_WORDS } from './words.js';

const { CONTEXTS_PER_QUEUE, QUEUES, RX_BLOCK, TX_BLOCK } = vf82599;
const PAGE_SHIFT = 12;
const RX_PAGE = RX_BLOCK >> PAGE_SHIFT;
const TX_PAGE = TX_BLOCK >> PAGE_SHIFT;

class DoorbellTracker implements Tracker {
  readonly device: vf82599.VfDevice;
  readonly exits: ExitRequest = {
    module: new URL('./exits.js', import.meta.url),
    pages: [RX_PAGE, TX_PAGE],
    sharedWords: SHARED_WORDS,
  };
  readonly #context: TrackerContext;
  #shared: Int32Array = new Int32Array(SHARED_WORDS);
  #rx: readonly RxQueue[] = [];
  #tx: readonly TxQueue[] = [];
  #isFrozen = false;

  constructor(context: TrackerContext) {
    this.#context = context;
    this.device = new vf82599.VfDevice(context);
  }

  start(_core: CoreHandle | null, exits: ExitsHandle | null): void {
    const { bar0, dirty, ram } = this.#context;
    this.#shared = exits!.shared;
    const view = { bar0, dirty, ram, shared: exits!.shared };
    const queues = [...Array(QUEUES).keys()];
    this.#rx = queues.map((queue) => new RxQueue(view, queue));
    this.#tx = queues.map((queue) => new TxQueue(view, queue));
    this.#whileHeld(
      (queue) => queue.attach(),
      (queue) => queue.attach(),
    );
  }

  beforeHarvest(): void {
    if (this.#isFrozen) return;
    this.#whileHeld(
      (queue) => queue.look(),
      (queue) => queue.look(),
    );
  }

  async quiesce(): Promise<void> {
    this.beforeHarvest();
    this.#isFrozen = true;
    await this.device.quiesce();
    this.#whileHeld(
      (queue) => queue.finalLook(),
      (queue) => queue.look(),
    );
    this.#tx.forEach((queue, index) => {
      if (!queue.usesUnknownContext()) return;
      this.#context.note(
        `Tx queue ${index} uses a context that was set before tracking began: it cannot be moved`,
      );
    });
    if (this.#shared[COUNTER.doubts] !== 0)
      this.#context.note(
        'a ring was replaced while the device had it, or a tail ran backwards: all of guest RAM was marked',
      );
  }

  contexts(): vf82599.TxContexts {
    const indices = [...Array(CONTEXTS_PER_QUEUE).keys()];
    return this.#tx.map((queue) => indices.map((index) => queue.context(index)));
  }

  counters(): Readonly<Record<string, number>> {
    const read = (counter: number): number => this.#shared[counter]! >>> 0;
    return {
      rxTailWrites: read(COUNTER.rxTailWrites),
      txTailWrites: read(COUNTER.txTailWrites),
      controlWrites: read(COUNTER.controlWrites),
      descriptors: read(COUNTER.descriptors),
      doubts: read(COUNTER.doubts),
    };
  }

  /** At a moment when the guest is not in a write to the queues' registers: what its exits keep stands still. */
  #whileHeld(rx: (queue: RxQueue) => void, tx: (queue: TxQueue) => void): void {
    const { pages } = this.#context;
    pages.map(RX_PAGE, 'trapped', () => this.#rx.forEach(rx));
    pages.map(TX_PAGE, 'trapped', () => this.#tx.forEach(tx));
  }
}

export default definePlugin({
  name: 'doorbell-trap',
  version: '1.0.0',
  apiVersion: 1,
  description: 'every tail write is a VM exit that records what was posted; no extra core',
  createTracker: (context) => new DoorbellTracker(context),
  saveDevice: (_context, tracker) => tracker.device.save(tracker.contexts()),
  restoreDevice: (context, state) => vf82599.VfDevice.restore(context, state),
  rollbackDevice: (_context, tracker) => tracker.device.resume(),
});
