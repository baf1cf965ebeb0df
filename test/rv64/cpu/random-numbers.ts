/** Seeded operands that come near the corners: zeros, ones, powers of two, subnormals, infinities, halfway cases. */
import { DOUBLE, type Format, fromInteger, SINGLE } from './float-model.js';

export class RandomNumbers {
  #state: number;

  constructor(seed: number) {
    this.#state = (seed * 0x9e3779b9) >>> 0 || 1;
  }

  word(): number {
    // xorshift
    let x = this.#state;
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    this.#state = x >>> 0;
    return this.#state;
  }

  below(limit: number): number {
    return this.word() % limit;
  }

  chance(p: number): boolean {
    return this.word() < p * 2 ** 32;
  }

  bits(count: number): bigint {
    const all = (BigInt(this.word()) << 32n) | BigInt(this.word());
    return all & ((1n << BigInt(count)) - 1n);
  }

  /** 64 bits: anything, a small number, a power of two or next to one, a run of ones. */
  long(): bigint {
    const value = this.#long();
    return BigInt.asUintN(64, this.chance(0.5) ? value : -value);
  }

  #long(): bigint {
    const place = BigInt(this.below(64));
    switch (this.below(5)) {
      case 0:
        return this.bits(64);
      case 1:
        return BigInt(this.below(40));
      case 2:
        return (1n << place) + BigInt(this.below(3)) - 1n;
      case 3:
        return this.bits(64) >> place;
      default:
        return (1n << place) - 1n;
    }
  }

  /** Bits of a floating-point number. */
  float(format: Format): bigint {
    const sign = this.bits(1) << (format.bits - 1n);
    const most = 2n * format.bias + 1n;
    const width = Number(format.fraction);
    const fields = [
      0n,
      0n,
      1n,
      most - 1n,
      most,
      format.bias,
      format.bias + BigInt(this.below(width * 2)) - format.fraction,
    ];
    const field = this.chance(0.5) ? this.bits(64) % (most + 1n) : fields[this.below(fields.length)]!;
    return sign | (field << format.fraction) | this.#fraction(width);
  }

  #fraction(width: number): bigint {
    const ones = (1n << BigInt(width)) - 1n;
    switch (this.below(5)) {
      case 0:
        return 0n;
      case 1:
        return ones;
      case 2:
        return BigInt(this.below(4));
      case 3:
        // few bits: sums and products that come out halfway
        return (this.bits(4) << BigInt(this.below(width))) & ones;
      default:
        return this.bits(width);
    }
  }

  /** Another number of about the same size, often of the other sign. */
  near(bits: bigint, format: Format): bigint {
    const all = (1n << format.bits) - 1n;
    const step =
      (BigInt(this.below(5)) - 2n) << BigInt(this.chance(0.5) ? 0 : this.below(Number(format.fraction)));
    const moved = (bits + step) & all;
    return this.chance(0.7) ? moved ^ (1n << (format.bits - 1n)) : moved;
  }

  /** Halves and neighbours of integers, around the limits of the integer types too. */
  floatNearInteger(format: Format): bigint {
    const whole = this.chance(0.5) ? 1n << BigInt(this.below(66)) : BigInt(this.below(10));
    const bits = fromInteger(whole * 4n + BigInt(this.below(9)) - 4n, format, 0).bits;
    if (bits === 0n) return 0n;
    // a quarter of it
    const quarter = bits - (2n << format.fraction);
    return this.chance(0.5) ? quarter : quarter | (1n << (format.bits - 1n));
  }

  /** A double at, or next to, what singles can show: normal, subnormal, overflowing. */
  doubleNearSingles(): bigint {
    const exponent = BigInt(this.below(290)) + DOUBLE.bias - 160n;
    const cut = DOUBLE.fraction - SINGLE.fraction - 1n - BigInt(this.below(2));
    const fraction = ((this.bits(24) << cut) + BigInt(this.below(3)) - 1n) & ((1n << DOUBLE.fraction) - 1n);
    return (this.bits(1) << 63n) | (exponent << DOUBLE.fraction) | fraction;
  }
}
