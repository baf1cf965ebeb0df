/**
 * MSI-X of every function: the table and pending bits behind BAR3 (VF) or BAR4 (PF), and the gates a message passes.
 *
 *   sendMsix -> vector or function masked? -> pending bit ... unmasked -> message
 *            -> not masked                                             -> message
 *
 * Bus mastering and the MSI-X enable bit are looked at before (interrupts.ts): without them a cause stays in the cause
 * register, because no message was ever made of it.
 */

import type { MsiSink } from '../pci/msi.js';
import {
  COMMAND_MASTER,
  MSIX_ENABLE,
  MSIX_FUNCTION_MASK,
  MSIX_PBA_OFFSET,
  MSIX_TABLE_BYTES,
  PCI,
  requesterOf,
} from '../pci/offsets.js';
import { CONFIG_WORDS, type NicShared, REGION, VECTORS_PER_VF } from './shared.js';

const VECTOR_MASKED = 1;
const ALL_VECTORS = (1 << VECTORS_PER_VF) - 1;

/** Whether the function may put messages on the bus at all. */
export function messagesEnabled(words: Int32Array, functionNumber: number): boolean {
  const config = REGION.config + functionNumber * CONFIG_WORDS;
  return (
    (Atomics.load(words, config + (PCI.MSIX >> 2)) & MSIX_ENABLE) !== 0 &&
    (Atomics.load(words, config + (PCI.COMMAND >> 2)) & COMMAND_MASTER) !== 0
  );
}

function isMasked(words: Int32Array, functionNumber: number, vector: number): boolean {
  const control = Atomics.load(words, REGION.config + functionNumber * CONFIG_WORDS + (PCI.MSIX >> 2));
  if ((control & MSIX_FUNCTION_MASK) !== 0) return true;
  return (Atomics.load(words, REGION.msixTable + functionNumber * 12 + vector * 4 + 3) & VECTOR_MASKED) !== 0;
}

/** Sends message `vector`, or makes it pending while it is masked. */
export function sendMsix(shared: NicShared, msi: MsiSink, functionNumber: number, vector: number): void {
  const words = shared.words;
  if (isMasked(words, functionNumber, vector)) {
    Atomics.or(words, REGION.msixPending + functionNumber, 1 << vector);
    // unmasked meanwhile by another thread, which may not have seen the bit
    if (isMasked(words, functionNumber, vector)) return;
    const old = Atomics.and(words, REGION.msixPending + functionNumber, ~(1 << vector));
    if ((old & (1 << vector)) === 0) return;
  }
  deliver(words, msi, functionNumber, vector);
}

function deliver(words: Int32Array, msi: MsiSink, functionNumber: number, vector: number): void {
  const entry = REGION.msixTable + functionNumber * 12 + vector * 4;
  msi.deliver(
    requesterOf(functionNumber),
    Atomics.load(words, entry) >>> 0,
    Atomics.load(words, entry + 1) >>> 0,
    Atomics.load(words, entry + 2) >>> 0,
  );
}

/** Sends what became pending while masked: after any unmask, of a vector or of the function. */
export function sendPending(shared: NicShared, msi: MsiSink, functionNumber: number): void {
  const words = shared.words;
  if (!messagesEnabled(words, functionNumber)) return;
  const word = REGION.msixPending + functionNumber;
  for (let vector = 0; vector < VECTORS_PER_VF; vector++) {
    const bit = 1 << vector;
    if ((Atomics.load(words, word) & bit) === 0 || isMasked(words, functionNumber, vector)) continue;
    if ((Atomics.and(words, word, ~bit) & bit) !== 0) deliver(words, msi, functionNumber, vector);
  }
}

/** Reads the MSI-X BAR at a byte offset (dword aligned). */
export function readMsixBar(shared: NicShared, functionNumber: number, offset: number): number {
  if (offset < MSIX_TABLE_BYTES) {
    return Atomics.load(shared.words, REGION.msixTable + functionNumber * 12 + (offset >> 2)) >>> 0;
  }
  if (offset === MSIX_PBA_OFFSET) {
    return Atomics.load(shared.words, REGION.msixPending + functionNumber) & ALL_VECTORS;
  }
  return 0;
}

/** Writes the MSI-X BAR: the table only, pending bits are the device's. */
export function writeMsixBar(
  shared: NicShared,
  msi: MsiSink,
  functionNumber: number,
  offset: number,
  value: number,
): void {
  if (offset >= MSIX_TABLE_BYTES) return;
  const field = (offset >> 2) & 3;
  const word = REGION.msixTable + functionNumber * 12 + (offset >> 2);
  if (field === 0) Atomics.store(shared.words, word, value & ~3);
  else if (field === 3) {
    const old = Atomics.exchange(shared.words, word, value & VECTOR_MASKED);
    if ((old & VECTOR_MASKED) !== 0 && (value & VECTOR_MASKED) === 0)
      sendPending(shared, msi, functionNumber);
  } else Atomics.store(shared.words, word, value);
}

/** As after a function-level reset: every vector masked, nothing pending. */
export function resetMsix(shared: NicShared, functionNumber: number): void {
  const table = REGION.msixTable + functionNumber * 12;
  for (let i = 0; i < VECTORS_PER_VF * 4; i++) {
    Atomics.store(shared.words, table + i, (i & 3) === 3 ? VECTOR_MASKED : 0);
  }
  Atomics.store(shared.words, REGION.msixPending + functionNumber, 0);
}
