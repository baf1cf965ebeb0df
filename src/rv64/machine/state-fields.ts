/**
 * Reads a saved state that nobody vouches for: it came from a file or the network. Every field's type, length and range is
 * looked at before it is used.
 */

/** A machine state that cannot be restored. */
export class MachineStateError extends Error {
  override readonly name = 'MachineStateError';
  constructor(where: string, what: string) {
    super(`the state of the ${where} cannot be restored: ${what}`);
  }
}

export class StateFields {
  readonly #where: string;
  readonly #record: Record<string, unknown>;

  /** @param version the one that this host writes */
  constructor(where: string, value: unknown, version: number) {
    this.#where = where;
    if (typeof value !== 'object' || value === null) throw this.error('it is not a record');
    this.#record = value as Record<string, unknown>;
    const found = this.integer('version', 0, 0xffff);
    if (found !== version) throw this.error(`it is of version ${found}, this host reads version ${version}`);
  }

  error(what: string): MachineStateError {
    return new MachineStateError(this.#where, what);
  }

  integer(field: string, min: number, max: number): number {
    return this.#whole(field, this.#record[field], min, max);
  }

  word(field: string): number {
    return this.integer(field, 0, 0xffff_ffff);
  }

  byte(field: string): number {
    return this.integer(field, 0, 0xff);
  }

  flag(field: string): boolean {
    const value = this.#record[field];
    if (typeof value !== 'boolean') throw this.error(`${field} is neither true nor false`);
    return value;
  }

  /** Nanoseconds, perhaps with a fraction. */
  time(field: string): number {
    const value = this.#record[field];
    if (typeof value !== 'number' || !(value >= 0) || value > Number.MAX_SAFE_INTEGER) {
      throw this.error(`${field} is not a time`);
    }
    return value;
  }

  /** Of exactly this many whole numbers. */
  words(field: string, count: number, max = 0xffff_ffff): number[] {
    const value = this.#record[field];
    if (!Array.isArray(value) || value.length !== count) {
      throw this.error(`${field} is not a list of ${count} numbers`);
    }
    return value.map((item, index) => this.#whole(`${field}[${index}]`, item, 0, max));
  }

  /** Of exactly this many items, which the caller looks at. */
  list(field: string, count: number): unknown[] {
    const value = this.#record[field];
    if (!Array.isArray(value) || value.length !== count)
      throw this.error(`${field} is not a list of ${count}`);
    return value;
  }

  bytes(field: string, most: number): Uint8Array {
    const value = this.#record[field];
    if (!(value instanceof Uint8Array)) throw this.error(`${field} is not a byte string`);
    if (value.length > most) throw this.error(`${field} has ${value.length} bytes, at most ${most} fit`);
    return new Uint8Array(value);
  }

  /** Part of another device's making. */
  part(field: string): unknown {
    return this.#record[field];
  }

  #whole(field: string, value: unknown, min: number, max: number): number {
    if (typeof value !== 'number' || !Number.isInteger(value) || value < min || value > max) {
      throw this.error(`${field} is not a whole number from ${min} to ${max}`);
    }
    return value;
  }
}
