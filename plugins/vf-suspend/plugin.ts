/**
 * Migration by suspend and resume: the PF driver hands the VF's driver, by mailbox, what `ip link set <pf> vf <n> state` can be
 * told too.
 *
 *   start        migrate: the driver writes again what DMA wrote, so that the vCPU's dirty log has it; nothing is marked here
 *   beforePause  suspend: the driver stops its VF, and writes the last of it
 *   [ vCPU paused; configuration space, MSI-X table, PF's policy and the mailbox's interrupt move ]
 *   announce     resume: the driver sets the new VF up, and an ARP of its own tells the network
 *   rollback     resume, or cancelmigration
 *
 * From suspend to resume there is no network: what arrives meanwhile is lost.
 */
import {
  type ArrivalCounters,
  type DeviceContext,
  definePlugin,
  type StateFields,
  type Tracker,
  type TrackerContext,
  vf82599,
} from 'srvm/plugin';

const STATE_VERSION = 1;
const { REG, VfStateError } = vf82599;

type Stage = 'idle' | 'migrating' | 'suspended';

class SuspendTracker implements Tracker {
  readonly #context: TrackerContext;
  /** As far as the driver may have got. */
  #stage: Stage = 'idle';
  #isSuspended = false;
  #suspendMs = 0;
  /** Of a migration that was called off: the guest may stand, and answers when it goes on. */
  #undoing: Promise<void> | null = null;

  constructor(context: TrackerContext) {
    vf82599.requireStateDriver(context.guest);
    this.#context = context;
  }

  async start(): Promise<void> {
    this.#stage = 'migrating';
    await vf82599.requestVfState(this.#context.guest, 'migrate');
  }

  async beforePause(): Promise<void> {
    this.#stage = 'suspended';
    const { clock, guest } = this.#context;
    const askedNs = clock.nowNs();
    await vf82599.requestVfState(guest, 'suspend');
    this.#suspendMs = (clock.nowNs() - askedNs) / 1e6;
    this.#isSuspended = true;
  }

  quiesce(): void {
    const { rx, tx } = vf82599.runningQueues(this.#context);
    if (!this.#isSuspended || [...rx, ...tx].includes(true)) {
      throw new VfStateError(
        "the VF is not suspended: a guest that stands cannot suspend it, and this guest's driver did not",
      );
    }
  }

  save(): StateFields {
    const { bar0 } = this.#context;
    return {
      version: STATE_VERSION,
      platform: vf82599.savePlatform(this.#context),
      // by these the driver learns that it is to resume
      otherVector: bar0.read32(REG.VTIVAR_MISC),
      autoClear: bar0.read32(REG.VTEIAC),
      autoMask: bar0.read32(REG.VTEIAM),
      mask: bar0.read32(REG.VTEIMS),
    };
  }

  rollBack(): void {
    const stage = this.#stage;
    this.#stage = 'idle';
    if (stage === 'idle') return;
    const { guest } = this.#context;
    this.#undoing = vf82599.requestVfState(guest, stage === 'suspended' ? 'resume' : 'cancelmigration');
    // stop() says it
    this.#undoing.catch(() => {});
  }

  async stop(): Promise<void> {
    await this.#undoing;
  }

  counters(): Readonly<Record<string, number>> {
    return { suspendMs: this.#suspendMs };
  }
}

async function restore(context: DeviceContext, state: StateFields): Promise<void> {
  const fields = new vf82599.FieldReader(state);
  fields.requireVersion(STATE_VERSION);
  const { bar0 } = context;
  bar0.write32(REG.VTEIMC, 0xffff_ffff);
  await vf82599.stopQueues(context);
  vf82599.restorePlatform(context, fields.record('platform'));
  bar0.write32(REG.VTIVAR_MISC, fields.u32('otherVector'));
  bar0.write32(REG.VTEIAC, fields.u32('autoClear'));
  bar0.write32(REG.VTEIAM, fields.u32('autoMask'));
  bar0.write32(REG.VTEIMS, fields.u32('mask') & 7);
}

async function resume(context: DeviceContext): Promise<ArrivalCounters> {
  const askedNs = context.clock.nowNs();
  await vf82599.requestVfState(context.guest, 'resume');
  const resumeMs = (context.clock.nowNs() - askedNs) / 1e6;
  // the driver's one ARP may be overtaken by a frame that was still on its way from the old port: the host's are repeated
  context.announce();
  return { resumeMs };
}

export default definePlugin({
  name: 'vf-suspend',
  version: '1.0.0',
  apiVersion: 1,
  description: "the guest's driver suspends its VF before the switch and resumes it afterwards",
  claims: {
    needsGuestHelp: true,
    guestVariant: 'suspend',
    mayLosePackets: true,
    // no page is marked here: the vCPU's dirty log has them all
    tracksEveryPage: false,
  },
  createTracker: (context) => new SuspendTracker(context),
  saveDevice: (_context, tracker) => tracker.save(),
  restoreDevice: restore,
  rollbackDevice: (_context, tracker) => tracker.rollBack(),
  announce: resume,
});
