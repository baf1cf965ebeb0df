import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { StreamFormatError } from '../../../src/migration/errors.js';
import { checkCbor } from '../../../src/migration/stream/cbor-guard.js';
import { decodeOffer, decodeReady, encodeRecord, type Offer } from '../../../src/migration/stream/records.js';

const offer: Offer = {
  protocol: 1,
  vmName: 'a',
  imageName: 'udp-echo',
  imageKey: 'f'.repeat(64),
  ramBytes: 2 ** 28,
  nicModel: 'intel-82599-vf',
  vfCount: 1,
  plugin: { name: 'srvm', version: '0.1.0', options: { mode: 'scan' } },
  machine: new Uint8Array([1, 2]),
  verify: false,
  startRunning: true,
};

describe('records', () => {
  it('come back as they were', () => {
    expect(decodeOffer(encodeRecord(offer))).toEqual(offer);
    const bare = { ...offer, plugin: null, nicModel: null };
    expect(decodeOffer(encodeRecord(bare))).toEqual(bare);
    const ready = {
      verdict: { pagesCompared: 5, pagesDiffering: 1, differing: [3] },
      restoreMs: 1.5,
      prepareWaitMs: 0,
    };
    expect(decodeReady(encodeRecord(ready))).toEqual(ready);
  });

  it('are refused with a field missing, of another type, out of bounds, or too many', () => {
    for (const field of Object.keys(offer)) {
      const { [field as keyof Offer]: _gone, ...rest } = offer;
      expect(() => decodeOffer(encodeRecord(rest)), field).toThrow(StreamFormatError);
      expect(() => decodeOffer(encodeRecord({ ...offer, [field]: [{}] })), field).toThrow(StreamFormatError);
    }
    expect(() => decodeOffer(encodeRecord({ ...offer, extra: 1 }))).toThrow(/unknown fields: extra/);
    expect(() => decodeOffer(encodeRecord({ ...offer, vmName: 'x'.repeat(200) }))).toThrow(StreamFormatError);
    expect(() => decodeOffer(encodeRecord({ ...offer, ramBytes: -1 }))).toThrow(StreamFormatError);
    expect(() => decodeOffer(encodeRecord({ ...offer, ramBytes: 1.5 }))).toThrow(StreamFormatError);
  });

  it('are looked at before they are decoded: anything that passes is one plain item', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        try {
          checkCbor(bytes);
        } catch (error) {
          expect(error).toBeInstanceOf(StreamFormatError);
        }
      }),
      { numRuns: 2000, seed: 5 },
    );
    expect(() => checkCbor(Uint8Array.of(0xc0, 0x00))).toThrow(/tags/);
    expect(() => checkCbor(Uint8Array.of(0x9f, 0xff))).toThrow(/indefinite/);
    expect(() => checkCbor(Uint8Array.of(0x01, 0x01))).toThrow(/after the item/);
    expect(() => checkCbor(new Uint8Array(20).fill(0x81))).toThrow(/deeper/);
  });
});
