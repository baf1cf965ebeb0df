/**
 * Images that cannot be run are refused, each with its reason and a sentence; damaged ones never do worse.
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { buildImage, MAX_CORE_BYTES } from '../../src/guest/build-image.js';
import { GuestImageError, type GuestImageReason } from '../../src/guest/guest-image-error.js';
import { CodeWriter } from '../../src/guest/rewrite/code-writer.js';
import { rewriteCore } from '../../src/guest/rewrite/rewrite-core.js';
import { encodeModule } from '../../src/guest/wasm/encode-module.js';
import { OP } from '../../src/guest/wasm/opcodes.js';
import { parseModule } from '../../src/guest/wasm/parse-module.js';
import { EXTERNAL_KIND, VALUE_TYPE, type WasmModule } from '../../src/guest/wasm/wasm-module.js';
import { MACHINE_MODULE } from '../../src/guest/world.js';
import { seededRandom } from '../../src/hardware/clock.js';
import { MIN_RAM_BYTES } from '../../src/machine/layout.js';
import { componentOf } from './component.js';
import { randomProgram } from './random-program.js';

const { i32, i64, v128, funcref } = VALUE_TYPE;

/** A module of the guest world that returns 0, after `write`. */
function guest(write: (out: CodeWriter) => void = () => {}): WasmModule {
  const out = new CodeWriter();
  write(out);
  return {
    types: [{ params: [], results: [i32] }],
    imports: [],
    functions: [0],
    tables: [{ elementType: funcref, limits: { min: 1, max: null, shared: false } }],
    memories: [{ min: 1, max: null, shared: false }],
    globals: [],
    exports: [
      { name: 'run', kind: EXTERNAL_KIND.function, index: 0 },
      { name: 'memory', kind: EXTERNAL_KIND.memory, index: 0 },
    ],
    start: null,
    elements: [],
    hasDataCount: false,
    bodies: [{ locals: [], code: out.i32(0).end().finish() }],
    data: [],
  };
}

function refusalOf(attempt: () => unknown): GuestImageError {
  try {
    attempt();
  } catch (error) {
    expect(error).toBeInstanceOf(GuestImageError);
    return error as GuestImageError;
  }
  throw new Error('the image was accepted');
}

const importing = (module: string, field: string, params: number[], results: number[]): WasmModule => {
  const made = guest();
  made.types.push({ params, results });
  made.imports.push({ module, field, description: { kind: 'function', typeIndex: 1 } });
  made.exports[0] = { ...made.exports[0], index: 1 };
  return made;
};

const zero = new CodeWriter().i32(0).end().finish();

