/**
 * The world that a guest image must be of, as its core module shows it: guest-images/wit/guest.wit in another form.
 */
import { GuestImageError } from './guest-image-error.js';
import {
  EXTERNAL_KIND,
  type FunctionType,
  functionType,
  VALUE_TYPE,
  type WasmModule,
} from './wasm/wasm-module.js';

const { i32, i64 } = VALUE_TYPE;

/** Interface name as core modules spell it. */
export const MACHINE_MODULE = 'srvm:guest/machine@0.1.0';
/** The same, as the component toolchain spells it. */
export const MACHINE_INTERFACE = 'srvm:guest/machine';
export const RUN_EXPORT = 'run';
/** The rewriter exports the mutable globals under this name and a number. */
export const GLOBAL_EXPORT_PREFIX = '__global';
/** What some toolchains export to be called before `run`, besides the start section. */
export const INITIALIZE_EXPORT = '_initialize';
/** Module and fields of what the rewriter imports. */
export const HOST_MODULE = 'env';
export const POLL_FIELD = 'poll';
export const MEMORY_FIELD = 'memory';

/** Functions of the machine interface. */
export const MACHINE_FUNCTIONS: Readonly<Record<string, FunctionType>> = {
  'pci-read': { params: [i32, i32], results: [i32] },
  'pci-write': { params: [i32, i32, i32], results: [] },
  'bar-read': { params: [i32, i32, i32], results: [i32] },
  'bar-write': { params: [i32, i32, i32, i32], results: [] },
  'wait-for-interrupt': { params: [i32], results: [i32] },
  'clock-ns': { params: [], results: [i64] },
  'console-write': { params: [i32], results: [] },
  'command-line': { params: [i32], results: [i32] },
};

/** The one import after which the guest may be stopped: it blocks, and returns early when the monitor wants something. */
export const BLOCKING_FUNCTION = 'wait-for-interrupt';

function sameType(a: FunctionType, b: FunctionType): boolean {
  return a.params.join() === b.params.join() && a.results.join() === b.results.join();
}

/** Refuses a core module that asks for more than the machine gives, or does not have `run`. */
export function checkWorld(module: WasmModule): void {
  for (const entry of module.imports) {
    const wanted = `${entry.module}#${entry.field}`;
    const expected = entry.module === MACHINE_MODULE ? MACHINE_FUNCTIONS[entry.field] : undefined;
    if (entry.description.kind !== 'function' || expected === undefined) {
      throw wrongWorld(`it imports ${wanted}, which this machine does not have`);
    }
    const actual = module.types[entry.description.typeIndex];
    if (actual === undefined || !sameType(actual, expected))
      throw wrongWorld(`it imports ${wanted} with another type`);
  }
  const run = module.exports.find(
    (entry) => entry.kind === EXTERNAL_KIND.function && entry.name === RUN_EXPORT,
  );
  if (run === undefined) throw wrongWorld('it does not export the function "run"');
  const type = functionType(module, run.index);
  if (type === null || !sameType(type, { params: [], results: [i32] })) {
    throw wrongWorld('its export "run" is not a function without parameters that returns a u32');
  }
}

export function wrongWorld(what: string): GuestImageError {
  return new GuestImageError(
    'wrong-world',
    `the image is not of the world srvm:guest/guest@0.1.0: ${what}. Build it against guest-images/wit/guest.wit`,
  );
}
