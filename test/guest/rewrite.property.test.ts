/**
 * Random programs, random stops: the rewritten builds do what the untouched module does, and the log tells of every
 * page that changed.
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ASYNCIFY_STATE, type GuestBuild } from '../../src/guest/guest-build.js';
import { type RewrittenCore, rewriteCore } from '../../src/guest/rewrite/rewrite-core.js';
import { type Random, seededRandom } from '../../src/hardware/clock.js';
import { ASYNCIFY_BYTES, CTRL, MIN_RAM_BYTES } from '../../src/machine/layout.js';
import { instantiateOriginal, instantiateRewritten, type MachineImports, machineOf } from './direct-run.js';
import { PROGRAM_BYTES, randomProgram } from './random-program.js';

const WINDOW_BYTES = PROGRAM_BYTES + 65536;
const GLOBALS = 5;
/** Of one run: some programs poll a hundred thousand times. */
const MAX_STOPS = 150;
/** A busy machine tries fewer programs. */
const TIME_LIMIT_MS = 4000;

/** Answers depend on the arguments and on how many came before: a lost or repeated call changes the result. */
function countingMachine(): { machine: MachineImports; calls: () => number } {
  let calls = 0;
  const answer = (a: number, b: number) => Math.imul((a ^ (b << 3)) + ++calls, 0x9e3779b1);
  return {
    machine: machineOf({
      'pci-read': answer,
      'wait-for-interrupt': (timeout) => answer(timeout, 1) & 3,
      'bar-write': (slot, bar, offset, value) => {
        answer(slot + bar, offset + value);
        return undefined;
      },
      'clock-ns': () => BigInt(++calls),
    }),
    calls: () => calls,
  };
}

interface Outcome {
  readonly result: number;
  readonly memory: Uint8Array;
  readonly pages: number;
  readonly globals: readonly unknown[];
  readonly calls: number;
}

function runOriginal(wasm: Uint8Array): Outcome {
  const { machine, calls } = countingMachine();
  const { exports, run, memory } = instantiateOriginal(wasm, machine);
  const result = run();
  const globals = Array.from({ length: GLOBALS }, (_, i) => (exports[`g${i}`] as WebAssembly.Global).value);
  const window = new Uint8Array(WINDOW_BYTES);
  window.set(new Uint8Array(memory.buffer).subarray(0, WINDOW_BYTES));
  return { result, memory: window, pages: memory.buffer.byteLength / 65536, globals, calls: calls() };
}

/** Runs with a stop at about one poll in `stopEvery`; after each, a random build, now and then in a fresh memory. */
function runStopped(core: RewrittenCore, random: Random, stopEvery: number): Outcome & { stops: number } {
  const { machine, calls } = countingMachine();
  let active: GuestBuild;
  let rewinding = false;
  let stops = 0;
  const stack = () => run.layout.asyncifyOffset;
  const poll = () => {
    if (rewinding) {
      rewinding = false;
      active.stopRewind();
      return;
    }
    if (stops >= MAX_STOPS || random.nextU32() % stopEvery !== 0) return;
    const words = new Uint32Array(run.memory.buffer, stack(), 2);
    words[0] = stack() + 8;
    words[1] = stack() + ASYNCIFY_BYTES;
    active.startUnwind(stack());
  };
  let run = instantiateRewritten(core, machine, poll);
  run.control[CTRL.attention] = 1;
  active = run.plain;
  for (;;) {
    const result = active.run();
    if (active.asyncifyState !== ASYNCIFY_STATE.unwinding) {
      const bytes = new Uint8Array(run.memory.buffer, 0, WINDOW_BYTES).slice();
      const globals = Array.from({ length: GLOBALS }, (_, i) => globalOf(active, i));
      return { result, memory: bytes, pages: run.control[CTRL.guestPages], globals, calls: calls(), stops };
    }
    active.stopUnwind();
    stops++;
    const view = new DataView(run.memory.buffer);
    const globalsAt = run.layout.controlOffset + CTRL.globals * 4;
    active.saveGlobals(view, globalsAt);
    if (random.nextU32() % 4 === 0) run = moved(core, machine, poll, run.memory);
    active = random.nextU32() % 2 === 0 ? run.plain : run.logging;
    active.loadGlobals(new DataView(run.memory.buffer), globalsAt);
    rewinding = true;
    active.startRewind(stack());
  }
}

