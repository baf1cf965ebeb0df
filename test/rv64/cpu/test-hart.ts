/** A hart with a little RAM, for tests: programs are put at an address and run until they ECALL. */
import { type CorePorts, RUN, Rv64Core } from '../../../src/rv64/cpu/core.js';
import { createRv64Memory, rv64LayoutFor } from '../../../src/rv64/cpu/layout.js';
import { RAM_BASE } from '../../../src/rv64/cpu/wasm/offsets.js';
import { encode } from './assembler.js';

export const BASE = BigInt(RAM_BASE);
/** More pages than the core keeps decoded. */
const RAM_BYTES = 16 * 1024 * 1024;

export class TestHart {
  readonly layout = rv64LayoutFor(RAM_BYTES);
  readonly memory = createRv64Memory(this.layout);
  readonly ram = new Uint8Array(this.memory.buffer, 0, RAM_BYTES);
  readonly view = new DataView(this.memory.buffer);
  readonly core: Rv64Core;
  /** What `time` reads. */
  ticks = 0;

  constructor(ports: Partial<CorePorts> = {}) {
    this.core = new Rv64Core(this.memory, this.layout, {
      mmioRead: () => 0,
      mmioWrite() {},
      time: () => this.ticks,
      ...ports,
    });
    this.core.reset(RAM_BASE, 0, 0);
  }

  /** Puts instructions at an offset of RAM. */
  put(words: readonly number[], offset = 0): void {
    this.ram.set(encode(words), offset);
  }

  /** Runs from an offset of RAM until S mode makes an ECALL; gives the exit's reason. */
  runFrom(offset: number, budget = 100_000): number {
    this.core.pc = BASE + BigInt(offset);
    return this.core.run(budget);
  }

  /** Puts and runs a program, which must come to the ECALL behind it. */
  execute(words: readonly number[], offset = 0): void {
    this.put([...words, 0x00000073], offset);
    this.core.flush();
    const reason = this.runFrom(offset);
    if (reason !== RUN.ecall)
      throw new Error(`the program ended with ${reason} at ${this.core.pc.toString(16)}`);
  }
}
