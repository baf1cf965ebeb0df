/**
 * MSI-X of a network device, over its shared words: any thread may raise a vector, the vCPU's masks and unmasks.
 *
 *   raise -> vector or function masked? -> pending bit ... unmasked -> message
 *         -> not masked                                             -> message
 */
import type { MsiSink } from '../hardware/pci/msi.js';
import {
  COMMAND_MASTER,
  MSIX_ENABLE,
  MSIX_FUNCTION_MASK,
  MSIX_PBA_OFFSET,
  PCI,
} from '../hardware/pci/offsets.js';
import { type DeviceWords, WORD } from './device-words.js';
import { VECTORS } from './spec.js';

const MASKED = 1;
/** The one requester of a device's own table of routes. */
export const REQUESTER = 0;
const TABLE_BYTES = VECTORS * 16;

function isMasked(words: DeviceWords, vector: number): boolean {
  const control = words.get(WORD.config + (PCI.MSIX >> 2)) | 0;
  const master = words.get(WORD.config + (PCI.COMMAND >> 2)) & COMMAND_MASTER;
  if (master === 0 || (control & MSIX_ENABLE) === 0 || (control & MSIX_FUNCTION_MASK) !== 0) return true;
  return (words.get(WORD.msixTable + vector * 4 + 3) & MASKED) !== 0;
}

/** Sends message `vector`, or makes it pending while it is masked. "No vector" is none. */
export function raiseVector(words: DeviceWords, msi: MsiSink, vector: number): void {
  if (vector >= VECTORS) return;
  const bit = 1 << vector;
  if (isMasked(words, vector)) {
    Atomics.or(words.i32, WORD.msixPending, bit);
    // unmasked meanwhile by another thread, which may not have seen the bit
    if (isMasked(words, vector)) return;
    if ((Atomics.and(words.i32, WORD.msixPending, ~bit) & bit) === 0) return;
  }
  deliver(words, msi, vector);
}

/** Sends what became pending while masked: after any unmask, of a vector, the function or the bus. */
export function sendPending(words: DeviceWords, msi: MsiSink): void {
  for (let vector = 0; vector < VECTORS; vector++) {
    const bit = 1 << vector;
    if ((words.get(WORD.msixPending) & bit) === 0 || isMasked(words, vector)) continue;
    if ((Atomics.and(words.i32, WORD.msixPending, ~bit) & bit) !== 0) deliver(words, msi, vector);
  }
}

function deliver(words: DeviceWords, msi: MsiSink, vector: number): void {
  const entry = WORD.msixTable + vector * 4;
  msi.deliver(REQUESTER, words.get(entry), words.get(entry + 1), words.get(entry + 2));
}

export function readMsix(words: DeviceWords, offset: number): number {
  if (offset < TABLE_BYTES) return words.get(WORD.msixTable + (offset >> 2));
  return offset === MSIX_PBA_OFFSET ? words.get(WORD.msixPending) : 0;
}

/** The table only: pending bits are the device's. */
export function writeMsix(words: DeviceWords, msi: MsiSink, offset: number, value: number): void {
  if (offset >= TABLE_BYTES) return;
  const field = (offset >> 2) & 3;
  const word = WORD.msixTable + (offset >> 2);
  words.set(word, field === 0 ? value & ~3 : field === 3 ? value & MASKED : value);
  if (field === 3 && (value & MASKED) === 0) sendPending(words, msi);
}

/** Every vector masked, nothing pending. */
export function resetMsix(words: DeviceWords): void {
  for (let i = 0; i < VECTORS * 4; i++) words.set(WORD.msixTable + i, (i & 3) === 3 ? MASKED : 0);
  words.set(WORD.msixPending, 0);
}
