/**
 * What an offer says of the machine beyond its RAM and VFs: how many paravirtual NICs it has. Empty for a machine without
 * any, as hosts that know of none write it.
 */
import { MAX_VM_NETS } from '../hypervisor/vm.js';
import { StreamFormatError } from '../migration/errors.js';
import { decodePlain, encodePlain } from './plain-cbor.js';

export interface OfferedMachine {
  readonly netCount: number;
}

export const encodeMachine = (machine: OfferedMachine): Uint8Array =>
  machine.netCount === 0 ? new Uint8Array(0) : encodePlain({ netCount: machine.netCount });

/** @throws StreamFormatError */
export function decodeMachine(bytes: Uint8Array): OfferedMachine {
  if (bytes.length === 0) return { netCount: 0 };
  const value = decodePlain(bytes) as { readonly netCount?: unknown } | null;
  const netCount = typeof value === 'object' && value !== null ? value.netCount : undefined;
  if (typeof netCount !== 'number' || !Number.isInteger(netCount) || netCount < 0 || netCount > MAX_VM_NETS)
    throw new StreamFormatError(`offer: a machine has 0 to ${MAX_VM_NETS} paravirtual NICs`);
  return { netCount };
}
