/**
 * A device that helps with its own migration, for plugins that require one: the card of the kit, with the dirty bits of its
 * IOMMU as its log, and saved and restored as a VF is.
 */

import type { DeviceContext, MigrationAssist } from '../definition.js';
import type { DeviceParts } from '../device-access.js';
import { VfDevice } from '../vf82599/device.js';
import { findTxContexts } from '../vf82599/frozen-rings.js';

export function assistOf(parts: DeviceParts): MigrationAssist {
  const context: DeviceContext = {
    ...parts,
    options: {},
    note: () => {},
    waitUntil: async (what, condition) => {
      for (let looks = 0; !condition(); looks++) {
        if (looks === 10_000) throw new Error(`the device waited in vain for ${what}`);
        await new Promise((resolve) => setImmediate(resolve));
      }
    },
  };
  const device = new VfDevice(context);
  const log = parts.iommuDirty!;
  return {
    setLogging: async (on) => log.setEnabled(on),
    collect: (marks) => log.collect(marks),
    setRunning: (on) => (on ? device.resume() : device.quiesce()),
    save: async () => device.save(findTxContexts(context).contexts),
    restore: async (state) => {
      await VfDevice.restore(context, state);
      await device.quiesce();
    },
  };
}
