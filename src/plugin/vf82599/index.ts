/** The 82599 VF for plugin authors: registers, descriptors, and state that moves without the guest's help. */
export { requestVfState, requireStateDriver, type VfState, VfStateError } from '../../hypervisor/vf-state.js';
export { VfDevice } from './device.js';
export { FieldReader } from './fields.js';
export {
  executedContexts,
  type FoundContexts,
  type FrozenRing,
  findTxContexts,
  frozenRxRing,
  frozenTxRing,
  markRings,
  type RingView,
} from './frozen-rings.js';
export { txContextsToMove } from './moved-contexts.js';
export { restorePlatform, savePlatform } from './platform.js';
export { type RunningQueues, runningQueues, startQueues, stopQueues } from './queues.js';
export * from './registers.js';
export type { TxContexts } from './save.js';
export {
  CONTEXT_WORDS,
  CONTEXTS_PER_QUEUE,
  contextIndexAt,
  contextUseAt,
  type TxContext,
} from './tx-contexts.js';
