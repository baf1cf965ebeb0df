/**
 * A register write may make the card send a message at once: an unmask, a cause that software sets. On the bus such a
 * message stays behind what the card posted before it, as one of the engine's does; a driver that it wakes finds in its
 * ring what was completed. So whatever is still posted lands with it.
 */
import type { GuestBus } from '../../machine/guest-bus.js';
import { CTRL } from '../../machine/layout.js';

/**
 * @param control words of the VM's control page
 * @param land lands what the card has posted; nobody else has run since the message was sent
 */
export function behindPostedWrites(bus: GuestBus, control: Int32Array, land: () => void): GuestBus {
  const landIfSent = (write: () => void): void => {
    const before = Atomics.load(control, CTRL.irqSequence);
    write();
    if (Atomics.load(control, CTRL.irqSequence) !== before) land();
  };
  return {
    pciRead: (slot, offset) => bus.pciRead(slot, offset),
    pciWrite: (slot, offset, value) => landIfSent(() => bus.pciWrite(slot, offset, value)),
    barRead: (slot, bar, offset) => bus.barRead(slot, bar, offset),
    barWrite: (slot, bar, offset, value) => landIfSent(() => bus.barWrite(slot, bar, offset, value)),
  };
}
