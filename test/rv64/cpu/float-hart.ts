/** Runs one floating-point instruction at a time: operands in f1, f2, f4, result in f3 or x3. */

import * as AT from '../../../src/rv64/cpu/wasm/offsets.js';
import { I } from './assembler.js';
import { type Format, type Mode, type Result, SINGLE } from './float-model.js';
import { TestHart } from './test-hart.js';

const BOX = 0xffffffff_00000000n;
const OPERANDS = [1, 2, 4];
const HANDLER = 0x8000;
const FS_INITIAL = 1;
const CAUSE = 0x142;
const STVEC = 0x105;

export class FloatHart extends TestHart {
  readonly #words = new Int32Array(this.memory.buffer, this.layout.cpuOffset, AT.PAGE / 4);
  /** Where each instruction that was ever asked for lies. */
  readonly #places = new Map<number, number>();

  constructor() {
    super();
    this.put([I.csrrs(31, CAUSE, 0), I.ecall()], HANDLER);
  }

  compute(
    word: number,
    operands: readonly bigint[],
    from: Format,
    to: Format,
    mode: Mode,
    before: number,
  ): Result {
    this.#operands(operands, from);
    this.#words[AT.FRM / 4] = mode;
    this.#words[AT.FFLAGS / 4] = before;
    this.run(word);
    const bits = this.core.f(3);
    if (to === SINGLE && bits >> 32n !== 0xffffffffn) throw new Error('the result is not boxed');
    return { bits: to === SINGLE ? bits & 0xffffffffn : bits, flags: this.#words[AT.FFLAGS / 4]! };
  }

  computeInteger(word: number, operands: readonly bigint[], from: Format, mode: Mode): Result {
    this.#operands(operands, from);
    this.#words[AT.FRM / 4] = mode;
    this.#words[AT.FFLAGS / 4] = 0;
    this.run(word);
    return { bits: this.core.x(3), flags: this.#words[AT.FFLAGS / 4]! };
  }

  /** Runs one instruction; gives the cause of its trap, or 0. */
  run(word: number, fs = FS_INITIAL): number {
    let place = this.#places.get(word);
    if (place === undefined) {
      place = 0x10000 + this.#places.size * 8;
      this.#places.set(word, place);
      this.put([word, I.ecall()], place);
      this.core.flush();
    }
    this.#words[AT.FS / 4] = fs;
    this.core.setX(31, 0n);
    this.runFrom(place, 10);
    return Number(this.core.x(31));
  }

  traps(word: number, frm: number): number {
    this.#trapsGoToHandler();
    this.#words[AT.FRM / 4] = frm;
    return this.run(word);
  }

  trapsWhenOff(word: number): number {
    this.#trapsGoToHandler();
    return this.run(word, 0);
  }

  #trapsGoToHandler(): void {
    this.execute([I.auipc(5, 0), I.lui(6, HANDLER >> 12), I.add(5, 5, 6), I.csrrw(0, STVEC, 5)], 0);
  }

  #operands(operands: readonly bigint[], format: Format): void {
    operands.forEach((bits, i) => {
      this.core.setF(OPERANDS[i]!, format === SINGLE ? bits | BOX : bits);
    });
  }
}
