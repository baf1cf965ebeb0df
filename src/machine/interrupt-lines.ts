/**
 * A VM's interrupt lines: bits in its control page that any thread may set.
 *
 *   raiser:  set the bit   then  count up the sequence, wake
 *   vCPU:    read the sequence   then  take the bits   then  sleep only if the sequence is still the same
 */
import { CTRL } from './layout.js';

/** @param control words of the VM's control page. @param line 0..31. */
export function raiseInterruptLine(control: Int32Array, line: number): void {
  Atomics.or(control, CTRL.irqPending, 1 << line);
  wakeVcpu(control);
}

/** Makes a blocked wait-for-interrupt return. */
export function wakeVcpu(control: Int32Array): void {
  Atomics.add(control, CTRL.irqSequence, 1);
  Atomics.notify(control, CTRL.irqSequence);
}