/** A fresh memory with what a migration carries: RAM, control page, Asyncify's stack. */
function moved(core: RewrittenCore, machine: MachineImports, poll: () => void, from: WebAssembly.Memory) {
  const to = instantiateRewritten(core, machine, poll);
  const target = new Uint8Array(to.memory.buffer);
  const source = new Uint8Array(from.buffer);
  target.set(source.subarray(0, WINDOW_BYTES));
  const end = to.layout.asyncifyOffset + ASYNCIFY_BYTES;
  target.set(source.subarray(to.layout.controlOffset, end), to.layout.controlOffset);
  return to;
}

function globalOf(build: GuestBuild, index: number): unknown {
  return (build.exports[`__global${index}`] as WebAssembly.Global).value;
}

const seeds = fc.integer({ min: 0, max: 2 ** 31 - 1 });

describe('rewritten random programs', () => {
  it('give the result, memory, globals and calls of the untouched module, however often they are stopped', () => {
    let stops = 0;
    let programs = 0;
    fc.assert(
      fc.property(seeds, (seed) => {
        programs++;
        const random = seededRandom(seed);
        const wasm = randomProgram(random);
        const expected = runOriginal(wasm);
        const core = rewriteCore(wasm, MIN_RAM_BYTES);
        for (const stopEvery of [1, 3, 50]) {
          const { stops: count, ...actual } = runStopped(core, random, stopEvery);
          stops += count;
          expect(same(actual, expected)).toBe('same');
        }
      }),
      { numRuns: 60, interruptAfterTimeLimit: TIME_LIMIT_MS },
    );
    // 20 of the 60 that there is time for on a machine that is not loaded
    expect(stops).toBeGreaterThan(programs / 3);
  });

  it('log every page that changes, and only pages of the memory', () => {
    fc.assert(
      fc.property(seeds, (seed) => {
        const random = seededRandom(seed);
        const wasm = randomProgram(random);
        const core = rewriteCore(wasm, MIN_RAM_BYTES);
        const run = instantiateRewritten(core, countingMachine().machine, () => {});
        const before = new Uint8Array(run.memory.buffer, 0, WINDOW_BYTES).slice();
        run.logging.run();
        const log = new Uint8Array(run.memory.buffer, run.layout.dirtyLogOffset, run.layout.dirtyLogBytes);
        const after = new Uint8Array(run.memory.buffer, 0, WINDOW_BYTES);
        const missed: number[] = [];
        for (let page = 0; page < WINDOW_BYTES / 4096; page++) {
          const changed =
            Buffer.compare(
              before.subarray(page << 12, (page + 1) << 12),
              after.slice(page << 12, (page + 1) << 12),
            ) !== 0;
          if (changed && log[page] === 0) missed.push(page);
        }
        expect(missed).toEqual([]);
        expect(log.every((mark) => mark === 0 || mark === 1)).toBe(true);
        // nothing above what the program can reach, up to the control page
        expect(log.subarray(WINDOW_BYTES / 4096, run.layout.ramPages).every((mark) => mark === 0)).toBe(true);
      }),
      { numRuns: 60, interruptAfterTimeLimit: TIME_LIMIT_MS },
    );
  });
});

function same(actual: Outcome, expected: Outcome): string {
  if (actual.result !== expected.result) return `result ${actual.result}, expected ${expected.result}`;
  if (actual.calls !== expected.calls)
    return `${actual.calls} calls of the machine, expected ${expected.calls}`;
  if (actual.pages !== expected.pages) return `${actual.pages} pages, expected ${expected.pages}`;
  if (!actual.globals.every((value, i) => Object.is(value, expected.globals[i]))) return 'globals differ';
  const difference = actual.memory.findIndex((byte, i) => byte !== expected.memory[i]);
  return difference < 0 ? 'same' : `byte ${difference} differs`;
}