const REFUSED: [string, GuestImageReason, RegExp, () => WasmModule][] = [
  [
    'table.set',
    'table-mutation',
    /table\.set/,
    () => guest((o) => o.i32(0).op(OP.refNull).byte(funcref).op(OP.tableSet).u32(0)),
  ],
  [
    'table.grow',
    'table-mutation',
    /table\.grow/,
    () => guest((o) => o.op(OP.refNull).byte(funcref).i32(1).op(OP.tableGrow).u32(0).op(OP.drop)),
  ],
  [
    'table.fill',
    'table-mutation',
    /table\.fill/,
    () => guest((o) => o.i32(0).op(OP.refNull).byte(funcref).i32(0).op(OP.tableFill).u32(0)),
  ],
  [
    'table.copy',
    'table-mutation',
    /table\.copy/,
    () => guest((o) => o.i32(0).i32(0).i32(0).op(OP.tableCopy).u32(0).u32(0)),
  ],
  [
    'table.init',
    'table-mutation',
    /table\.init/,
    () => guest((o) => o.i32(0).i32(0).i32(0).op(OP.tableInit).u32(0).u32(0)),
  ],
  ['elem.drop', 'table-mutation', /elem\.drop/, () => guest((o) => o.op(OP.elemDrop).u32(0))],
  ['a tail call', 'unsupported-instruction', /tail call/, () => guest((o) => o.byte(0x12).u32(0))],
  ['exceptions', 'unsupported-instruction', /exception handling/, () => guest((o) => o.byte(0x08).u32(0))],
  ['relaxed SIMD', 'unsupported-instruction', /relaxed SIMD/, () => guest((o) => o.byte(0xfd).u32(0x100))],
  [
    'atomic wait',
    'unsupported-instruction',
    /wait-for-interrupt/,
    () => guest((o) => o.i32(0).i32(0).byte(OP.i64Const).byte(0).memory(OP.atomicWait32, 2, 0).op(OP.drop)),
  ],
  [
    'a vector global',
    'unsupported-instruction',
    /vector/,
    () => ({
      ...guest(),
      globals: [
        {
          type: { valueType: v128, mutable: true },
          init: new CodeWriter().op(OP.v128Const).raw(new Uint8Array(16)).end().finish(),
        },
      ],
    }),
  ],
  [
    'too many globals',
    'too-many-globals',
    /200/,
    () => ({
      ...guest(),
      globals: Array.from({ length: 200 }, () => ({ type: { valueType: i32, mutable: true }, init: zero })),
    }),
  ],
  [
    'two memories',
    'several-memories',
    /2 memories/,
    () => ({ ...guest(), memories: [guest().memories[0], guest().memories[0]] }),
  ],
  ['no memory', 'no-memory', /no memory/, () => ({ ...guest(), memories: [] })],
  [
    'more memory than RAM',
    'too-much-memory',
    /more memory/,
    () => ({ ...guest(), memories: [{ min: 300, max: null, shared: false }] }),
  ],
  ['an unknown import', 'wrong-world', /env#log/, () => importing('env', 'log', [i32], [])],
  [
    'an unknown function of the machine',
    'wrong-world',
    /reboot/,
    () => importing(MACHINE_MODULE, 'reboot', [], []),
  ],
  [
    'a function of another type',
    'wrong-world',
    /another type/,
    () => importing(MACHINE_MODULE, 'pci-read', [i32], [i64]),
  ],
  ['no run', 'wrong-world', /"run"/, () => ({ ...guest(), exports: [] })],
];

describe('a core module', () => {
  it.each(REFUSED)('with %s is refused: %s', (_name, reason, sentence, make) => {
    const refusal = refusalOf(() => rewriteCore(encodeModule(make()), MIN_RAM_BYTES));
    expect(refusal.reason).toBe(reason);
    expect(refusal.message).toMatch(sentence);
  });

  it('with a 64-bit memory, exception tags or garbage collection is refused', () => {
    const bytes = (...section: number[]) => Uint8Array.of(0, 0x61, 0x73, 0x6d, 1, 0, 0, 0, ...section);
    expect(refusalOf(() => parseModule(bytes(5, 3, 1, 4, 1))).reason).toBe('memory64');
    expect(refusalOf(() => parseModule(bytes(13, 3, 1, 0, 0))).reason).toBe('unsupported-section');
    expect(refusalOf(() => parseModule(bytes(1, 3, 1, 0x5f, 0))).reason).toBe('unsupported-section');
  });

  it('that is accepted has nothing else wrong: the refusals above are about what they say', () => {
    expect(() => rewriteCore(encodeModule(guest()), MIN_RAM_BYTES)).not.toThrow();
  });

  it('comes out of reading and writing as it went in', () => {
    fc.assert(
      fc.property(fc.nat(), (seed) => {
        const wasm = randomProgram(seededRandom(seed));
        expect(Buffer.compare(encodeModule(parseModule(wasm)), wasm)).toBe(0);
      }),
      { numRuns: 50 },
    );
  });

  it('that is not valid is refused as malformed', () => {
    const nonsense = guest((out) => out.op(OP.i32Add));
    expect(refusalOf(() => rewriteCore(encodeModule(nonsense), MIN_RAM_BYTES)).reason).toBe('malformed');
    const wild = guest((out) => out.call(77));
    expect(refusalOf(() => rewriteCore(encodeModule(wild), MIN_RAM_BYTES)).reason).toBe('malformed');
  });

  it('that is damaged anywhere is read, or refused as malformed: no other error, no large allocation', () => {
    fc.assert(
      fc.property(
        fc.nat(),
        fc.array(fc.tuple(fc.nat(), fc.nat(255)), { minLength: 1, maxLength: 4 }),
        fc.nat(),
        (seed, damage, cut) => {
          const wasm = randomProgram(seededRandom(seed % 50)).slice();
          for (const [at, value] of damage) wasm[8 + (at % (wasm.length - 8))] = value;
          const shortened = cut % 3 === 0 ? wasm.subarray(0, cut % wasm.length) : wasm;
          try {
            parseModule(shortened);
          } catch (error) {
            expect(error).toBeInstanceOf(GuestImageError);
          }
        },
      ),
      { numRuns: 600 },
    );
  });
});

describe('a component', () => {
  const reasonOf = (component: Uint8Array) =>
    buildImage(component, MIN_RAM_BYTES).then(
      () => 'accepted',
      (error: unknown) => (error instanceof GuestImageError ? error.reason : String(error)),
    );

  it('of the guest world is accepted', async () => {
    expect(await reasonOf(await componentOf(encodeModule(guest())))).toBe('accepted');
  });

  it('of another world is refused', async () => {
    const more = 'package a:b@0.1.0; world w { export run: func() -> u32; export other: func() -> u32; }';
    const module = guest();
    module.exports.push({ name: 'other', kind: EXTERNAL_KIND.function, index: 0 });
    expect(await reasonOf(await componentOf(encodeModule(module), more, 'w'))).toBe('wrong-world');
    const foreign =
      'package a:b@0.1.0; interface i { log: func(x: u32); } world w { import i; export run: func() -> u32; }';
    const importer = encodeModule(importing('a:b/i@0.1.0', 'log', [i32], []));
    expect(await reasonOf(await componentOf(importer, foreign, 'w'))).toBe('wrong-world');
  });

  it('that is too large is refused before it is rewritten', async () => {
    const large = guest();
    large.data = [{ offset: zero, bytes: new Uint8Array(60_000) }];
    large.bodies = [
      {
        locals: [],
        code: Uint8Array.from([...new Uint8Array(MAX_CORE_BYTES).fill(OP.nop), OP.i32Const, 0, OP.end]),
      },
    ];
    expect(await reasonOf(await componentOf(encodeModule(large)))).toBe('too-large');
  });

  it('that is damaged is refused', async () => {
    const component = (await componentOf(encodeModule(guest()))).slice();
    component.fill(0xff, 20, 60);
    expect(await reasonOf(component)).toBe('malformed');
  });
});
