/**
 * What is typed, on its way to the vCPU's thread: a ring in the control page, where a component keeps its globals.
 *
 *   word 0 written | word 1 read (both count bytes, modulo 2^32) | ring of RING_BYTES
 */
import { wakeVcpu } from '../../machine/interrupt-lines.js';
import { CTRL, type MemoryLayout } from '../../machine/layout.js';
import { controlWords } from '../../machine/memory.js';

const WRITTEN = CTRL.globals;
const READ = CTRL.globals + 1;
const RING_WORD = CTRL.globals + 4;
/** A power of two that fits into the globals' room. */
const RING_BYTES = 512;

export class TerminalInput {
  readonly #control: Int32Array;
  readonly #ring: Uint8Array;

  constructor(memory: WebAssembly.Memory, layout: MemoryLayout) {
    this.#control = controlWords(memory, layout);
    this.#ring = new Uint8Array(memory.buffer, layout.controlOffset + RING_WORD * 4, RING_BYTES);
  }

  /** Main thread: hands bytes over and wakes the vCPU. Returns how many there was room for. */
  write(bytes: Uint8Array): number {
    const control = this.#control;
    const written = Atomics.load(control, WRITTEN);
    const room = RING_BYTES - ((written - Atomics.load(control, READ)) | 0);
    // the guest can write the control page: counters that cannot be mean no room
    const fits = room > 0 && room <= RING_BYTES ? Math.min(room, bytes.length) : 0;
    for (let i = 0; i < fits; i++) this.#ring[(written + i) & (RING_BYTES - 1)] = bytes[i]!;
    Atomics.store(control, WRITTEN, (written + fits) | 0);
    Atomics.store(control, CTRL.attention, 1);
    wakeVcpu(control);
    return fits;
  }

  /** vCPU's thread: takes what is there. */
  read(): Uint8Array {
    const control = this.#control;
    const read = Atomics.load(control, READ);
    const written = Atomics.load(control, WRITTEN);
    const available = (written - read) | 0;
    if (available < 0 || available > RING_BYTES) {
      // the guest wrote the control page: what is in the ring means nothing
      Atomics.store(control, READ, written);
      return new Uint8Array(0);
    }
    const bytes = new Uint8Array(available);
    for (let i = 0; i < bytes.length; i++) bytes[i] = this.#ring[(read + i) & (RING_BYTES - 1)]!;
    Atomics.store(control, READ, (read + bytes.length) | 0);
    return bytes;
  }
}
