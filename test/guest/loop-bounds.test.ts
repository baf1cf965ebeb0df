/**
 * Which loops get no poll: the bound must hold for every loop that really runs, and be found for the usual ones.
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { callGraphOf } from '../../src/guest/rewrite/call-graph.js';
import { CodeWriter } from '../../src/guest/rewrite/code-writer.js';
import { LoopBounds } from '../../src/guest/rewrite/loop-bounds.js';
import { turnsWhile } from '../../src/guest/rewrite/loop-guard.js';
import { ValueBounds } from '../../src/guest/rewrite/value-bounds.js';
import { encodeModule } from '../../src/guest/wasm/encode-module.js';
import { decodeBody } from '../../src/guest/wasm/instructions.js';
import { OP } from '../../src/guest/wasm/opcodes.js';
import { parseModule } from '../../src/guest/wasm/parse-module.js';
import { EXTERNAL_KIND, VALUE_TYPE, type WasmModule } from '../../src/guest/wasm/wasm-module.js';
import { compilePacketLoops } from './packet-loops.js';

const { i32 } = VALUE_TYPE;
const COMPARISONS = [
  OP.i32Ne,
  OP.i32LtS,
  OP.i32LtU,
  OP.i32GtS,
  OP.i32GtU,
  OP.i32LeS,
  OP.i32LeU,
  OP.i32GeS,
  OP.i32GeU,
];
const MAX_COUNTED = 20_000;

/** A module whose `run` holds one body; its local 0 counts turns and is returned. */
function moduleOf(write: (out: CodeWriter) => void): WasmModule {
  const out = new CodeWriter();
  write(out);
  return {
    types: [{ params: [], results: [i32] }],
    imports: [],
    functions: [0],
    tables: [],
    memories: [{ min: 1, max: null, shared: false }],
    globals: [],
    exports: [{ name: 'run', kind: EXTERNAL_KIND.function, index: 0 }],
    start: null,
    elements: [],
    hasDataCount: false,
    bodies: [{ locals: [{ count: 6, valueType: i32 }], code: out.get(0).end().finish() }],
    data: [],
  };
}

type Found = Map<string, number | null>;

function search(
  module: WasmModule,
  look: (bounds: LoopBounds, f: number, at: number) => number | null,
): Found {
  const graph = callGraphOf(
    module,
    module.bodies.map(({ code }) => decodeBody(code)),
  );
  const bounds = new LoopBounds(graph, new ValueBounds(module, graph), 65536);
  const found: Found = new Map();
  graph.bodies.forEach((body, f) => {
    body.forEach(({ op }, at) => {
      if (op === OP.loop) found.set(`${f}:${at}`, look(bounds, f + graph.importedFunctions, at));
    });
  });
  return found;
}

const boundsOf = (module: WasmModule) => search(module, (bounds, f, at) => bounds.turns(f, at));
const walksOf = (module: WasmModule) => search(module, (bounds, f, at) => bounds.walk(f, at));

/** How often the loop of a module with a global `turns` went round until it ended or trapped. */
function turnsRun(module: WasmModule): number {
  const { exports } = new WebAssembly.Instance(new WebAssembly.Module(encodeModule(module) as BufferSource));
  try {
    (exports['run'] as () => number)();
  } catch (error) {
    if (!(error instanceof WebAssembly.RuntimeError)) throw error;
  }
  return (exports['turns'] as WebAssembly.Global).value as number;
}

function run(module: WasmModule): number {
  const { exports } = new WebAssembly.Instance(new WebAssembly.Module(encodeModule(module) as BufferSource));
  return (exports['run'] as () => number)();
}

const TURNS = 0;
const COUNTER = 1;
const COPY = 2;

/** Leaves through label `out` after so many turns, whatever the guard says: so that every generated loop ends. */
function countTurn(out: CodeWriter, leave: number): void {
  out.get(TURNS).i32(1).op(OP.i32Add).tee(TURNS).i32(MAX_COUNTED).op(OP.i32GeS).brIf(leave);
}

function step(out: CodeWriter, by: number): void {
  out.get(COUNTER).i32(by).op(OP.i32Add).set(COUNTER);
}

