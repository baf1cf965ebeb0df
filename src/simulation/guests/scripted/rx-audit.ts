/** What must not be in an Rx ring: a head that is nowhere, a slot that it passed and that was not written back, disorder. */
import { DESCRIPTOR_BYTES } from '../../../hardware/nic/descriptors.js';
import { complain } from './complaints.js';
import type { GuestState } from './state.js';

type IsDone = (slot: number) => boolean;

interface Posted {
  readonly slots: number;
  readonly toClean: number;
  readonly toUse: number;
}

const postedOf = (state: GuestState, queue: number): Posted => ({
  slots: state.queue('rx', queue, 'slots'),
  toClean: state.queue('rx', queue, 'toClean'),
  toUse: state.queue('rx', queue, 'toUse'),
});

/** @param head as the device has it now: whatever it has passed is written back */
export function auditHead(state: GuestState, queue: number, head: number, isDone: IsDone): void {
  const { slots, toClean, toUse } = postedOf(state, queue);
  const passed = (head - toClean + slots) % slots;
  const posted = (toUse - toClean + slots) % slots;
  if (head >= slots || passed > posted) {
    complain(state, 'head-outside', queue, head, toClean, toUse);
    return;
  }
  for (let i = 0; i < passed; i++) {
    const slot = (toClean + i) % slots;
    if (isDone(slot)) continue;
    complain(state, 'head-without-write-back', queue, slot, head);
    return;
  }
}

/** Completions come in order, and only where something is posted. */
export function auditOrder(state: GuestState, queue: number, isDone: IsDone): void {
  const { slots, toClean, toUse } = postedOf(state, queue);
  const next = (toClean + 1) % slots;
  if (toClean !== toUse && next !== toUse && isDone(next) && !isDone(toClean)) {
    complain(state, 'out-of-order', queue, toClean);
  }
  for (let slot = toUse; (slot + 1) % slots !== toClean; slot = (slot + 1) % slots) {
    if (!isDone(slot)) continue;
    const status = state.queue('rx', queue, 'base') + slot * DESCRIPTOR_BYTES + 8;
    complain(state, 'completed-unposted', queue, slot, state.ram.load(status));
    return;
  }
}
