/**
 * What runs at each VM exit, in the vCPU's thread: a write of a queue's tail or of another of its registers is looked at
 * before the device has it.
 */
import type { CreateExitHandler, ExitHandler, ExitView } from 'srvm/plugin';
import { vf82599 } from 'srvm/plugin';
import { RxQueue } from './rx-queue.js';
import { TxQueue } from './tx-queue.js';
import { COUNTER } from './words.js';

const { QUEUE_STRIDE, QUEUES, RX, RX_BLOCK, TX, TX_BLOCK } = vf82599;
const SHIFT = Math.log2(QUEUE_STRIDE);
const queues = [...Array(QUEUES).keys()];
const isOneOf =
  (registers: readonly number[]): ((offset: number) => boolean) =>
  (offset) =>
    registers.includes(offset);
const isRxControl = isOneOf([RX.RDBAL, RX.RDBAH, RX.RDLEN, RX.RDH, RX.SRRCTL, RX.RXDCTL]);
const isTxControl = isOneOf([TX.TDBAL, TX.TDBAH, TX.TDLEN, TX.TDH, TX.TXDCTL, TX.TDWBAL, TX.TDWBAH]);

class DoorbellHandler implements ExitHandler {
  readonly #shared: Int32Array;
  readonly #rx: readonly RxQueue[];
  readonly #tx: readonly TxQueue[];

  constructor(view: ExitView) {
    this.#shared = view.shared;
    this.#rx = queues.map((queue) => new RxQueue(view, queue));
    this.#tx = queues.map((queue) => new TxQueue(view, queue));
  }

  write(offset: number, value: number, carryOut: () => void): void {
    const register = offset & (QUEUE_STRIDE - 1);
    const isRx = offset < TX_BLOCK;
    const index = (offset - (isRx ? RX_BLOCK : TX_BLOCK)) >> SHIFT;
    if (isRx) this.#rxWrite(this.#rx[index], register, value, carryOut);
    else this.#txWrite(this.#tx[index], register, value, carryOut);
  }

  #rxWrite(queue: RxQueue | undefined, register: number, value: number, carryOut: () => void): void {
    if (register === RX.RDT && queue !== undefined) {
      this.#count(COUNTER.rxTailWrites);
      queue.tailWritten(value & 0xffff);
    } else if (isRxControl(register) && queue !== undefined) {
      this.#count(COUNTER.controlWrites);
      queue.beforeControl(register, value);
      carryOut();
      queue.afterControl(register, value);
    }
    carryOut();
  }

  #txWrite(queue: TxQueue | undefined, register: number, value: number, carryOut: () => void): void {
    if (register === TX.TDT && queue !== undefined) {
      this.#count(COUNTER.txTailWrites);
      queue.tailWritten(value & 0xffff);
    } else if (isTxControl(register) && queue !== undefined) {
      this.#count(COUNTER.controlWrites);
      queue.beforeControl();
      carryOut();
      queue.afterControl();
    }
    carryOut();
  }

  #count(counter: number): void {
    this.#shared[counter] = (this.#shared[counter]! + 1) | 0;
  }
}

export const createExitHandler: CreateExitHandler = (view) => new DoorbellHandler(view);
