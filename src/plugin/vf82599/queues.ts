/**
 * Stopping a VF's queues and letting them go on. The heads survive a disabled queue, so that nothing else has to be put
 * back when a migration is called off.
 */
import type { DeviceContext } from '../definition.js';
import { ENABLE, QUEUES, RX, rxRegister, SOFTWARE_FLUSH, TX, txRegister } from './registers.js';

/** Which queues ran when they were stopped. */
export interface RunningQueues {
  readonly rx: readonly boolean[];
  readonly tx: readonly boolean[];
}

const isOn = (context: DeviceContext, register: number): boolean =>
  (context.bar0.read32(register) & ENABLE) !== 0;

export function runningQueues(context: DeviceContext): RunningQueues {
  const queues = [...Array(QUEUES).keys()];
  return {
    rx: queues.map((q) => isOn(context, rxRegister(q, RX.RXDCTL))),
    tx: queues.map((q) => isOn(context, txRegister(q, TX.TXDCTL))),
  };
}

/** Disables all queues and waits until the device says so: from then on it writes no memory. */
export async function stopQueues(context: DeviceContext): Promise<void> {
  const registers: number[] = [];
  for (let q = 0; q < QUEUES; q++) registers.push(rxRegister(q, RX.RXDCTL), txRegister(q, TX.TXDCTL));
  for (const register of registers) {
    context.bar0.write32(register, context.bar0.read32(register) & ~(ENABLE | SOFTWARE_FLUSH));
  }
  await context.waitUntil('the queues to stop', () =>
    registers.every((register) => !isOn(context, register)),
  );
}

/** Enables the queues that ran; tails and heads are as they were, so DMA goes on where it stopped. */
export async function startQueues(context: DeviceContext, running: RunningQueues): Promise<void> {
  const registers: number[] = [];
  for (let q = 0; q < QUEUES; q++) {
    if (running.rx[q]) registers.push(rxRegister(q, RX.RXDCTL));
    if (running.tx[q]) registers.push(txRegister(q, TX.TXDCTL));
  }
  for (const register of registers) {
    const value = context.bar0.read32(register) & ~SOFTWARE_FLUSH;
    if ((value & ENABLE) === 0) context.bar0.write32(register, value | ENABLE);
  }
  await context.waitUntil('the queues to start', () =>
    registers.every((register) => isOn(context, register)),
  );
}
