/**
 * The small parts of a machine: layout, dirty map, command line, console lines.
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Pfn, pfn } from '../../src/hardware/units.js';
import { ConsoleLines } from '../../src/machine/console-lines.js';
import { SharedDirtyMap } from '../../src/machine/dirty-map.js';
import {
  ASYNCIFY_BYTES,
  CTRL,
  layoutFor,
  MAX_COMMAND_LINE_BYTES,
  MAX_COMPONENT_RAM_BYTES,
  MAX_GLOBALS,
  MAX_RAM_BYTES,
  MIN_RAM_BYTES,
  WASM_PAGE_BYTES,
} from '../../src/machine/layout.js';
import { controlWords, createMemory, readCommandLine, writeCommandLine } from '../../src/machine/memory.js';

describe('the layout', () => {
  it('keeps its parts apart, inside the memory, and the log long enough for all of it', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: MIN_RAM_BYTES / WASM_PAGE_BYTES, max: MAX_RAM_BYTES / WASM_PAGE_BYTES }),
        (pages) => {
          const layout = layoutFor(pages * WASM_PAGE_BYTES);
          expect(layout.controlOffset).toBe(layout.ramBytes);
          expect(layout.scratchOffset).toBeGreaterThanOrEqual(layout.controlOffset + 4096);
          expect(layout.asyncifyOffset).toBeGreaterThan(layout.scratchOffset);
          expect(layout.dirtyLogOffset).toBe(layout.asyncifyOffset + ASYNCIFY_BYTES);
          expect(layout.dirtyLogBytes * 4096).toBeGreaterThanOrEqual(layout.totalBytes);
          expect(layout.dirtyLogOffset + layout.dirtyLogBytes).toBeLessThanOrEqual(layout.totalBytes);
          expect(layout.totalBytes % WASM_PAGE_BYTES).toBe(0);
          // a component's offsets are signed words in places; a Linux guest's memory may be larger
          const isComponent = layout.ramBytes <= MAX_COMPONENT_RAM_BYTES;
          expect(layout.totalBytes).toBeLessThan(isComponent ? 2 ** 31 : 2 ** 32);
        },
      ),
    );
  });

  it('has a control page whose parts do not overlap', () => {
    expect(CTRL.globals + MAX_GLOBALS * 2).toBeLessThanOrEqual(CTRL.commandLine);
    expect(CTRL.commandLine * 4 + MAX_COMMAND_LINE_BYTES).toBeLessThanOrEqual(4096);
    expect(CTRL.exits + 16).toBeLessThanOrEqual(CTRL.waits);
  });
});

describe('a dirty map', () => {
  it('gives each mark to exactly one harvest', () => {
    const pages = 37;
    fc.assert(
      fc.property(fc.array(fc.array(fc.nat({ max: 50 }))), (rounds) => {
        const map = new SharedDirtyMap(new SharedArrayBuffer(64), 4, pages);
        for (const marks of rounds) {
          for (const page of marks) map.mark(pfn(page));
          const expected = [...new Set(marks.filter((page) => page < pages))].sort((a, b) => a - b);
          expect(expected.every((page) => map.isMarked(page as Pfn))).toBe(true);
          const into = new Uint8Array(pages);
          expect(map.harvest(into)).toBe(expected.length);
          expect([...into.keys()].filter((page) => into[page] === 1)).toEqual(expected);
        }
        expect(map.harvest(new Uint8Array(pages))).toBe(0);
      }),
    );
  });
});

describe('the command line', () => {
  const layout = layoutFor(MIN_RAM_BYTES);
  const memory = createMemory(layout);

  it('is read as it was written', () => {
    const line = new TextEncoder().encode('ip=10.0.0.2 queues=2');
    writeCommandLine(memory, layout, line);
    expect(readCommandLine(memory, layout)).toEqual(line);
    expect(() => writeCommandLine(memory, layout, new Uint8Array(MAX_COMMAND_LINE_BYTES + 1))).toThrow(
      RangeError,
    );
  });

  it('is cut where a guest has written a length that cannot be', () => {
    for (const length of [-1, 2 ** 31 - 1]) {
      controlWords(memory, layout)[CTRL.commandLineBytes] = length;
      expect(readCommandLine(memory, layout).length).toBeLessThanOrEqual(MAX_COMMAND_LINE_BYTES);
    }
  });
});

describe('console lines', () => {
  it('come whole, and cut where a guest never ends one', () => {
    const lines: string[] = [];
    const console = new ConsoleLines((line) => lines.push(line));
    for (const byte of new TextEncoder().encode('héllo\n\nrest')) console.write(byte);
    expect(lines).toEqual(['héllo', '']);
    console.flush();
    console.flush();
    expect(lines).toEqual(['héllo', '', 'rest']);
    for (let i = 0; i < 3000; i++) console.write(65);
    expect(lines.slice(3).map((line) => line.length)).toEqual([1024, 1024]);
  });
});
