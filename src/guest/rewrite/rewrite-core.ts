/**
 * A guest's core module -> its two builds.
 *
 *   parse -> check -> share memory, export globals, boot, polls -> Asyncify, O2 -> PLAIN -> log stores -> LOGGING
 *
 * Logging goes in last, so that both builds have the same frames and call indices: a guest stopped in one goes on in
 * the other.
 */
import { layoutFor, MAX_GLOBALS, type MemoryLayout } from '../../machine/layout.js';
import { GuestImageError } from '../guest-image-error.js';
import { encodeModule } from '../wasm/encode-module.js';
import { decodeBody, type Instruction } from '../wasm/instructions.js';
import { OP } from '../wasm/opcodes.js';
import { parseModule } from '../wasm/parse-module.js';
import {
  EXTERNAL_KIND,
  functionType,
  importedFunctionCount,
  importedGlobalCount,
  internType,
  VALUE_TYPE,
  type WasmExport,
  type WasmModule,
} from '../wasm/wasm-module.js';
import {
  BLOCKING_FUNCTION,
  GLOBAL_EXPORT_PREFIX,
  HOST_MODULE,
  INITIALIZE_EXPORT,
  POLL_FIELD,
  RUN_EXPORT,
} from '../world.js';
import { bootBody, growBody } from './added-functions.js';
import { asyncify } from './asyncify.js';
import { callGraphOf } from './call-graph.js';
import { checkInstructions, checkModule } from './check-module.js';
import { CodeWriter } from './code-writer.js';
import { BodyEmitter, renumber } from './emit-bodies.js';
import { logStores } from './log-stores.js';
import { LoopBounds } from './loop-bounds.js';
import { PollPlanner } from './poll-plan.js';
import { type BootData, shareMemory } from './share-memory.js';
import { ValueBounds } from './value-bounds.js';

export interface RewrittenCore {
  readonly plainWasm: Uint8Array;
  readonly logWasm: Uint8Array;
  readonly dataSegments: readonly BootData[];
  readonly initialPages: number;
  readonly maxPages: number;
  /** Value type of each mutable global, in order; exported as `__global0`, `__global1`, ... */
  readonly globalTypes: readonly number[];
}

export function rewriteCore(wasm: Uint8Array, ramBytes: number): RewrittenCore {
  const layout = layoutFor(ramBytes);
  const module = parseModule(wasm);
  checkModule(module, ramBytes, MAX_GLOBALS);
  const bodies = module.bodies.map(({ code }) => decodeBody(code));
  bodies.forEach(checkInstructions);
  if (!WebAssembly.validate(wasm as BufferSource)) {
    throw new GuestImageError('malformed', 'the image’s WebAssembly is not valid');
  }
  const memory = shareMemory(module, ramBytes, layout.totalBytes);
  instrument(module, bodies, layout, memory.maxPages);
  const globalTypes = exportGlobals(module);
  const plainWasm = asyncify(encodeModule(module));
  const logging = parseModule(plainWasm);
  logStores(logging, layout.dirtyLogOffset);
  return { plainWasm, logWasm: encodeModule(logging), globalTypes, ...memory };
}

/** Polls, the boot function, memory.grow; the exports become `run` alone. */
function instrument(
  module: WasmModule,
  bodies: readonly (readonly Instruction[])[],
  layout: MemoryLayout,
  maxPages: number,
): void {
  const { controlOffset } = layout;
  const graph = callGraphOf(module, bodies);
  const { importedFunctions } = graph;
  const blockingImport = functionImportIndex(module, BLOCKING_FUNCTION);
  const bounds = new LoopBounds(graph, new ValueBounds(module, graph), layout.totalBytes);
  const plan = new PollPlanner(graph, bounds, blockingImport).plan();
  const paramCounts = module.functions.map(
    (_, i) => functionType(module, importedFunctions + i)!.params.length,
  );

  const pollFunction = importedFunctions;
  module.imports.push({
    module: HOST_MODULE,
    field: POLL_FIELD,
    description: { kind: 'function', typeIndex: internType(module, [], []) },
  });
  const growFunction = importedFunctions + 1 + module.functions.length;
  const context = {
    controlOffset,
    importedFunctions,
    pollFunction,
    growFunction,
    blockingImport: blockingImport ?? -1,
  };
  module.bodies = module.bodies.map((body, i) =>
    new BodyEmitter(context, body, paramCounts[i], graph.bodies[i], plan[i]).emit(),
  );
  addFunction(module, [VALUE_TYPE.i32], [VALUE_TYPE.i32], growBody(controlOffset, maxPages));
  renumberReferences(module, importedFunctions);
  const starts = [module.start, exportedFunction(module, INITIALIZE_EXPORT)].filter((f) => f !== null);
  const boot = bootBody(starts, exportedFunction(module, RUN_EXPORT)!);
  const bootIndex = addFunction(module, [], [VALUE_TYPE.i32], boot);
  module.start = null;
  module.exports = [{ name: RUN_EXPORT, kind: EXTERNAL_KIND.function, index: bootIndex }];
}

function functionImportIndex(module: WasmModule, field: string): number | null {
  const functions = module.imports.filter((entry) => entry.description.kind === 'function');
  const index = functions.findIndex((entry) => entry.field === field);
  return index < 0 ? null : index;
}

function addFunction(
  module: WasmModule,
  params: readonly number[],
  results: readonly number[],
  body: WasmModule['bodies'][number],
): number {
  module.functions.push(internType(module, params, results));
  module.bodies.push(body);
  return importedFunctionCount(module) + module.functions.length - 1;
}

/** The function references outside bodies. Reference expressions of globals and segments are single ref.func or null. */
function renumberReferences(module: WasmModule, importedFunctions: number): void {
  const moved = (index: number) => renumber(index, importedFunctions);
  module.elements = module.elements.map((segment) => ({
    ...segment,
    functions: segment.functions.map(moved),
    expressions: segment.expressions.map((e) => renumberExpression(e, importedFunctions)),
  }));
  module.globals = module.globals.map((g) => ({ ...g, init: renumberExpression(g.init, importedFunctions) }));
  module.exports = module.exports.map((entry) =>
    entry.kind === EXTERNAL_KIND.function ? { ...entry, index: moved(entry.index) } : entry,
  );
  if (module.start !== null) module.start = moved(module.start);
}

function renumberExpression(expression: Uint8Array, importedFunctions: number): Uint8Array {
  const out = new CodeWriter();
  for (const { op, a, at, end } of decodeBody(expression)) {
    if (op === OP.refFunc) out.op(op).u32(renumber(a, importedFunctions));
    else out.raw(expression.subarray(at, end));
  }
  return out.finish();
}

function exportedFunction(module: WasmModule, name: string): number | null {
  const found = module.exports.find((entry) => entry.kind === EXTERNAL_KIND.function && entry.name === name);
  return found === undefined ? null : found.index;
}

/** Exports every mutable global, so that the host can save and restore it. Returns their value types. */
function exportGlobals(module: WasmModule): number[] {
  const imported = importedGlobalCount(module);
  const types: number[] = [];
  module.globals.forEach(({ type }, i) => {
    if (!type.mutable) return;
    const name = `${GLOBAL_EXPORT_PREFIX}${types.length}`;
    const entry: WasmExport = { name, kind: EXTERNAL_KIND.global, index: imported + i };
    module.exports.push(entry);
    types.push(type.valueType);
  });
  return types;
}
