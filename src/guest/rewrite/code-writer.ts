/**
 * A ByteWriter that knows the instructions the rewriter emits.
 */
import { ByteWriter } from '../wasm/byte-writer.js';
import { writeMemory, writeOpcode } from '../wasm/instructions.js';
import { OP } from '../wasm/opcodes.js';

/** Block type of a block without parameters or results. */
export const EMPTY_BLOCK = 0x40;

export class CodeWriter extends ByteWriter {
  op(op: number): this {
    writeOpcode(this, op);
    return this;
  }

  i32(value: number): this {
    return this.byte(OP.i32Const).signed(value | 0) as this;
  }

  get(local: number): this {
    return this.byte(OP.localGet).u32(local) as this;
  }

  set(local: number): this {
    return this.byte(OP.localSet).u32(local) as this;
  }

  tee(local: number): this {
    return this.byte(OP.localTee).u32(local) as this;
  }

  call(functionIndex: number): this {
    return this.byte(OP.call).u32(functionIndex) as this;
  }

  br(depth: number): this {
    return this.byte(OP.br).u32(depth) as this;
  }

  brIf(depth: number): this {
    return this.byte(OP.brIf).u32(depth) as this;
  }

  /** block, loop or if with an empty type unless told otherwise. */
  open(op: number, blockType = EMPTY_BLOCK): this {
    this.byte(op);
    return (blockType === EMPTY_BLOCK ? this.byte(EMPTY_BLOCK) : this.signed(blockType)) as this;
  }

  end(): this {
    return this.byte(OP.end) as this;
  }

  /** A load or store at its natural alignment (given as a power of two). */
  memory(op: number, alignLog2: number, offset: number): this {
    writeMemory(this, op, alignLog2, offset);
    return this;
  }
}
