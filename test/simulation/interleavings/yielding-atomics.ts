/**
 * Atomics of a thread whose every access to a shared word is a point of an exploration (turnstile.ts): the code under test is
 * the compiled one as it is, and finds these where it looks for the language's own. Waits and wake-ups are the exploration's.
 */
import type { Turnstile } from './turnstile.js';

/** Buffers are told apart by number; an address is number and offset. */
const BUFFER_STRIDE = 2 ** 24;

export class Exploration {
  readonly turnstile: Turnstile;
  readonly immediates: (() => void)[] = [];
  readonly #numbers: ReadonlyMap<ArrayBufferLike, number>;
  readonly #waits = new Map<number, (outcome: 'ok' | 'timed-out') => void>();

  constructor(turnstile: Turnstile, buffers: readonly SharedArrayBuffer[]) {
    this.turnstile = turnstile;
    this.#numbers = new Map(buffers.map((buffer, index) => [buffer, index]));
  }

  /** -1: of no concern here. */
  addressOf({ buffer, byteOffset, BYTES_PER_ELEMENT }: Int32Array, index: number): number {
    const number = this.#numbers.get(buffer);
    return number === undefined ? -1 : number * BUFFER_STRIDE + byteOffset + index * BYTES_PER_ELEMENT;
  }

  /** Until somebody else is about to touch the word. */
  watch(words: Int32Array, index: number, limitMs: number): void {
    this.turnstile.watch(this.addressOf(words, index), limitMs * 1e6);
  }

  waitAsync(address: number, limitNs: number): Promise<'ok' | 'timed-out'> {
    const slot = this.turnstile.waitAsync(address, limitNs);
    return new Promise((resolve) => this.#waits.set(slot, resolve));
  }

  /** Tells whoever's wait is over. */
  settleWaits(): boolean {
    let settled = false;
    for (const [slot, resolve] of this.#waits) {
      const outcome = this.turnstile.outcome(slot);
      if (outcome === null) continue;
      this.#waits.delete(slot);
      resolve(outcome);
      settled = true;
    }
    return settled;
  }
}

let current: Exploration | null = null;

/** Null: the language's own Atomics again. */
export function explore(exploration: Exploration | null): void {
  current = exploration;
}

type Operation = (array: Int32Array, ...rest: number[]) => number;

const OPERATIONS = [
  'load',
  'store',
  'add',
  'sub',
  'and',
  'or',
  'xor',
  'exchange',
  'compareExchange',
] as const;

/** For good, in this thread. */
export function installYieldingAtomics(): void {
  const own = Atomics as unknown as Record<string, unknown>;
  for (const name of OPERATIONS) {
    const real = own[name] as Operation;
    own[name] = (array: Int32Array, ...rest: number[]): number => {
      if (current !== null) {
        const address = current.addressOf(array, rest[0]!);
        if (address >= 0) current.turnstile.point(address);
      }
      return real(array, ...rest);
    };
  }
  installWaits();
  const { setImmediate: realImmediate } = globalThis;
  globalThis.setImmediate = ((call: () => void) => {
    if (current === null) return realImmediate(call);
    current.immediates.push(call);
    return undefined;
  }) as typeof setImmediate;
}

function installWaits(): void {
  const { load, wait, notify, waitAsync } = Atomics;
  Object.assign(Atomics, {
    wait(array: Int32Array, index: number, value: number, limitMs = Infinity) {
      const address = current?.addressOf(array, index) ?? -1;
      if (current === null || address < 0) return wait(array, index, value, limitMs);
      current.turnstile.point(address);
      if (load(array, index) !== value) return 'not-equal';
      return current.turnstile.wait(address, limitMs * 1e6);
    },
    notify(array: Int32Array, index: number, most = Infinity) {
      const address = current?.addressOf(array, index) ?? -1;
      if (current === null || address < 0) return notify(array, index, most);
      current.turnstile.point(address);
      return current.turnstile.notify(address, most);
    },
    waitAsync(array: Int32Array, index: number, value: number, limitMs = Infinity) {
      const address = current?.addressOf(array, index) ?? -1;
      if (current === null || address < 0) return waitAsync(array, index, value, limitMs);
      current.turnstile.point(address);
      if (load(array, index) !== value) return { async: false, value: 'not-equal' };
      return { async: true, value: current.waitAsync(address, limitMs * 1e6) };
    },
  });
}
