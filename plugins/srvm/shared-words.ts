/** The words that the plugin's main half and its core share. */
import { vf82599 } from 'srvm/plugin';

/** Non-zero: the device was stopped on purpose. The core follows heads and leaves the registers alone. */
export const FROZEN = 0;
/**
 * How the core tracks, and so what is to be done about the Rx page when the core dies:
 *
 *   none, scan   nothing: it is direct
 *   takingOver   held or direct, its shadow not complete: make it direct
 *   shadow       what the guest wrote is carried over, then it is made direct
 *   released     all was carried over: make it direct
 */
export const TRACKING_WORD = 1;
export const TRACKING = { none: 0, scan: 1, takingOver: 2, shadow: 3, released: 4 } as const;

/** By queue: the head that the core shows the guest. A 0 in its place that is not the core's is the guest's. */
export const SHOWN_HEAD = 2;

const CONTEXTS = 8;
/** A flag and the descriptor's words. */
const CONTEXT_STRIDE = 1 + vf82599.CONTEXT_WORDS;
export const CONTEXT_KNOWN = 1;

/** Index of a context's flag; its four words follow. */
export const contextAt = (queue: number, index: number): number =>
  CONTEXTS + (queue * vf82599.CONTEXTS_PER_QUEUE + index) * CONTEXT_STRIDE;

export const SHARED_WORDS = contextAt(vf82599.QUEUES, 0);

/** The contexts the core saw, as a device's state carries them. */
export function rememberedContexts(shared: Int32Array): vf82599.TxContexts {
  return Array.from({ length: vf82599.QUEUES }, (_, queue) =>
    Array.from({ length: vf82599.CONTEXTS_PER_QUEUE }, (_unused, index) => {
      const at = contextAt(queue, index);
      if (Atomics.load(shared, at) !== CONTEXT_KNOWN) return null;
      return Array.from(shared.subarray(at + 1, at + CONTEXT_STRIDE), (word) => word >>> 0);
    }),
  );
}
