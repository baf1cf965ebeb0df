/** The guest's scalars and queues as words of its state page, and its chance. Nothing of it is kept outside of RAM. */
import { QUEUE, type QUEUES, queueAddress, STATE, stateAddress } from './places.js';
import type { GuestRam } from './ram.js';

export type StateField = Exclude<keyof typeof STATE, 'counters' | 'queueBlocks'>;
export type QueueField = keyof typeof QUEUE;
export type Direction = 'rx' | 'tx';
export const QUEUE_NUMBERS = [0, 1] as const satisfies { length: typeof QUEUES };

export class GuestState {
  readonly ram: GuestRam;

  constructor(ram: GuestRam) {
    this.ram = ram;
  }

  get(field: StateField, index = 0): number {
    return this.ram.load(stateAddress(STATE[field] + index));
  }

  set(field: StateField, value: number, index = 0): void {
    this.ram.store(stateAddress(STATE[field] + index), value);
  }

  getNs(field: StateField): number {
    return this.ram.loadDouble(stateAddress(STATE[field]));
  }

  setNs(field: StateField, value: number): void {
    this.ram.storeDouble(stateAddress(STATE[field]), value);
  }

  queue(direction: Direction, queue: number, field: QueueField, index = 0): number {
    return this.ram.load(queueAddress(direction, queue, QUEUE[field] + index));
  }

  setQueue(direction: Direction, queue: number, field: QueueField, value: number, index = 0): void {
    this.ram.store(queueAddress(direction, queue, QUEUE[field] + index), value);
  }

  // --- chance: xorshift over one word ---------------------------------------------------------------------------------

  nextU32(): number {
    let x = this.get('chance');
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    this.set('chance', x);
    return x >>> 0;
  }

  int(below: number): number {
    return Math.floor(this.nextU32() * (below / 4294967296));
  }

  between(low: number, high: number): number {
    return low + this.int(high - low + 1);
  }

  chance(probability: number): boolean {
    return this.nextU32() < probability * 4294967296;
  }

  pick<T>(from: readonly T[]): T {
    return from[this.int(from.length)]!;
  }
}
