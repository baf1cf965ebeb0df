/**
 * WasmModule -> bytes. The inverse of parse-module; sections come out in the order that the format asks for.
 */
import { ByteWriter } from './byte-writer.js';
import {
  type ElementSegment,
  EXTERNAL_KIND,
  type GlobalType,
  type ImportDescription,
  type Limits,
  type WasmModule,
} from './wasm-module.js';

export function encodeModule(module: WasmModule): Uint8Array {
  const out = new ByteWriter();
  out.raw(Uint8Array.of(0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00));
  listSection(out, 1, module.types, (type, w) => {
    w.byte(0x60)
      .vector(type.params, (t) => w.byte(t))
      .vector(type.results, (t) => w.byte(t));
  });
  listSection(out, 2, module.imports, (entry, w) => {
    w.name(entry.module).name(entry.field);
    writeImport(w, entry.description);
  });
  listSection(out, 3, module.functions, (typeIndex, w) => w.u32(typeIndex));
  listSection(out, 4, module.tables, (table, w) => {
    w.byte(table.elementType);
    writeLimits(w, table.limits);
  });
  listSection(out, 5, module.memories, (limits, w) => writeLimits(w, limits));
  listSection(out, 6, module.globals, (entry, w) => {
    writeGlobalType(w, entry.type);
    w.raw(entry.init);
  });
  listSection(out, 7, module.exports, (entry, w) => w.name(entry.name).byte(entry.kind).u32(entry.index));
  const { start } = module;
  if (start !== null) out.byte(8).sized((w) => w.u32(start));
  listSection(out, 9, module.elements, (segment, w) => writeElements(w, segment));
  if (module.hasDataCount) out.byte(12).sized((w) => w.u32(module.data.length));
  listSection(out, 10, module.bodies, (body, w) => {
    w.sized((inner) => {
      inner.vector(body.locals, (group) => inner.u32(group.count).byte(group.valueType)).raw(body.code);
    });
  });
  listSection(out, 11, module.data, (segment, w) => {
    if (segment.offset === null) w.u32(1);
    else w.u32(0).raw(segment.offset);
    w.u32(segment.bytes.length).raw(segment.bytes);
  });
  return out.finish();
}

function listSection<T>(
  out: ByteWriter,
  id: number,
  items: readonly T[],
  write: (item: T, w: ByteWriter) => void,
): void {
  if (items.length === 0) return;
  out.byte(id).sized((w) => {
    w.vector(items, write);
  });
}

function writeImport(w: ByteWriter, description: ImportDescription): void {
  switch (description.kind) {
    case 'function':
      w.byte(EXTERNAL_KIND.function).u32(description.typeIndex);
      return;
    case 'table':
      w.byte(EXTERNAL_KIND.table).byte(description.table.elementType);
      writeLimits(w, description.table.limits);
      return;
    case 'memory':
      w.byte(EXTERNAL_KIND.memory);
      writeLimits(w, description.limits);
      return;
    case 'global':
      w.byte(EXTERNAL_KIND.global);
      writeGlobalType(w, description.global);
  }
}

function writeLimits(w: ByteWriter, limits: Limits): void {
  w.byte((limits.max === null ? 0 : 1) | (limits.shared ? 2 : 0)).u32(limits.min);
  if (limits.max !== null) w.u32(limits.max);
}

function writeGlobalType(w: ByteWriter, type: GlobalType): void {
  w.byte(type.valueType).byte(type.mutable ? 1 : 0);
}

function writeElements(w: ByteWriter, segment: ElementSegment): void {
  w.u32(segment.flags);
  if (segment.offset !== null) {
    if (segment.flags & 2) w.u32(segment.tableIndex);
    w.raw(segment.offset);
  }
  if (segment.flags & 3) w.byte(segment.elementKind);
  if (segment.flags & 4) w.vector(segment.expressions, (e) => w.raw(e));
  else w.vector(segment.functions, (f) => w.u32(f));
}