interface Shape {
  readonly op: number;
  readonly start: number;
  readonly limit: number;
  readonly by: number;
}

const SHAPES: Record<string, (out: CodeWriter, shape: Shape) => void> = {
  'guard at the top'(out, { op, start, limit, by }) {
    out.i32(start).set(COUNTER).open(OP.block).open(OP.loop);
    countTurn(out, 1);
    out.get(COUNTER).i32(limit).op(op).op(OP.i32Eqz).brIf(1);
    step(out, by);
    out.br(0).end().end();
  },
  'guard at the bottom'(out, { op, start, limit, by }) {
    out.i32(start).set(COUNTER).open(OP.block).open(OP.loop);
    countTurn(out, 1);
    step(out, by);
    out.get(COUNTER).i32(limit).op(op).brIf(0).end().end();
  },
  'guard round the body, limit first'(out, { op, start, limit, by }) {
    out.i32(start).set(COUNTER).open(OP.block).open(OP.loop);
    countTurn(out, 1);
    out.i32(limit).get(COUNTER).op(op).open(OP.if);
    step(out, by);
    out.br(1).end().end().end();
  },
  'compared on its way through a copy'(out, { op, start, limit, by }) {
    out.i32(start).set(COUNTER).open(OP.block).open(OP.loop);
    countTurn(out, 1);
    out.get(COUNTER).i32(by).op(OP.i32Add).tee(COPY).i32(limit).op(op).open(OP.if);
    out.get(COPY).set(COUNTER).br(1).end().end().end();
  },
  'step in one arm only'(out, { op, start, limit, by }) {
    out.i32(start).set(COUNTER).open(OP.block).open(OP.loop);
    countTurn(out, 1);
    out.get(COUNTER).i32(limit).op(op).op(OP.i32Eqz).brIf(1);
    out.get(TURNS).i32(1).op(OP.i32And).open(OP.if);
    step(out, by);
    out.end().br(0).end().end();
  },
  'the guard in the other arm'(out, { op, start, limit, by }) {
    out.i32(start).set(COUNTER).open(OP.block).open(OP.loop);
    countTurn(out, 1);
    step(out, by);
    out.get(COUNTER).i32(limit).op(op).open(OP.if).op(OP.else).br(1).end().end().end();
  },
  'a counter that an outer loop does not set back'(out, { op, start, limit, by }) {
    out.i32(start).set(COUNTER).i32(3).set(COPY).open(OP.block).open(OP.loop).open(OP.loop);
    countTurn(out, 2);
    out.get(COUNTER).i32(limit).op(op).open(OP.if);
    step(out, by);
    out.br(1).end().end();
    out.get(COPY).i32(1).op(OP.i32Sub).tee(COPY).brIf(0).end().end();
  },
  'a continue that skips the step'(out, { op, start, limit, by }) {
    out.i32(start).set(COUNTER).open(OP.block).open(OP.loop);
    countTurn(out, 1);
    out.get(TURNS).i32(3).op(OP.i32And).brIf(0);
    step(out, by);
    out.get(COUNTER).i32(limit).op(op).brIf(0).end().end();
  },
};

const edge = fc.oneof(
  fc.integer({ min: -70, max: 70 }),
  fc.constantFrom(0x7fffffff, 0x7ffffff0, -0x80000000, -0x7ffffff0, 0x7fff),
);
const shapes = fc.record({
  op: fc.constantFrom(...COMPARISONS),
  start: edge,
  limit: edge,
  by: fc.oneof(fc.integer({ min: -5, max: 5 }), fc.constantFrom(0x40000000, -0x7fffffff)),
});

