/** Device state on the stream: what goes in comes out, and what is hostile is refused. */
import { Encoder } from 'cbor-x';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { StateFields, StateValue } from '../../src/plugin/device-view.js';
import { DeviceStateError } from '../../src/plugin/errors.js';
import { decodeState, encodeState, MAX_STATE_BYTES } from '../../src/plugin/state-codec.js';

const ORIGIN = { plugin: 'srvm', version: '1.0.0' };
const encoder = new Encoder({ useRecords: false, tagUint8Array: false });
const wrap = (state: unknown, more: object = {}): Uint8Array =>
  encoder.encode({ format: 1, ...ORIGIN, state, ...more });

const name = fc.string({ maxLength: 12 }).filter((text) => text !== '__proto__');
const value: fc.Arbitrary<StateValue> = fc.letrec<{ value: StateValue }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 4 },
    fc.constant(null),
    fc.boolean(),
    fc.integer(),
    fc.nat({ max: 0xffffffff }),
    fc.double({ noNaN: true, noDefaultInfinity: true }).map((number) => number + 0),
    fc.string({ maxLength: 40 }),
    fc.uint8Array({ maxLength: 40 }),
    fc.array(tie('value'), { maxLength: 5 }),
    fc.dictionary(name, tie('value'), { maxKeys: 5, noNullPrototype: true }),
  ),
})).value;
const fields = fc.dictionary(name, value, { maxKeys: 8, noNullPrototype: true }) as fc.Arbitrary<StateFields>;

/** Byte arrays come back as plain ones, whatever buffer they came in. */
const plain = (each: unknown): unknown => {
  if (each instanceof Uint8Array) return Array.from(each);
  if (Array.isArray(each)) return each.map(plain);
  if (typeof each === 'object' && each !== null) {
    return Object.fromEntries(Object.entries(each).map(([key, inner]) => [key, plain(inner)]));
  }
  return each === 0 ? 0 : each;
};

describe('the device-state codec', () => {
  it('brings back what it was given', () => {
    fc.assert(
      fc.property(fields, (state) => {
        expect(plain(decodeState(ORIGIN, encodeState(ORIGIN, state)))).toEqual(plain(state));
      }),
    );
  });

  it('answers damage with a DeviceStateError, or with data', () => {
    const bytes = encodeState(ORIGIN, { a: [1, 2, { b: 'text', c: new Uint8Array(20) }], d: 1.5 });
    fc.assert(
      fc.property(fc.nat(bytes.length - 1), fc.nat(255), fc.nat(bytes.length), (at, byte, cut) => {
        const damaged = bytes.slice();
        damaged[at] = byte;
        for (const each of [damaged, bytes.subarray(0, cut), damaged.subarray(0, cut)]) {
          try {
            decodeState(ORIGIN, each);
          } catch (error) {
            expect(error).toBeInstanceOf(DeviceStateError);
          }
        }
      }),
      { numRuns: 500 },
    );
  });

  it('never throws anything else at arbitrary bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        try {
          decodeState(ORIGIN, bytes);
        } catch (error) {
          expect(error).toBeInstanceOf(DeviceStateError);
        }
      }),
      { numRuns: 500 },
    );
  });

  it.each([
    ['nothing', new Uint8Array(0), /0 bytes/],
    ['too much', new Uint8Array(MAX_STATE_BYTES + 1), /are expected/],
    [
      'a list that claims more than there is',
      Uint8Array.of(0x9a, 0xff, 0xff, 0xff, 0xff),
      /more members than bytes/,
    ],
    ['a text past the end', Uint8Array.of(0x7a, 0x7f, 0xff, 0xff, 0xff), /longer than the record/],
    ['an endless list', Uint8Array.of(0x9f, 0x01, 0xff), /indefinite/],
    ['a tag', Uint8Array.of(0xc1, 0x01), /tags are not used/],
    ['depth', new Uint8Array(100).fill(0x81), /deeper than/],
    ['bytes left over', Uint8Array.of(0x01, 0x02), /after the item/],
    ['no map', Uint8Array.of(0x01), /not a CBOR map/],
    ['another format', wrap({}, { format: 2 }), /format 2/],
    ["another plugin's", wrap({}, { plugin: 'none' }), /none 1.0.0's, not srvm 1.0.0's/],
    ["another version's", wrap({}, { version: '9.0.0' }), /srvm 9.0.0's/],
    ['no fields', wrap([]), /no fields/],
  ])('refuses %s', (_title, bytes, message) => {
    expect(() => decodeState(ORIGIN, bytes)).toThrow(DeviceStateError);
    expect(() => decodeState(ORIGIN, bytes)).toThrow(message);
  });

  it('refuses to encode what would not come back', () => {
    const encode = (inner: unknown): Uint8Array => encodeState(ORIGIN, { inner } as StateFields);
    expect(() => encode(() => 1)).toThrow(/state.inner is neither/);
    expect(() => encode(undefined)).toThrow(DeviceStateError);
    expect(() => encode(Number.NaN)).toThrow(DeviceStateError);
    expect(() => encode(new Map())).toThrow(DeviceStateError);
    expect(() => encode(new Uint8Array(MAX_STATE_BYTES))).toThrow(/at most/);
  });
});
