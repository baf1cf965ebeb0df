/**
 * The words of the event log that a trace shows in a way of their own; every other event is an instant on its actor's
 * thread. The numbers are the event's, in this order.
 */

/** A core's step: how long it kept the core busy, and what passed while it was under way (others that were let in). */
export const STEP = 'step';
/** `phase pre-copy`: begins here, until the next phase of this actor. `phase end`: none follows. */
export const PHASE = 'phase ';
/** `fault link cut`: shown over the whole height of the trace. */
export const FAULT = 'fault ';
/** `count dirty pages`: a counter's new value. */
export const COUNT = 'count ';

/** What the numbers of other events mean. */
export const NUMBER_NAMES: Readonly<Record<string, readonly string[]>> = {
  /** Part of a DMA write landed. */
  chunk: ['page', 'bytes', 'pending'],
  /** A tracker marked a page. */
  mark: ['page'],
  /** The migration read a page. */
  copy: ['page', 'bytes'],
  /** A harvest of dirty bits. */
  harvest: ['pages'],
};
export const NO_NAMES: readonly string[] = ['a', 'b', 'c', 'd'];