describe('loop bounds', () => {
  it.each(Object.keys(SHAPES))('hold for every loop that runs: %s', (name) => {
    fc.assert(
      fc.property(shapes, (shape) => {
        const module = moduleOf((out) => SHAPES[name](out, shape));
        const total = run(module);
        const bounds = [...boundsOf(module).values()];
        // loops that left early by the count have no bound that this could check, but must not claim a small one
        const inner = bounds[bounds.length - 1];
        const entries = bounds.length > 1 ? 3 : 1;
        if (inner !== null) expect(total).toBeLessThanOrEqual(Math.min(inner, MAX_COUNTED) * entries);
      }),
      { numRuns: 400 },
    );
  });

  it('agree with counting', () => {
    fc.assert(
      fc.property(shapes, fc.integer({ min: 0, max: 3 }), ({ op, start, limit, by }, spread) => {
        const bound = turnsWhile(op, { lo: start, hi: start + spread }, by, { lo: limit, hi: limit });
        if (bound === null) return;
        for (let first = start; first <= start + spread; first++) {
          let turns = 0;
          for (
            let value = first | 0;
            turns <= MAX_COUNTED && holds(op, value, limit);
            value = (value + by) | 0
          )
            turns++;
          expect(turns).toBeLessThanOrEqual(bound);
        }
      }),
      { numRuns: 3000 },
    );
  });

  it('are found for the loops of packet code', async () => {
    const bounds = [...boundsOf(parseModule(await compilePacketLoops())).values()];
    const found = bounds.filter((turns) => turns !== null && turns < 65536);
    // descriptor set-up, sequential stores, filling, 8-byte copy, 32-bit checksum
    expect(found.length).toBeGreaterThanOrEqual(5);
  });

  it('are not claimed for a wait on memory', () => {
    const module = moduleOf((out) => {
      out.i32(0).set(COUNTER).open(OP.loop);
      step(out, 1);
      out.i32(16).memory(OP.i32Load, 2, 0).op(OP.i32Eqz).brIf(0).end();
    });
    expect([...boundsOf(module).values()]).toEqual([null]);
    expect([...walksOf(module).values()]).toEqual([null]);
  });

  it('hold for loops that walk memory, from anywhere, by any stride: they trap', () => {
    const strides = fc.oneof(fc.integer({ min: -40, max: 40 }), fc.integer({ min: -70_000, max: 70_000 }));
    fc.assert(
      fc.property(
        edge,
        strides,
        fc.integer({ min: 0, max: 70_000 }),
        fc.boolean(),
        (start, by, offset, stores) => {
          const module = moduleOf((out) => {
            out.i32(start).set(COUNTER).open(OP.block).open(OP.loop);
            out.get(COUNTER);
            if (stores) out.i32(1).memory(OP.i32Store8, 0, offset);
            else out.memory(OP.i32Load8U, 0, offset).op(OP.drop);
            out.byte(OP.globalGet).u32(0).i32(1).op(OP.i32Add).byte(OP.globalSet).u32(0);
            step(out, by);
            out.byte(OP.globalGet).u32(0).i32(200_000).op(OP.i32LtS).brIf(0).end().end();
          });
          module.globals = [
            { type: { valueType: i32, mutable: true }, init: new CodeWriter().i32(0).end().finish() },
          ];
          module.exports.push({ name: 'turns', kind: EXTERNAL_KIND.global, index: 0 });
          const [bound] = walksOf(module).values();
          if (by === 0) expect(bound).toBeNull();
          else expect(turnsRun(module)).toBeLessThanOrEqual(bound!);
        },
      ),
      { numRuns: 300 },
    );
  });

  it('are not claimed for a walk that some turns leave out', () => {
    const module = moduleOf((out) => {
      out.open(OP.loop);
      out.get(TURNS).i32(1).op(OP.i32And).open(OP.if).get(COUNTER).memory(OP.i32Load, 2, 0).set(COPY).end();
      step(out, 4);
      out.get(COPY).brIf(0).end();
    });
    expect([...walksOf(module).values()]).toEqual([null]);
  });
});

function holds(op: number, a: number, b: number): boolean {
  switch (op) {
    case OP.i32Ne:
      return a !== b;
    case OP.i32LtS:
      return a < b;
    case OP.i32LtU:
      return a >>> 0 < b >>> 0;
    case OP.i32GtS:
      return a > b;
    case OP.i32GtU:
      return a >>> 0 > b >>> 0;
    case OP.i32LeS:
      return a <= b;
    case OP.i32LeU:
      return a >>> 0 <= b >>> 0;
    case OP.i32GeS:
      return a >= b;
    default:
      return a >>> 0 >= b >>> 0;
  }
}
