/**
 * What an offer says of the machine beyond its RAM and VFs: how many paravirtual NICs it has, and how many of them, the last
 * ones, are virtual interfaces. Empty for a machine without any, as hosts that know of none write it.
 */
import { MAX_VM_NETS } from '../hypervisor/vm.js';
import { StreamFormatError } from '../migration/errors.js';
import { decodePlain, encodePlain } from './plain-cbor.js';

export interface OfferedMachine {
  readonly netCount: number;
  readonly vifCount: number;
}

export const encodeMachine = ({ netCount, vifCount }: OfferedMachine): Uint8Array =>
  netCount === 0 ? new Uint8Array(0) : encodePlain({ netCount, ...(vifCount === 0 ? {} : { vifCount }) });

/** @throws StreamFormatError */
export function decodeMachine(bytes: Uint8Array): OfferedMachine {
  if (bytes.length === 0) return { netCount: 0, vifCount: 0 };
  const value = decodePlain(bytes) as Record<string, unknown> | null;
  const fields = typeof value === 'object' && value !== null ? value : {};
  const netCount = countOf(fields['netCount'], MAX_VM_NETS);
  return { netCount, vifCount: countOf(fields['vifCount'] ?? 0, netCount) };
}

function countOf(value: unknown, max: number): number {
  if (typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= max) return value;
  throw new StreamFormatError(
    `offer: a machine has 0 to ${MAX_VM_NETS} paravirtual NICs, virtual interfaces among them`,
  );
}
