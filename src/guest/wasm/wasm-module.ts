/**
 * A core WebAssembly module taken apart, as far as the rewriter needs: indices as numbers, bodies and constant
 * expressions as bytes. Custom sections are dropped (names and debug information would be wrong after rewriting).
 */

export const VALUE_TYPE = {
  i32: 0x7f,
  i64: 0x7e,
  f32: 0x7d,
  f64: 0x7c,
  v128: 0x7b,
  funcref: 0x70,
  externref: 0x6f,
} as const;
export const EXTERNAL_KIND = { function: 0, table: 1, memory: 2, global: 3 } as const;

export interface FunctionType {
  readonly params: readonly number[];
  readonly results: readonly number[];
}

export interface Limits {
  readonly min: number;
  readonly max: number | null;
  readonly shared: boolean;
}

export interface TableType {
  readonly elementType: number;
  readonly limits: Limits;
}

export interface GlobalType {
  readonly valueType: number;
  readonly mutable: boolean;
}

export type ImportDescription =
  | { readonly kind: 'function'; readonly typeIndex: number }
  | { readonly kind: 'table'; readonly table: TableType }
  | { readonly kind: 'memory'; readonly limits: Limits }
  | { readonly kind: 'global'; readonly global: GlobalType };

export interface WasmImport {
  readonly module: string;
  readonly field: string;
  readonly description: ImportDescription;
}

export interface WasmGlobal {
  readonly type: GlobalType;
  /** Constant expression with its end opcode. */
  readonly init: Uint8Array;
}

export interface WasmExport {
  readonly name: string;
  readonly kind: number;
  readonly index: number;
}

/** What fills a table or is kept for table.init. */
export interface ElementSegment {
  /** The flag word of the binary format: bit 0 passive or declarative, bit 1 explicit table, bit 2 expressions. */
  readonly flags: number;
  readonly tableIndex: number;
  /** Null when not active. */
  readonly offset: Uint8Array | null;
  /** The element kind or reference type byte, where the flags say that one is present. */
  readonly elementKind: number;
  readonly functions: readonly number[];
  readonly expressions: readonly Uint8Array[];
}

export interface DataSegment {
  /** Constant expression of an active segment; null when passive. */
  readonly offset: Uint8Array | null;
  readonly bytes: Uint8Array;
}

export interface LocalGroup {
  readonly count: number;
  readonly valueType: number;
}

export interface FunctionBody {
  readonly locals: readonly LocalGroup[];
  /** Instructions with the final end opcode. */
  readonly code: Uint8Array;
}

export interface WasmModule {
  types: FunctionType[];
  imports: WasmImport[];
  /** Type index of each defined function. */
  functions: number[];
  tables: TableType[];
  memories: Limits[];
  globals: WasmGlobal[];
  exports: WasmExport[];
  start: number | null;
  elements: ElementSegment[];
  hasDataCount: boolean;
  bodies: FunctionBody[];
  data: DataSegment[];
}

/** How many functions are imported, which is the index of the first defined one. */
export function importedFunctionCount(module: WasmModule): number {
  return module.imports.filter((entry) => entry.description.kind === 'function').length;
}

/** How many globals are imported, which is the index of the first defined one. */
export function importedGlobalCount(module: WasmModule): number {
  return module.imports.filter((entry) => entry.description.kind === 'global').length;
}

/** Type index of any function, imported or defined; null when there is no such function. */
export function functionTypeIndex(module: WasmModule, functionIndex: number): number | null {
  let imported = 0;
  for (const { description } of module.imports) {
    if (description.kind !== 'function') continue;
    if (imported === functionIndex) return description.typeIndex;
    imported++;
  }
  return module.functions[functionIndex - imported] ?? null;
}

export function functionType(module: WasmModule, functionIndex: number): FunctionType | null {
  const typeIndex = functionTypeIndex(module, functionIndex);
  return typeIndex === null ? null : (module.types[typeIndex] ?? null);
}

/** Index of a function type, added when it is not there yet. */
export function internType(
  module: WasmModule,
  params: readonly number[],
  results: readonly number[],
): number {
  const same = (a: readonly number[], b: readonly number[]) =>
    a.length === b.length && a.every((v, i) => v === b[i]);
  const found = module.types.findIndex((type) => same(type.params, params) && same(type.results, results));
  if (found >= 0) return found;
  module.types.push({ params, results });
  return module.types.length - 1;
}
