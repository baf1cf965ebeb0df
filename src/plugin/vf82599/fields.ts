/**
 * Reading device state that came over the wire: every access checks the type and the range, and the error names the
 * field. Nothing in a state is believed before it went through here.
 */
import type { StateFields, StateValue } from '../device-view.js';
import { DeviceStateError } from '../errors.js';

const at = (path: string, name: string): string => (path === '' ? name : `${path}.${name}`);

export class FieldReader {
  readonly path: string;
  readonly #fields: StateFields;

  constructor(value: StateValue | undefined, path = '') {
    if (typeof value !== 'object' || value === null || Array.isArray(value) || value instanceof Uint8Array) {
      throw new DeviceStateError(`device state: ${path || 'the whole'} is not a record of fields`);
    }
    this.path = path;
    this.#fields = value;
  }

  #get(name: string): StateValue {
    const value = Object.hasOwn(this.#fields, name) ? this.#fields[name] : undefined;
    if (value === undefined)
      throw new DeviceStateError(`device state: field ${at(this.path, name)} is missing`);
    return value;
  }

  /** A 32-bit register value. */
  u32(name: string): number {
    return this.integer(name, 0xffff_ffff);
  }

  integer(name: string, max: number): number {
    const value = this.#get(name);
    if (typeof value !== 'number' || !Number.isInteger(value) || value < 0 || value > max) {
      throw new DeviceStateError(`device state: ${at(this.path, name)} is not a whole number of 0..${max}`);
    }
    return value;
  }

  /** The state's own `version`, which must be the one that this code writes. */
  requireVersion(expected: number): void {
    const version = this.integer('version', 0xffff);
    if (version !== expected)
      throw new DeviceStateError(`device state: version ${version}, this plugin reads ${expected}`);
  }

  flag(name: string): boolean {
    const value = this.#get(name);
    if (typeof value !== 'boolean')
      throw new DeviceStateError(`device state: ${at(this.path, name)} is not a flag`);
    return value;
  }

  /** Exactly `count` 32-bit values. */
  u32s(name: string, count: number): number[] {
    return this.list(name, count).map((value, index) => {
      if (typeof value !== 'number' || !Number.isInteger(value) || value < 0 || value > 0xffff_ffff) {
        throw new DeviceStateError(`device state: ${at(this.path, name)}[${index}] is not a 32-bit value`);
      }
      return value;
    });
  }

  /** Exactly `count` elements. */
  list(name: string, count: number): StateValue[] {
    const value = this.#get(name);
    if (!Array.isArray(value) || value.length !== count) {
      throw new DeviceStateError(`device state: ${at(this.path, name)} is not a list of ${count}`);
    }
    return value;
  }

  records(name: string, count: number): FieldReader[] {
    return this.list(name, count).map((value, i) => new FieldReader(value, `${at(this.path, name)}[${i}]`));
  }

  record(name: string): FieldReader {
    return new FieldReader(this.#get(name), at(this.path, name));
  }

  value(name: string): StateValue {
    return this.#get(name);
  }
}
