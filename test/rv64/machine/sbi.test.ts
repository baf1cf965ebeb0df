/** What the guest's kernel asks its firmware for. */
import { beforeEach, describe, expect, it } from 'vitest';
import { Sbi } from '../../../src/rv64/machine/sbi.js';
import { RAM, RAM_BYTES, testRam } from './fake-ram.js';

const EXTENSION = {
  base: 0x10n,
  time: 0x54494d45n,
  ipi: 0x735049n,
  rfence: 0x52464e43n,
  hsm: 0x48534dn,
  reset: 0x53525354n,
  console: 0x4442434en,
};
const ALL_ONES = 2n ** 64n - 1n;

let x: bigint[];
let done: string[];
let printed: string;
let typed: Uint8Array;
let sbi: Sbi;
let memory: ReturnType<typeof testRam>;

beforeEach(() => {
  x = new Array(32).fill(0n);
  done = [];
  printed = '';
  typed = new Uint8Array(0);
  memory = testRam();
  sbi = new Sbi({
    hart: {
      x: (n) => BigInt.asIntN(64, x[n]!),
      setX: (n, value) => {
        x[n] = value;
      },
      setStimecmp: (ticks) => done.push(`timer ${ticks}`),
      raiseSoftwareInterrupt: () => done.push('ipi'),
      flush: () => done.push('flush'),
    },
    ram: memory.ram,
    console: {
      write: (bytes) => {
        printed += Buffer.from(bytes).toString();
      },
      read: (most) => typed.subarray(0, most),
    },
  });
});

function call(extension: bigint, id: bigint, ...args: bigint[]) {
  x[17] = extension;
  x[16] = id;
  for (let i = 0; i < 6; i++) x[10 + i] = args[i] ?? 0n;
  const reset = sbi.call();
  return { error: x[10]!, value: x[11]!, reset };
}

describe('SBI', () => {
  it('knows exactly its extensions', () => {
    for (const id of Object.values(EXTENSION)) expect(call(EXTENSION.base, 3n, id).value).toBe(1n);
    expect(call(EXTENSION.base, 3n, 0x504d55n).value).toBe(0n);
    expect(call(EXTENSION.base, 0n).value).toBe(0x0200_0000n);
  });

  it('refuses what is not there', () => {
    expect(call(0x504d55n, 0n).error).toBe(-2n);
    expect(call(EXTENSION.base, 63n).error).toBe(-2n);
    expect(call(EXTENSION.base, ALL_ONES).error).toBe(-2n);
  });

  it('sets the timer, and interrupts and flushes the only hart', () => {
    call(EXTENSION.time, 0n, ALL_ONES);
    call(EXTENSION.ipi, 0n, 1n, 0n);
    call(EXTENSION.rfence, 1n, 0n, ALL_ONES);
    expect(done).toEqual([`timer ${ALL_ONES}`, 'ipi', 'flush']);
    expect(call(EXTENSION.ipi, 0n, 2n, 0n).error).toBe(-3n);
    expect(call(EXTENSION.hsm, 0n, 0n).error).toBe(-6n);
    expect(call(EXTENSION.hsm, 2n, 0n)).toMatchObject({ error: 0n, value: 0n });
    expect(call(EXTENSION.hsm, 2n, 1n).error).toBe(-3n);
  });

  it('ends the machine', () => {
    expect(call(EXTENSION.reset, 0n, 0n, 0n).reset).toEqual({ kind: 'poweroff', failed: false });
    expect(call(EXTENSION.reset, 0n, 1n, 1n).reset).toEqual({ kind: 'reboot', failed: true });
    expect(call(EXTENSION.reset, 0n, 9n).reset).toBeNull();
  });

  it('writes from RAM and reads into it, never elsewhere', () => {
    memory.bytes.set(Buffer.from('hello'), 100);
    expect(call(EXTENSION.console, 0n, 5n, BigInt(RAM + 100), 0n).value).toBe(5n);
    expect(printed).toBe('hello');
    typed = Buffer.from('abc');
    expect(call(EXTENSION.console, 1n, 2n, BigInt(RAM + 4096), 0n).value).toBe(2n);
    expect(Buffer.from(memory.bytes.subarray(4096, 4099)).toString()).toBe('ab\0');
    expect(memory.log.isMarked(1 as never)).toBe(true);
    for (const [low, high] of [
      [0n, 0n],
      [BigInt(RAM + RAM_BYTES - 1), 0n],
      [BigInt(RAM), 1n],
      [ALL_ONES, ALL_ONES],
    ] as const) {
      expect(call(EXTENSION.console, 0n, 5n, low, high).error).toBe(-3n);
    }
  });
});
