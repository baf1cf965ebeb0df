/**
 * The words of the event log that a trace shows in a way of their own; every other event is an instant on its actor's
 * thread. The numbers are the event's, in this order.
 */

/**
 * A core's step: how long it kept the core busy, what passed while it was under way (others that were let in), and for how
 * long it then lost its physical core.
 */
export const STEP = 'step';
/** `phase pre-copy`: begins here, until the next phase of this actor; its number is the round. `phase end`: none follows. */
export const PHASE = 'phase ';
/** `fault link cut`: shown over the whole height of the trace. */
export const FAULT = 'fault ';
/** `broken no page is lost`: likewise. */
export const BROKEN = 'broken ';
/** Of a host: no phase goes on. */
export const CRASH = 'crash';
/** `count dirty pages`: a counter's new value. */
export const COUNT = 'count ';
/** Part of a DMA write landed. */
export const CHUNK = 'chunk';
/** A tracker marked a page that was clean. */
export const MARK = 'mark';
/** A harvest took the tracker's marks. */
export const HARVEST = 'harvest';

/** What the numbers of other events mean. */
export const NUMBER_NAMES: Readonly<Record<string, readonly string[]>> = {
  [CHUNK]: ['page', 'bytes', 'pending bytes'],
  [MARK]: ['page'],
  [HARVEST]: ['pages'],
};
export const NO_NAMES: readonly string[] = ['a', 'b', 'c', 'd'];
