/**
 * What an exit handler sees of its device in a simulation: the production view, in virtual time; its reads of registers push
 * what the card posted, as a read over the bus does.
 */
import type { Clock, WordWait } from '../../hardware/clock.js';
import type { OpenExitView } from '../../hypervisor/guest-bus-view.js';
import { openPassthrough, type PassthroughHandle } from '../../hypervisor/passthrough-core.js';
import type { RegisterWindow } from '../../hypervisor/pf-window.js';
import type { SimulatedVcpuOptions } from './vcpu-options.js';

export const exitViewOpener =
  (clock: Clock, wait: WordWait, options: SimulatedVcpuOptions): OpenExitView =>
  (handle: PassthroughHandle) => {
    const view = openPassthrough(handle, clock, wait);
    const pushing = (window: RegisterWindow): RegisterWindow => ({
      read32: (offset) => {
        options.beforeRead?.();
        return window.read32(offset);
      },
      write32: (offset, value) => {
        window.write32(offset, value);
        options.afterWrite?.();
      },
    });
    return { ...view, bar0: pushing(view.bar0), bar3: pushing(view.bar3), pf: pushing(view.pf) };
  };
