/**
 * Moves the device and tracks nothing: what DMA wrote after a page was sent is lost. The negative control: a verifier
 * that does not complain about this plugin is broken.
 */
import { definePlugin, vf82599 } from 'srvm/plugin';

export default definePlugin({
  name: 'none',
  version: '1.0.0',
  apiVersion: 1,
  description: 'tracks nothing: the negative control',
  claims: { tracksEveryPage: false },
  createTracker(context) {
    const device = new vf82599.VfDevice(context);
    return { device, quiesce: () => device.quiesce() };
  },
  saveDevice: (_context, tracker) => tracker.device.save(),
  restoreDevice: (context, state) => vf82599.VfDevice.restore(context, state),
  rollbackDevice: (_context, tracker) => tracker.device.resume(),
});
