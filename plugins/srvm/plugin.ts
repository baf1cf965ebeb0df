/**
 * SRVM: live migration of a VM whose NIC is a passed-through VF, with no help from the guest. An extra core watches the
 * VF's rings during pre-copy and marks what its DMA dirtied (core.ts); at the switch the VF's state is moved by register
 * class (vf82599 of the plugin API).
 *
 *   start      the core takes the rings as they are; from its first turn no DMA write goes unmarked
 *   quiesce    a turn that relays what the guest last wrote -> freeze -> queues off -> a last, exact turn
 *   rollback   the core has given the page back -> queues on
 */
import {
  type CoreHandle,
  type CoreRequest,
  definePlugin,
  type Tracker,
  type TrackerContext,
  vf82599,
} from 'srvm/plugin';
import { RX_PAGE, ShadowRelay } from './shadow-relay.js';
import { FROZEN, rememberedContexts, SHARED_WORDS, TRACKING, TRACKING_WORD } from './shared-words.js';

class SrvmTracker implements Tracker {
  readonly core: CoreRequest;
  readonly device: vf82599.VfDevice;
  readonly #context: TrackerContext;
  #shared: Int32Array | null = null;

  constructor(context: TrackerContext) {
    this.#context = context;
    this.device = new vf82599.VfDevice(context);
    this.core = {
      module: new URL('./core.js', import.meta.url),
      data: context.options['mode'],
      sharedWords: SHARED_WORDS,
    };
  }

  start(core: CoreHandle | null): void {
    this.#shared = core!.shared;
  }

  async quiesce(core: CoreHandle | null): Promise<void> {
    await core!.turn();
    Atomics.store(core!.shared, FROZEN, 1);
    await this.device.quiesce();
    await core!.turn();
  }

  contexts(): vf82599.TxContexts | undefined {
    return this.#shared === null ? undefined : rememberedContexts(this.#shared);
  }

  /** The core gives the page back when it ends; one that died could not. */
  giveBackPage(): void {
    const shared = this.#shared;
    if (shared === null) {
      this.#giveBackUnseen();
      return;
    }
    ShadowRelay.releaseFor({ ...this.#context, shared }, Atomics.load(shared, FROZEN) !== 0);
  }

  /** A core that died before it was handed over may have taken the page: its mapping is all that is known of it. */
  #giveBackUnseen(): void {
    const { pages } = this.#context;
    if (pages.mappingOf(RX_PAGE) !== 'shadow') {
      pages.map(RX_PAGE, 'direct');
      return;
    }
    const shared = new Int32Array(SHARED_WORDS);
    shared[TRACKING_WORD] = TRACKING.shadow;
    ShadowRelay.releaseFor({ ...this.#context, shared }, false);
  }

  stop(): void {
    this.giveBackPage();
  }
}

export default definePlugin({
  name: 'srvm',
  version: '1.0.0',
  apiVersion: 1,
  description: 'an extra core tracks the VF by its rings; the guest is unmodified',
  options: {
    mode: {
      values: ['scan', 'shadow-doorbell'],
      default: 'scan',
      help: 'scan the rings, or serve the Rx doorbell: exact at any rate',
    },
  },
  createTracker: (context) => new SrvmTracker(context),
  saveDevice: (_context, tracker) => tracker.device.save(tracker.contexts()),
  restoreDevice: (context, state) => vf82599.VfDevice.restore(context, state),
  async rollbackDevice(_context, tracker) {
    tracker.giveBackPage();
    await tracker.device.resume();
  },
});
