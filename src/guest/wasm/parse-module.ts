/**
 * Bytes -> WasmModule. Accepts WebAssembly 2.0 with threads; anything newer is refused by name.
 */
import { GuestImageError } from '../guest-image-error.js';
import { ByteReader } from './byte-reader.js';
import { skipConstantExpression } from './instructions.js';
import type {
  DataSegment,
  ElementSegment,
  FunctionBody,
  GlobalType,
  ImportDescription,
  Limits,
  TableType,
  WasmModule,
} from './wasm-module.js';

/** Local variables of one function; more would only serve to make the rewriter allocate. */
const MAX_LOCALS = 50_000;

const SECTION_NAME: Readonly<Record<number, string>> = { 13: 'exception tags', 14: 'string references' };

export function parseModule(bytes: Uint8Array): WasmModule {
  const reader = new ByteReader(bytes);
  const magic = [0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00];
  for (const expected of magic) {
    if (reader.byte() !== expected)
      throw reader.malformed('this is not a core WebAssembly module of version 1');
  }
  const module: WasmModule = {
    types: [],
    imports: [],
    functions: [],
    tables: [],
    memories: [],
    globals: [],
    exports: [],
    start: null,
    elements: [],
    hasDataCount: false,
    bodies: [],
    data: [],
  };
  while (!reader.done) {
    const id = reader.byte();
    const length = reader.u32();
    const section = new ByteReader(bytes, reader.at, reader.at + length);
    reader.skip(length);
    readSection(module, id, section);
  }
  if (module.functions.length !== module.bodies.length) {
    throw reader.malformed(
      `${module.functions.length} functions are declared but ${module.bodies.length} have bodies`,
    );
  }
  return module;
}

function readSection(module: WasmModule, id: number, section: ByteReader): void {
  switch (id) {
    case 0:
      return; // custom: names, producers, debug information
    case 1:
      module.types = section.vector(readFunctionType);
      break;
    case 2:
      module.imports = section.vector((r) => ({
        module: r.name(),
        field: r.name(),
        description: readImport(r),
      }));
      break;
    case 3:
      module.functions = section.vector((r) => r.u32());
      break;
    case 4:
      module.tables = section.vector(readTable);
      break;
    case 5:
      module.memories = section.vector(readMemory);
      break;
    case 6:
      module.globals = section.vector((r) => ({ type: readGlobalType(r), init: skipConstantExpression(r) }));
      break;
    case 7:
      module.exports = section.vector((r) => ({ name: r.name(), kind: r.byte(), index: r.u32() }));
      break;
    case 8:
      module.start = section.u32();
      break;
    case 9:
      module.elements = section.vector(readElements);
      break;
    case 10:
      module.bodies = section.vector(readBody);
      break;
    case 11:
      module.data = section.vector(readData);
      break;
    case 12:
      section.u32();
      module.hasDataCount = true;
      break;
    default:
      throw new GuestImageError(
        'unsupported-section',
        `the image uses a WebAssembly section that is not supported: ${SECTION_NAME[id] ?? 'number ' + id}`,
      );
  }
  if (!section.done) throw section.malformed(`section ${id} has bytes left over`);
}

function readFunctionType(reader: ByteReader): { params: number[]; results: number[] } {
  const form = reader.byte();
  if (form !== 0x60) {
    throw new GuestImageError(
      'unsupported-section',
      `the image uses a type that is not a plain function type (form 0x${form.toString(16)}, garbage collection?)`,
    );
  }
  return { params: reader.vector((r) => r.byte()), results: reader.vector((r) => r.byte()) };
}

function readImport(reader: ByteReader): ImportDescription {
  const kind = reader.byte();
  switch (kind) {
    case 0:
      return { kind: 'function', typeIndex: reader.u32() };
    case 1:
      return { kind: 'table', table: readTable(reader) };
    case 2:
      return { kind: 'memory', limits: readMemory(reader) };
    case 3:
      return { kind: 'global', global: readGlobalType(reader) };
    default:
      throw new GuestImageError('unsupported-section', `the image imports something of unknown kind ${kind}`);
  }
}

function readLimits(reader: ByteReader): Limits {
  const flags = reader.byte();
  if (flags & 4) {
    throw new GuestImageError(
      'memory64',
      'the image uses a 64-bit memory or table; only 32-bit ones are supported',
    );
  }
  if (flags > 3) throw reader.malformed(`unknown limits flags ${flags}`);
  const min = reader.u32();
  return { min, max: flags & 1 ? reader.u32() : null, shared: (flags & 2) !== 0 };
}

function readTable(reader: ByteReader): TableType {
  const elementType = reader.byte();
  if (elementType !== 0x70 && elementType !== 0x6f)
    throw reader.malformed(`unknown table type ${elementType}`);
  return { elementType, limits: readLimits(reader) };
}

function readMemory(reader: ByteReader): Limits {
  return readLimits(reader);
}

function readGlobalType(reader: ByteReader): GlobalType {
  return { valueType: reader.byte(), mutable: reader.byte() === 1 };
}

function readElements(reader: ByteReader): ElementSegment {
  const flags = reader.u32();
  if (flags > 7) throw reader.malformed(`unknown element segment flags ${flags}`);
  const active = (flags & 1) === 0;
  const tableIndex = active && flags & 2 ? reader.u32() : 0;
  const offset = active ? skipConstantExpression(reader) : null;
  const hasKind = (flags & 3) !== 0;
  const elementKind = hasKind ? reader.byte() : flags & 4 ? 0x70 : 0;
  const asExpressions = (flags & 4) !== 0;
  return {
    flags,
    tableIndex,
    offset,
    elementKind,
    functions: asExpressions ? [] : reader.vector((r) => r.u32()),
    expressions: asExpressions ? reader.vector(skipConstantExpression) : [],
  };
}

function readBody(reader: ByteReader): FunctionBody {
  const size = reader.u32();
  const body = new ByteReader(reader.bytes, reader.at, reader.at + size);
  reader.skip(size);
  const locals = body.vector((r) => ({ count: r.u32(), valueType: r.byte() }));
  if (locals.reduce((sum, group) => sum + group.count, 0) > MAX_LOCALS) {
    throw body.malformed('a function has too many local variables');
  }
  return { locals, code: body.take(body.end - body.at) };
}

function readData(reader: ByteReader): DataSegment {
  const flags = reader.u32();
  if (flags > 2) throw reader.malformed(`unknown data segment flags ${flags}`);
  if (flags === 2 && reader.u32() !== 0) {
    throw new GuestImageError('several-memories', 'the image fills a second memory; one memory is supported');
  }
  const offset = flags === 1 ? null : skipConstantExpression(reader);
  return { offset, bytes: reader.take(reader.u32()) };
}
