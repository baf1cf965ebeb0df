/**
 * Guest RAM as the scripted guest's CPU has it. Every store goes through here and is marked in the dirty log while the
 * logging build runs, as that build's code does: after the store. A mark may stay behind for a moment, as an instruction
 * does that is still to come; flushMarks() is called before anybody can stop the vCPU.
 */
import { PAGE_SHIFT } from '../../../hardware/units.js';
import { CTRL, type MemoryLayout, VCPU_BUILD } from '../../../machine/layout.js';
import { controlWords } from '../../../machine/memory.js';

export class GuestRam {
  readonly bytes: Uint8Array;
  readonly ramBytes: number;
  readonly #view: DataView;
  readonly #words: Int32Array;
  readonly #log: Uint8Array;
  readonly #control: Int32Array;
  #lateFirst = -1;
  #lateLast = -1;

  constructor(memory: WebAssembly.Memory, layout: MemoryLayout) {
    this.ramBytes = layout.ramBytes;
    this.bytes = new Uint8Array(memory.buffer, 0, layout.ramBytes);
    this.#view = new DataView(memory.buffer, 0, layout.ramBytes);
    this.#words = new Int32Array(memory.buffer, 0, layout.ramBytes >> 2);
    this.#log = new Uint8Array(memory.buffer, layout.dirtyLogOffset, layout.ramPages);
    this.#control = controlWords(memory, layout);
  }

  /** @param address a multiple of 4 */
  load(address: number): number {
    return this.#words[address >> 2]!;
  }

  /** @param address a multiple of 4 */
  store(address: number, value: number): void {
    this.#words[address >> 2] = value;
    this.#mark(address, 4);
  }

  loadByte(address: number): number {
    return this.bytes[address]!;
  }

  storeByte(address: number, value: number): void {
    this.bytes[address] = value;
    this.#mark(address, 1);
  }

  loadDouble(address: number): number {
    return this.#view.getFloat64(address, true);
  }

  storeDouble(address: number, value: number): void {
    this.#view.setFloat64(address, value, true);
    this.#mark(address, 8);
  }

  storeBytes(address: number, from: Uint8Array): void {
    this.bytes.set(from, address);
    this.#mark(address, from.length);
  }

  fill(address: number, bytes: number, value = 0): void {
    this.bytes.fill(value, address, address + bytes);
    this.#mark(address, bytes);
  }

  flushMarks(): void {
    if (this.#lateFirst < 0) return;
    this.#log.fill(1, this.#lateFirst, this.#lateLast + 1);
    this.#lateFirst = -1;
  }

  #mark(address: number, bytes: number): void {
    if (this.#control[CTRL.activeBuild] !== VCPU_BUILD.logging) return;
    this.flushMarks();
    this.#lateFirst = address >>> PAGE_SHIFT;
    this.#lateLast = (address + bytes - 1) >>> PAGE_SHIFT;
  }
}
