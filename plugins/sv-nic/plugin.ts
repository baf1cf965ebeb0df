/**
 * A virtual interface (VIF) of a self-virtualizing device, on its way with its VM. The device's own cores write the guest's
 * memory, so the device itself says which pages they wrote, and gives the VIF's state away: its queues, its rate, its filters.
 *
 *   start     log on, what it says of before is thrown away
 *   round     log -> marks
 *   quiesce   the VIF is not served any more -> log -> marks
 *   arrival   state -> (the VM is this host's) -> served, and its address told to the network
 */
import {
  definePlugin,
  discardedMarks,
  type MigrationAssist,
  type Tracker,
  type TrackerContext,
} from 'srvm/plugin';

class VifTracker implements Tracker {
  readonly assist: MigrationAssist;
  readonly #context: TrackerContext;
  #pages = 0;
  #collections = 0;

  constructor(context: TrackerContext) {
    this.#context = context;
    this.assist = context.assist!;
  }

  async start(): Promise<void> {
    // what an earlier migration left is cleared first: thrown away after the log is on, it could be of this one
    this.assist.collect(discardedMarks);
    await this.assist.setLogging(true);
  }

  beforeHarvest(): void {
    this.#pages += this.assist.collect(this.#context.dirty);
    this.#collections++;
  }

  async quiesce(): Promise<void> {
    await this.assist.setRunning(false);
  }

  async stop(): Promise<void> {
    await this.assist.setLogging(false);
  }

  counters(): Readonly<Record<string, number>> {
    return { pagesLogged: this.#pages, collections: this.#collections };
  }
}

export default definePlugin({
  name: 'sv-nic',
  version: '1.0.0',
  apiVersion: 1,
  description: 'the device logs what its own cores write; needs a virtual interface (--vif)',
  requires: ['migration-assist'],
  claims: { guestVariant: 'virtio' },
  createTracker: (context) => new VifTracker(context),
  saveDevice: (_context, tracker) => tracker.assist.save(),
  restoreDevice: (context, state) => context.assist!.restore(state),
  rollbackDevice: (_context, tracker) => tracker.assist.setRunning(true),
  async announce(context) {
    await context.assist!.setRunning(true);
    context.announce();
  },
});
