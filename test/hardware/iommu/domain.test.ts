import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  createDomainHandle,
  DomainRangeError,
  FAULT,
  IommuDomain,
} from '../../../src/hardware/iommu/domain.js';
import { DOMAIN_WORD, type IovaRange } from '../../../src/hardware/iommu/handle.js';

const PAGE = 4096;
const RAM: IovaRange = { iovaStart: 0, memoryOffset: 0, bytes: 16 * PAGE, writable: true };
const HIGH: IovaRange = {
  iovaStart: 0x2_0000_0000,
  memoryOffset: 20 * PAGE,
  bytes: 2 * PAGE,
  writable: false,
};
const memory = (): SharedArrayBuffer => new SharedArrayBuffer(32 * PAGE);

function words(domain: IommuDomain): Int32Array {
  return new Int32Array(domain.handle.control);
}

describe('IOMMU domain', () => {
  it('maps guest RAM one to one, to its very last byte', () => {
    const domain = new IommuDomain(createDomainHandle(memory(), [RAM]));
    expect(domain.translate(0x1234, 0, 100, true)).toBe(0x1234);
    expect(domain.translate(16 * PAGE - 1, 0, 1, true)).toBe(16 * PAGE - 1);
    expect(words(domain)[DOMAIN_WORD.writeFaults]).toBe(0);
  });

  it('blocks what lies outside, and says what and which way', () => {
    const domain = new IommuDomain(createDomainHandle(memory(), [RAM]));
    expect(domain.translate(16 * PAGE - 1, 0, 2, true)).toBe(FAULT);
    expect(domain.translate(-16, 0, 16, false)).toBe(FAULT);
    expect(domain.translate(0x10, 0x8000_0000 | 0, 16, false)).toBe(FAULT);
    expect(words(domain)[DOMAIN_WORD.writeFaults]).toBe(1);
    expect(words(domain)[DOMAIN_WORD.readFaults]).toBe(2);
    expect(words(domain)[DOMAIN_WORD.lastFaultLow]).toBe(0x10);
    expect(words(domain)[DOMAIN_WORD.lastFaultHigh]! >>> 0).toBe(0x8000_0000);
  });

  it('maps further ranges above 4 GiB and keeps read-only ones from being written', () => {
    const domain = new IommuDomain(createDomainHandle(memory(), [RAM, HIGH]));
    expect(domain.translate(PAGE, 2, 8, false)).toBe(21 * PAGE);
    expect(domain.translate(PAGE, 2, 8, true)).toBe(FAULT);
    expect(domain.translate(PAGE, 1, 8, false)).toBe(FAULT);
  });

  it('marks every page that a write touched, in the truth always and as dirty bits when they are on', () => {
    const domain = new IommuDomain(createDomainHandle(memory(), [RAM], { dirtyBits: true }));
    const truth = new Uint8Array(domain.handle.truth);
    const dirty = new Uint8Array(domain.handle.dirtyBits!);
    domain.markWritten(2 * PAGE - 1, 2);
    expect([...truth.subarray(0, 4)]).toEqual([0, 1, 1, 0]);
    expect([...dirty.subarray(0, 4)]).toEqual([0, 0, 0, 0]);
    words(domain)[DOMAIN_WORD.dirtyBitsOn] = 1;
    domain.markWritten(3 * PAGE, PAGE);
    expect([...dirty.subarray(0, 5)]).toEqual([0, 0, 0, 1, 0]);
    expect(words(domain)[DOMAIN_WORD.bytesWrittenLow]).toBe(2 + PAGE);
  });

  it('has no dirty bits unless it was made with them', () => {
    const domain = new IommuDomain(createDomainHandle(memory(), [RAM]));
    words(domain)[DOMAIN_WORD.dirtyBitsOn] = 1;
    domain.markWritten(0, 1);
    expect(domain.handle.dirtyBits).toBeNull();
  });

  it('refuses range tables that could reach outside the memory', () => {
    for (const bad of [
      { ...RAM, bytes: 33 * PAGE },
      { ...RAM, bytes: 0 },
      { ...RAM, iovaStart: 1 },
      { ...RAM, memoryOffset: -PAGE },
    ]) {
      expect(() => createDomainHandle(memory(), [bad])).toThrow(DomainRangeError);
    }
    expect(() => createDomainHandle(memory(), new Array<IovaRange>(9).fill(RAM))).toThrow(/at most 8/);
  });

  it('never translates to a place that the device may not touch', () => {
    const domain = new IommuDomain(createDomainHandle(memory(), [RAM, HIGH]));
    const any32 = fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 });
    const near = fc.oneof(
      any32,
      fc.integer({ min: 15 * PAGE, max: 17 * PAGE }),
      fc.integer({ min: 0, max: 3 * PAGE }),
    );
    fc.assert(
      fc.property(
        near,
        fc.oneof(any32, fc.constantFrom(0, 1, 2)),
        fc.nat(70_000),
        fc.boolean(),
        (low, high, bytes, write) => {
          const at = domain.translate(low, high, bytes, write);
          const inRam = at >= 0 && at + bytes <= 16 * PAGE;
          const inHigh = !write && at >= 20 * PAGE && at + bytes <= 22 * PAGE;
          expect(at === FAULT || inRam || inHigh).toBe(true);
        },
      ),
      { numRuns: 2000 },
    );
  });
});
