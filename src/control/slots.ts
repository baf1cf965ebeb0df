/** Hot-plug by hand: the function in a slot of the VM is unplugged, with its guest's consent, or plugged in again. */
import { type HotPlug, HotplugError } from '../hypervisor/hotplug.js';
import { type JsonObject, QmpError } from './qmp-protocol.js';
import type { Vmm } from './vmm.js';

const MAX_LIMIT_MS = 60_000;
const DEFAULT_LIMIT_MS = 5_000;

/** `{slot, limit-ms}`: resolves when the guest has let go. */
export async function unplugSlot(vmm: Vmm, args: JsonObject): Promise<JsonObject> {
  const slot = slotOf(vmm, args);
  const limitMs = args['limit-ms'] ?? DEFAULT_LIMIT_MS;
  if (typeof limitMs !== 'number' || !(limitMs >= 1 && limitMs <= MAX_LIMIT_MS))
    throw new QmpError('GenericError', `Parameter 'limit-ms' must be a number from 1 to ${MAX_LIMIT_MS}`);
  try {
    await slot.unplug(limitMs);
  } catch (error) {
    if (error instanceof HotplugError) throw new QmpError('GenericError', error.message);
    throw error;
  }
  return { plugged: slot.plugged };
}

/** `{slot}`: the guest is told; what it makes of it shows in its own time. */
export async function plugSlot(vmm: Vmm, args: JsonObject): Promise<JsonObject> {
  const slot = slotOf(vmm, args);
  await slot.plug();
  return { plugged: slot.plugged };
}

function slotOf(vmm: Vmm, args: JsonObject): HotPlug {
  const { slot } = args;
  if (typeof slot !== 'number' || !Number.isInteger(slot))
    throw new QmpError('GenericError', "Parameter 'slot' is missing or no whole number");
  const found = vmm.requireVm().hotplugOf(slot);
  if (found === undefined)
    throw new QmpError('DeviceNotFound', `slot ${slot} has no function (query-pci lists them)`);
  return found;
}
