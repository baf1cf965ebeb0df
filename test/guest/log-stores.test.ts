/**
 * The logging pass on its own: exactly the pages that were written, whatever follows the store.
 */
import { describe, expect, it } from 'vitest';
import { CodeWriter } from '../../src/guest/rewrite/code-writer.js';
import { logStores } from '../../src/guest/rewrite/log-stores.js';
import { encodeModule } from '../../src/guest/wasm/encode-module.js';
import { OP } from '../../src/guest/wasm/opcodes.js';
import { EXTERNAL_KIND, VALUE_TYPE } from '../../src/guest/wasm/wasm-module.js';

const { i32 } = VALUE_TYPE;
const LOG_OFFSET = 3 * 65536;
const PAGES = LOG_OFFSET / 4096;
const AT = 0;

/** Pages marked by `write`, whose parameter 0 is an address and parameter 1 is not zero. */
function marked(address: number, write: (out: CodeWriter) => void): number[] {
  const out = new CodeWriter();
  write(out);
  const module = {
    types: [{ params: [i32, i32], results: [] }],
    imports: [],
    functions: [0, 0],
    tables: [],
    memories: [{ min: 4, max: 4, shared: false }],
    globals: [],
    exports: [
      { name: 'f', kind: EXTERNAL_KIND.function, index: 0 },
      { name: 'memory', kind: EXTERNAL_KIND.memory, index: 0 },
    ],
    start: null,
    elements: [],
    hasDataCount: true,
    bodies: [
      { locals: [], code: out.end().finish() },
      { locals: [], code: new CodeWriter().end().finish() },
    ],
    data: [{ offset: null, bytes: new Uint8Array(9000) }],
  };
  logStores(module, LOG_OFFSET);
  const { exports } = new WebAssembly.Instance(new WebAssembly.Module(encodeModule(module) as BufferSource));
  (exports['f'] as (address: number, other: number) => void)(address, 1);
  const log = new Uint8Array((exports['memory'] as WebAssembly.Memory).buffer, LOG_OFFSET, PAGES);
  return [...log.keys()].filter((page) => log[page] !== 0);
}

const store = (out: CodeWriter, offset = 0) => out.get(AT).i32(7).memory(OP.i32Store, 2, offset);

describe('a store is logged', () => {
  it.each<[string, (out: CodeWriter) => void]>([
    ['at the end of the function', () => {}],
    ['before a return', (out) => out.op(OP.return)],
    ['before a branch', (out) => out.open(OP.block).br(0).end()],
    ['before a branch on a condition', (out) => out.get(1).brIf(0)],
    ['before a table of branches', (out) => out.i32(0).op(OP.brTable).u32(0).u32(0)],
    ['before an if', (out) => out.get(1).open(OP.if).op(OP.return).end()],
    ['before a loop that moves the address', (out) => out.open(OP.loop).i32(64).set(AT).end()],
    ['before a call', (out) => out.i32(0).i32(0).call(1)],
    ['before the address is given another value', (out) => out.i32(64).set(AT)],
    [
      'before the address is given another value on its way',
      (out) => out.i32(64).op(OP.localTee).u32(AT).op(OP.drop),
    ],
  ])('%s', (_name, follow) => {
    expect(marked(5 * 4096 + 8, (out) => follow(store(out)))).toEqual([5]);
    expect(
      marked(5 * 4096 + 4088, (out) => {
        store(out);
        follow(store(out, 8));
      }),
    ).toEqual([5, 6]);
  });

  it('at the end of an arm, of a block and of a loop', () => {
    for (const open of [OP.block, OP.loop]) {
      expect(marked(4096, (out) => store(out.open(open)).end())).toEqual([1]);
    }
    expect(marked(4096, (out) => store(out.get(1).open(OP.if)).op(OP.else).end())).toEqual([1]);
  });

  it('across a page when it is not aligned, by each width', () => {
    for (const [op, bytes] of [
      [OP.i32Store, 4],
      [0x3b, 2],
      [OP.i32Store8, 1],
    ]) {
      for (let at = 4096 - bytes; at <= 4096; at++) {
        const pages = marked(at, (out) => out.get(AT).i32(1).memory(op, 0, 0));
        expect(pages).toEqual([...new Set([at >> 12, (at + bytes - 1) >> 12])]);
      }
    }
  });

  it('in a group of any spread', () => {
    for (const spread of [4, 4088, 4092, 4096, 8192, 20_000]) {
      for (const at of [0, 4, 4092, 4093]) {
        const pages = marked(at, (out) => store(store(out, spread), 4));
        const touched = [at + spread, at + spread + 3, at + 4, at + 7].map((byte) => byte >> 12);
        // a group marks its first and last byte's pages; what lies between them was not written
        expect(pages).toEqual([...new Set(touched)].sort((a, b) => a - b));
      }
    }
  });

  it('when the operand changes the address that it is stored to', () => {
    // store(at, (at = 9 * 4096)): the old address is written
    const pages = marked(2 * 4096, (out) =>
      out
        .get(AT)
        .i32(9 * 4096)
        .op(OP.localTee)
        .u32(AT)
        .memory(OP.i32Store, 2, 0),
    );
    expect(pages).toEqual([2]);
  });
});

describe('bulk memory operations are logged', () => {
  const range = (from: number, count: number) =>
    count === 0
      ? []
      : Array.from({ length: ((from + count - 1) >> 12) - (from >> 12) + 1 }, (_, i) => (from >> 12) + i);

  it.each([0, 1, 4095, 4096, 4097, 8192, 8193, 9000])('%i bytes', (count) => {
    for (const at of [0, 1, 4095, 4096, 60_000]) {
      expect(marked(at, (out) => out.get(AT).i32(5).i32(count).op(OP.memoryFill).byte(0))).toEqual(
        range(at, count),
      );
      expect(
        marked(at, (out) => out.get(AT).i32(100_000).i32(count).op(OP.memoryCopy).byte(0).byte(0)),
      ).toEqual(range(at, count));
      expect(marked(at, (out) => out.get(AT).i32(0).i32(count).op(OP.memoryInit).u32(0).byte(0))).toEqual(
        range(at, count),
      );
    }
  });

  it('of no bytes at the end of memory, without a mark', () => {
    expect(marked(4 * 65536, (out) => out.get(AT).i32(5).i32(0).op(OP.memoryFill).byte(0))).toEqual([]);
  });
});
