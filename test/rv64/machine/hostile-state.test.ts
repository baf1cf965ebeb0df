/** Saved states of nobody's making: each device takes one over or says why not, and works afterwards. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { emptyBus } from '../../../src/machine/guest-bus.js';
import { Board } from '../../../src/rv64/machine/board.js';
import { MAP } from '../../../src/rv64/machine/memory-map.js';
import { MachineStateError } from '../../../src/rv64/machine/state-fields.js';
import { decodeState, encodeState } from '../../../src/rv64/machine/state-text.js';
import { testRam } from './fake-ram.js';

function board(): Board {
  return new Board({
    hart: { x: () => 0n, setX() {}, setStimecmp() {}, raiseSoftwareInterrupt() {}, flush() {} },
    ram: testRam().ram,
    raise() {},
    bus: emptyBus,
    vfSlots: [1],
    wallNs: () => 0n,
    random() {},
    consoleOut() {},
  });
}

/** Paths to every field of a record, lists and records included. */
function pathsOf(value: unknown, at: readonly string[] = []): string[][] {
  if (typeof value !== 'object' || value === null || value instanceof Uint8Array) return [[...at]];
  return Object.entries(value).flatMap(([key, item]) => pathsOf(item, [...at, key]));
}

function replaced(value: unknown, path: readonly string[], by: unknown): unknown {
  const copy = structuredClone(value);
  let holder = copy as Record<string, unknown>;
  for (const key of path.slice(0, -1)) holder = holder[key] as Record<string, unknown>;
  holder[path.at(-1)!] = by;
  return copy;
}

const oddity = fc.oneof(
  fc.constantFrom(null, -1, 2 ** 32, 1.5, Number.NaN, '', [], {}, true, new Uint8Array(9000)),
  fc.anything(),
);

describe('the devices', () => {
  const saved = decodeState(encodeState(board().save()));

  it('take over what they saved', () => {
    const other = board();
    other.restore(saved);
    expect(decodeState(encodeState(other.save()))).toEqual(saved);
  });

  it('say what is wrong with anything else', () => {
    const paths = pathsOf(saved);
    fc.assert(
      fc.property(fc.constantFrom(...paths), oddity, (path, by) => {
        const target = board();
        try {
          target.restore(replaced(saved, path, by));
        } catch (error) {
          expect(error).toBeInstanceOf(MachineStateError);
        }
        target.poll();
        target.console.input(Uint8Array.of(1));
      }),
      { numRuns: 1500 },
    );
  });

  it('are not fooled by values that are no record', () => {
    fc.assert(
      fc.property(fc.anything(), (value) => {
        expect(() => board().restore(value)).toThrow(MachineStateError);
      }),
    );
  });
});

it('what is typed goes on waiting for the device that the guest last wrote to', () => {
  const source = board();
  source.bus.find(MAP.uart.base)!.write(0, 1, 65);
  source.console.input(Buffer.alloc(5000, 66));
  const target = board();
  target.restore(decodeState(encodeState(source.save())));
  const uart = target.bus.find(MAP.uart.base)!;
  const read = Array.from({ length: 5000 }, () => {
    target.poll();
    return uart.read(0, 1);
  });
  expect(read.every((byte) => byte === 66)).toBe(true);
});

it('a state as text keeps bytes and 64-bit numbers', () => {
  const state = {
    a: 1,
    b: [true, null],
    bytes: Uint8Array.of(1, 255),
    buffer: Buffer.from([7]),
    long: 2n ** 63n,
  };
  expect(decodeState(encodeState(state))).toEqual({ ...state, buffer: Uint8Array.of(7) });
});
