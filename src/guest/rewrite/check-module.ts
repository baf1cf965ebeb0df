/**
 * What the rewriter cannot carry across a migration is refused here, before anything is built.
 */
import { WASM_PAGE_BYTES } from '../../machine/layout.js';
import { GuestImageError } from '../guest-image-error.js';
import type { Instruction } from '../wasm/instructions.js';
import { OP } from '../wasm/opcodes.js';
import { VALUE_TYPE, type WasmModule } from '../wasm/wasm-module.js';
import { checkWorld } from '../world.js';

const SAVED_GLOBAL_TYPES: readonly number[] = [
  VALUE_TYPE.i32,
  VALUE_TYPE.i64,
  VALUE_TYPE.f32,
  VALUE_TYPE.f64,
];

const TABLE_MUTATION: Readonly<Record<number, string>> = {
  [OP.tableSet]: 'table.set',
  [OP.tableInit]: 'table.init',
  [OP.elemDrop]: 'elem.drop',
  [OP.tableCopy]: 'table.copy',
  [OP.tableGrow]: 'table.grow',
  [OP.tableFill]: 'table.fill',
};

/** Checks everything but the instructions. */
export function checkModule(module: WasmModule, ramBytes: number, maxGlobals: number): void {
  checkWorld(module);
  if (module.memories.length === 0) {
    throw new GuestImageError(
      'no-memory',
      'the image has no memory of its own, so it cannot drive a network card',
    );
  }
  if (module.memories.length > 1) {
    throw new GuestImageError(
      'several-memories',
      `the image has ${module.memories.length} memories; one memory, which becomes the guest's RAM, is supported`,
    );
  }
  const neededBytes = module.memories[0].min * WASM_PAGE_BYTES;
  if (neededBytes > ramBytes) {
    throw new GuestImageError(
      'too-much-memory',
      `the image starts with ${neededBytes} bytes of memory but the machine has ${ramBytes}: give it more memory`,
    );
  }
  const mutable = module.globals.filter((entry) => entry.type.mutable);
  if (mutable.length > maxGlobals) {
    throw new GuestImageError(
      'too-many-globals',
      `the image has ${mutable.length} mutable globals; at most ${maxGlobals} can be saved`,
    );
  }
  if (mutable.some((entry) => !SAVED_GLOBAL_TYPES.includes(entry.type.valueType))) {
    throw new GuestImageError(
      'unsupported-instruction',
      'the image has a mutable global that holds a vector or a reference, which cannot be saved',
    );
  }
}

/** Checks one body. */
export function checkInstructions(instructions: readonly Instruction[]): void {
  for (const { op } of instructions) {
    const mutation = TABLE_MUTATION[op];
    if (mutation !== undefined) {
      throw new GuestImageError(
        'table-mutation',
        `the image changes its function table at run time (${mutation}), which cannot be moved to another host`,
      );
    }
    if (op === OP.atomicWait32 || op === OP.atomicWait64) {
      throw new GuestImageError(
        'unsupported-instruction',
        'the image waits inside memory.atomic.wait, out of the monitor’s reach; use wait-for-interrupt instead',
      );
    }
  }
}
