/**
 * The two Tx contexts a queue keeps in hidden state. They cannot be read; a tracker remembers the descriptors that set
 * them, and here they are set again: posted on a ring of the hypervisor's own, before the guest's ring is programmed.
 */
import type { DeviceContext } from '../definition.js';
import { DESCRIPTOR_BYTES, ENABLE, pfTxHead, QUEUES, TX, txRegister } from './registers.js';

const PCI_COMMAND = 0x04;
const PCI_COMMAND_BITS = 0xffff;
const PCI_BUS_MASTER = 1 << 2;

export const CONTEXTS_PER_QUEUE = 2;
export const CONTEXT_WORDS = 4;

/** The four words of the last context descriptor for an index, or null where none was seen. */
export type TxContext = readonly number[] | null;

const isContext = (dword2: number): boolean => ((dword2 >>> 20) & 0xf) === 2 && (dword2 & (1 << 29)) !== 0;
const isData = (dword2: number): boolean => ((dword2 >>> 20) & 0xf) === 3 && (dword2 & (1 << 29)) !== 0;

/** Index 0 or 1 when the descriptor at `word` sets a context, else -1. For hot loops: plain numbers, no allocation. */
export function contextIndexAt(words: Int32Array, word: number): number {
  if (!isContext(words[word + 2]!)) return -1;
  const index = (words[word + 3]! >>> 4) & 7;
  // a third one hangs the queue: it was never executed
  return index < CONTEXTS_PER_QUEUE ? index : -1;
}

/** Index of the context that the data descriptor at `word` asks for (CC set), else -1. */
export function contextUseAt(words: Int32Array, word: number): number {
  const olinfo = words[word + 3]!;
  return isData(words[word + 2]!) && (olinfo & (1 << 7)) !== 0 ? (olinfo >>> 4) & 1 : -1;
}

/** Whether these four words set context `index`, and so send nothing. */
export const setsContext = (words: readonly number[], index: number): boolean =>
  isContext(words[2]!) && ((words[3]! >>> 4) & 7) === index;

/**
 * Sets a stopped queue's contexts. Leaves the queue stopped, its registers to be programmed. The guest may have been caught
 * between a reset of its VF and its admission, or without bus mastering: the card must take the contexts all the same.
 */
export async function loadTxContexts(
  context: DeviceContext,
  queue: number,
  contexts: readonly TxContext[],
): Promise<void> {
  const known = contexts.filter((words) => words !== null);
  if (known.length === 0) return;
  const command = context.config.read32(PCI_COMMAND) & PCI_COMMAND_BITS;
  context.config.write32(PCI_COMMAND, command | PCI_BUS_MASTER);
  await context.policy.whileSending(() => sendContexts(context, queue, known));
  context.config.write32(PCI_COMMAND, command);
}

async function sendContexts(
  context: DeviceContext,
  queue: number,
  known: readonly (readonly number[])[],
): Promise<void> {
  const ring = context.scratch;
  ring.i32.fill(0, 0, 32);
  known.forEach((words, slot) => {
    ring.i32.set(words.slice(0, CONTEXT_WORDS), (slot * DESCRIPTOR_BYTES) / 4);
  });
  const at = (offset: number): number => txRegister(queue, offset);
  const bar0 = context.bar0;
  bar0.write32(at(TX.TDBAL), ring.iova);
  bar0.write32(at(TX.TDBAH), Math.floor(ring.iova / 2 ** 32));
  bar0.write32(at(TX.TDLEN), 8 * DESCRIPTOR_BYTES);
  bar0.write32(at(TX.TDWBAL), 0);
  context.pf.write32(pfTxHead(context.vf * QUEUES + queue), 0);
  bar0.write32(at(TX.TDT), 0);
  bar0.write32(at(TX.TXDCTL), ENABLE);
  await context.waitUntil('the scratch ring to start', () => (bar0.read32(at(TX.TXDCTL)) & ENABLE) !== 0);
  bar0.write32(at(TX.TDT), known.length);
  await context.waitUntil('the Tx contexts to be taken', () => bar0.read32(at(TX.TDH)) === known.length);
  bar0.write32(at(TX.TXDCTL), 0);
  await context.waitUntil('the scratch ring to stop', () => (bar0.read32(at(TX.TXDCTL)) & ENABLE) === 0);
}
