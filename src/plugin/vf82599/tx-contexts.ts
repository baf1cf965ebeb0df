/**
 * The two Tx contexts a queue keeps in hidden state. They cannot be read; a tracker remembers the descriptors that set
 * them, and here they are set again: posted on a ring of the hypervisor's own, before the guest's ring is programmed.
 */
import type { DeviceContext } from '../definition.js';
import { DESCRIPTOR_BYTES, ENABLE, pfTxHead, QUEUES, TX, txRegister } from './registers.js';

export const CONTEXTS_PER_QUEUE = 2;
export const CONTEXT_WORDS = 4;

/** The four words of the last context descriptor for an index, or null where none was seen. */
export type TxContext = readonly number[] | null;

const isContext = (dword2: number): boolean => ((dword2 >>> 20) & 0xf) === 2 && (dword2 & (1 << 29)) !== 0;
const isData = (dword2: number): boolean => ((dword2 >>> 20) & 0xf) === 3 && (dword2 & (1 << 29)) !== 0;

/** Index 0 or 1 when the descriptor at `word` sets a context, else -1. For hot loops: plain numbers, no allocation. */
export function contextIndexAt(words: Int32Array, word: number): number {
  return isContext(words[word + 2]!) ? (words[word + 3]! >>> 4) & 1 : -1;
}

/** Index of the context that the data descriptor at `word` asks for (CC set), else -1. */
export function contextUseAt(words: Int32Array, word: number): number {
  const olinfo = words[word + 3]!;
  return isData(words[word + 2]!) && (olinfo & (1 << 7)) !== 0 ? (olinfo >>> 4) & 1 : -1;
}

/** Sets a stopped queue's contexts. Leaves the queue stopped, its registers to be programmed. */
export async function loadTxContexts(
  context: DeviceContext,
  queue: number,
  contexts: readonly TxContext[],
): Promise<void> {
  const known = contexts.filter((words) => words !== null);
  if (known.length === 0) return;
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
