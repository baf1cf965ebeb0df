/**
 * Dynamic network interface switching (Dong et al.): the migration meets no VF at all. The guest's bonding driver is asked to
 * let go of it, its standby NIC carries the traffic while memory is copied, and at the destination another VF is plugged in.
 *
 *   start       VF unplugged, with the guest's consent: from here on nothing of it writes memory, there is nothing to track
 *   save        what the PF driver holds for the VF: its address above all
 *   announce    the guest runs at the destination: its VF is plugged in, the guest switches back
 *   rollback    plugged in at the source
 *
 * A VF that was away before stays away, on either side.
 */
import { type DeviceContext, definePlugin, type StateFields, vf82599 } from 'srvm/plugin';

/** Below the host's own limit for a call, so that a guest that does not answer is told of as such. */
const UNPLUG_LIMIT_MS = 4000;
const STATE_VERSION = 1;

/** Where a VF is to be plugged in that has not been yet: between restoreDevice and announce, per migration. */
const toPlugIn = new WeakSet<DeviceContext>();

export default definePlugin({
  name: 'dnis',
  version: '1.0.0',
  apiVersion: 1,
  description: 'unplugs the VF for the migration; the guest needs a bond with a standby NIC',
  // the two interfaces are two ways through the host: what goes one way overtakes what went the other
  claims: { guestVariant: 'bonded', mayLosePackets: true, mayReorderPackets: true },
  requires: ['pci-hotplug'],

  createTracker(context) {
    const { hotplug, clock } = context;
    let unplugMs = 0;
    const tracker = {
      wasPlugged: hotplug.plugged,
      async start() {
        if (!tracker.wasPlugged) return;
        const beganNs = clock.nowNs();
        await hotplug.unplug(UNPLUG_LIMIT_MS);
        unplugMs = (clock.nowNs() - beganNs) / 1e6;
      },
      quiesce() {
        if (hotplug.plugged) throw new Error('the VF was plugged in while the VM was being migrated');
      },
      counters: () => ({ unplugMs }),
    };
    return tracker;
  },

  saveDevice: (context, tracker) => ({
    version: STATE_VERSION,
    plugIn: tracker.wasPlugged,
    policy: context.policy.export(),
  }),

  restoreDevice(context, state: StateFields) {
    const fields = new vf82599.FieldReader(state);
    fields.requireVersion(STATE_VERSION);
    const plugIn = fields.flag('plugIn');
    if (context.hotplug.plugged)
      throw new Error('device state: the slot is not empty in the state of its VM');
    context.policy.import(fields.value('policy'));
    if (plugIn) toPlugIn.add(context);
  },

  async rollbackDevice({ hotplug }, tracker) {
    if (tracker.wasPlugged) await hotplug.plug();
  },

  async announce(context) {
    if (toPlugIn.delete(context)) await context.hotplug.plug();
  },
});
