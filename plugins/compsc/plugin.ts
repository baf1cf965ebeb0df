/**
 * CompSC: migration with the help of the guest's driver, which shares a page with the hypervisor (shared-page.ts). Its stages:
 *
 *   pre-migration, reservation   the engine's
 *   iterative pre-copy           the driver dummy-writes each descriptor and buffer that DMA wrote when the interrupt tells it,
 *                                so that the vCPU's own dirty log has them: nothing is marked here
 *   stop-and-copy                DMA off -> an interrupt, so that the driver dummy-writes the last of it -> write lock -> pause
 *   commitment                   the new card gets what is copied by value; version raised, lock released
 *   activation                   the driver finds the version raised at its first read lock, and replays its state
 *
 * What reaches the card while its DMA is off is lost; what it sent without having reported it is sent again.
 */
import {
  type DeviceContext,
  definePlugin,
  type StateFields,
  type Tracker,
  type TrackerContext,
  vf82599,
} from 'srvm/plugin';
import { restoreCounters, restoreRegisters, saveCounters, saveRegisters } from './registers.js';
import { GuestHelpError, SharedPage } from './shared-page.js';

const STATE_VERSION = 1;
/** A driver may be in the middle of a reset of its card, with some messages to the PF. */
const LOCK_LIMIT_MS = 3000;
const TURN_LIMIT_MS = 1000;
/** A driver that resets its card meanwhile lets its queues run again. */
const ATTEMPTS = 3;

class CompscTracker implements Tracker {
  readonly #context: TrackerContext;
  readonly #device: vf82599.VfDevice;
  #page: SharedPage;
  #running: vf82599.RunningQueues | null = null;
  #isReady = false;
  #lockWaitMs = 0;
  #lastTurnMs = 0;

  constructor(context: TrackerContext) {
    this.#context = context;
    this.#page = SharedPage.registered(context);
    this.#device = new vf82599.VfDevice(context);
  }

  async beforePause(): Promise<void> {
    for (let attempt = 1; ; attempt++) {
      // a driver that was loaded again has registered anew
      this.#page = SharedPage.registered(this.#context);
      await this.#stopDma();
      this.#lastTurnMs += await this.#timed(() => this.#lastTurns());
      this.#lockWaitMs += await this.#timed(() => this.#lock());
      const { rx, tx } = vf82599.runningQueues(this.#context);
      if (![...rx, ...tx].includes(true)) break;
      this.unlock();
      if (attempt === ATTEMPTS) {
        throw new GuestHelpError("the guest's driver started its queues over whenever they had been stopped");
      }
    }
    this.#isReady = true;
  }

  quiesce(): void {
    if (!this.#isReady) {
      throw new GuestHelpError(
        'CompSC moves a guest that runs: its driver has to help before it stands still',
      );
    }
  }

  /** Between two operations of the driver's: what it sets up itself is not taken from under its hands. */
  async #stopDma(): Promise<void> {
    await this.#lock();
    this.#running ??= vf82599.runningQueues(this.#context);
    await this.#device.quiesce();
    this.unlock();
  }

  /** Each queue's driver looks at its rings from beginning to end, after the last DMA write. */
  async #lastTurns(): Promise<void> {
    const { bar0 } = this.#context;
    const routing = bar0.read32(vf82599.REG.VTIVAR);
    for (let queue = 0; queue < vf82599.QUEUES; queue++) {
      const entry = (routing >>> (16 * queue)) & 0xff;
      if (!this.#running!.rx[queue] || (entry & 0x80) === 0) continue;
      // the first may have begun before the queues stopped
      for (let turn = 0; turn < 2; turn++) await this.#oneTurn(queue, entry & 3);
    }
  }

  async #oneTurn(queue: number, vector: number): Promise<void> {
    const page = this.#page;
    const before = page.turns(queue);
    this.#context.raiseInterrupt(vector);
    await this.#context.waitUntil(
      `the driver's turn of queue ${queue}`,
      () => page.turns(queue) !== before,
      TURN_LIMIT_MS,
    );
  }

  async #lock(): Promise<void> {
    const page = this.#page;
    page.closeForReaders();
    // the hypervisor's own writes are in nobody's log
    this.#context.dirty.mark(page.pageNumber);
    await this.#context.waitUntil('the driver to end its operation', () => page.readers === 0, LOCK_LIMIT_MS);
  }

  async #timed(action: () => Promise<void>): Promise<number> {
    const { clock } = this.#context;
    const beganNs = clock.nowNs();
    await action();
    return (clock.nowNs() - beganNs) / 1e6;
  }

  unlock(): void {
    if (!this.#page.isClosed) return;
    this.#page.open();
    this.#context.dirty.mark(this.#page.pageNumber);
  }

  save(): StateFields {
    return {
      version: STATE_VERSION,
      page: this.#page.address,
      platform: vf82599.savePlatform(this.#context),
      registers: saveRegisters(this.#context, this.#page),
      counters: saveCounters(this.#context, this.#page),
    };
  }

  async rollBack(): Promise<void> {
    await this.#device.resume();
    this.unlock();
    this.#isReady = false;
  }

  counters(): Readonly<Record<string, number>> {
    return { lastTurnMs: this.#lastTurnMs, writeLockMs: this.#lockWaitMs };
  }
}

async function restore(context: DeviceContext, state: StateFields): Promise<void> {
  const fields = new vf82599.FieldReader(state);
  fields.requireVersion(STATE_VERSION);
  const page = new SharedPage(context, fields.u32('page'));
  context.bar0.write32(vf82599.REG.VTEIMC, 0xffff_ffff);
  await vf82599.stopQueues(context);
  vf82599.restorePlatform(context, fields.record('platform'));
  restoreRegisters(context, fields.value('registers'));
  restoreCounters(context, page, fields.value('counters'));
  page.raiseVersion();
  page.open();
  // a driver that waits for an interrupt of the old card's gets one
  for (let vector = 0; vector < vf82599.VECTORS; vector++) context.raiseInterrupt(vector);
}

export default definePlugin({
  name: 'compsc',
  version: '1.0.0',
  apiVersion: 1,
  description: "the guest's driver dummy-writes what DMA wrote and replays its state on the new card",
  claims: {
    needsGuestHelp: true,
    guestVariant: 'compsc',
    mayLosePackets: true,
    mayDuplicatePackets: true,
    // no page is marked here: the vCPU's dirty log has them all
    tracksEveryPage: false,
  },
  createTracker: (context) => new CompscTracker(context),
  saveDevice: (_context, tracker) => tracker.save(),
  restoreDevice: restore,
  rollbackDevice: (_context, tracker) => tracker.rollBack(),
});
