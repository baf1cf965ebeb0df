/**
 * Chance from one seed. A stream forked by name does not depend on what else was drawn: adding a draw in one part of the
 * simulator leaves every other part's choices as they were.
 *
 *   Choices(42) -- fork('network') -- fork('link')
 *              '-- fork('guest')
 *
 * The generator is sfc32: four words of plain 32-bit integer arithmetic, the same on every engine.
 */
import type { Random } from '../../hardware/clock.js';

const TWO_32 = 4294967296;
const WARM_UP_ROUNDS = 12;

/** Folds a text into a number, FNV-1a over its UTF-16 units. */
export function hashText(text: string, start = 0x811c9dc5): number {
  let hash = start;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  return hash >>> 0;
}

export class Choices implements Random {
  readonly #seedLow: number;
  readonly #seedHigh: number;
  #a: number;
  #b: number;
  #c: number;
  #counter = 1;

  /** @param seed a safe integer; @param stream tells forks of one seed apart */
  constructor(seed: number, stream = 0) {
    this.#seedLow = seed | 0;
    this.#seedHigh = Math.floor(seed / TWO_32) | 0;
    this.#a = this.#seedLow;
    this.#b = this.#seedHigh;
    this.#c = stream | 0;
    for (let i = 0; i < WARM_UP_ROUNDS; i++) this.nextU32();
  }

  /** An independent stream: the same for the same purpose, whatever was drawn from this one. */
  fork(purpose: string): Choices {
    const low = hashText(purpose, this.#seedLow ^ 0x811c9dc5);
    const high = hashText(purpose, Math.imul(this.#seedHigh ^ low, 0x9e3779b1));
    return new Choices(high * 1048576 + (low >>> 12), low);
  }

  /** Uniform over 0..2^32-1. */
  nextU32(): number {
    const sum = (((this.#a + this.#b) | 0) + this.#counter) | 0;
    this.#counter = (this.#counter + 1) | 0;
    this.#a = this.#b ^ (this.#b >>> 9);
    this.#b = (this.#c + (this.#c << 3)) | 0;
    this.#c = (((this.#c << 21) | (this.#c >>> 11)) + sum) | 0;
    return sum >>> 0;
  }

  /** Uniform over 0..below-1. */
  int(below: number): number {
    if (below > TWO_32) return Math.floor(this.#fraction() * below);
    return Math.floor(this.nextU32() * (below / TWO_32));
  }

  /** A whole number from both ends' range, the ends included. */
  between(low: number, high: number): number {
    return low + this.int(high - low + 1);
  }

  chance(probability: number): boolean {
    return this.nextU32() < probability * TWO_32;
  }

  pick<T>(from: readonly T[]): T {
    if (from.length === 0) throw new RangeError('nothing to pick from: the list is empty');
    return from[this.int(from.length)]!;
  }

  /** @param from choices with their weights; weights are relative */
  weighted<T>(from: readonly (readonly [choice: T, weight: number])[]): T {
    let total = 0;
    for (const [, weight] of from) total += weight;
    let left = this.#fraction() * total;
    for (const [choice, weight] of from) {
      if (left < weight) return choice;
      left -= weight;
    }
    throw new RangeError(`nothing to choose from: ${from.length} choices of total weight ${total}`);
  }

  /** 0 <= x < 1 in steps of 2^-53. */
  #fraction(): number {
    return ((this.nextU32() >>> 5) * 67108864 + (this.nextU32() >>> 6)) / 9007199254740992;
  }
}
