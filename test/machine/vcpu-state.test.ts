/**
 * A vCPU's state from a stranger: whatever is wrong with it is named, nothing else happens.
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { LoadedImage } from '../../src/guest/loaded-image.js';
import { ASYNCIFY_BYTES, MAX_COMMAND_LINE_BYTES } from '../../src/machine/layout.js';
import { decodeVcpuState, VCPU_STATE_VERSION, VcpuStateError } from '../../src/machine/vcpu-state.js';

const image = { globalTypes: [0x7f, 0x7e], initialPages: 2, maxPages: 256 } as unknown as LoadedImage;
const good = {
  version: VCPU_STATE_VERSION,
  guestPages: 3,
  globals: new Uint8Array(16),
  frames: Uint8Array.of(1, 2, 3, 4),
  irqPending: -1,
  clockNs: 12345.5,
  commandLine: new TextEncoder().encode('ip=10.0.0.2'),
  exit: { kind: 'none' },
};

describe('decodeVcpuState', () => {
  it('returns what was captured, as a copy and without what does not belong', () => {
    const decoded = decodeVcpuState({ ...good, extra: 'x' }, image);
    expect(decoded).toEqual(good);
    expect(decoded.frames).not.toBe(good.frames);
    const halted = { ...good, exit: { kind: 'halted', exitCode: 0xffffffff } };
    expect(decodeVcpuState(halted, image)).toEqual(halted);
  });

  it.each<[string, unknown]>([
    ['version', 99],
    ['guestPages', 1],
    ['guestPages', 257],
    ['guestPages', 2.5],
    ['globals', new Uint8Array(8)],
    ['globals', [0, 1]],
    ['frames', new Uint8Array(ASYNCIFY_BYTES)],
    ['frames', 'frames'],
    ['irqPending', 2 ** 32],
    ['irqPending', Number.NaN],
    ['clockNs', -1],
    ['clockNs', Number.POSITIVE_INFINITY],
    ['commandLine', new Uint8Array(MAX_COMMAND_LINE_BYTES + 1)],
    ['exit', undefined],
    ['exit', { kind: 'trapped' }],
    ['exit', { kind: 'halted', exitCode: -1 }],
  ])('refuses a wrong %s (%s)', (field, value) => {
    expect(() => decodeVcpuState({ ...good, [field]: value }, image)).toThrow(VcpuStateError);
  });

  it('accepts nothing else by accident', () => {
    fc.assert(
      fc.property(fc.constantFrom(...Object.keys(good)), fc.anything(), (field, value) => {
        try {
          const decoded = decodeVcpuState({ ...good, [field]: value }, image);
          expect(decoded.guestPages).toBeGreaterThanOrEqual(2);
          expect(decoded.globals.length).toBe(16);
        } catch (error) {
          expect(error).toBeInstanceOf(VcpuStateError);
        }
      }),
      { numRuns: 1000 },
    );
    for (const value of [null, 7, 'state', []])
      expect(() => decodeVcpuState(value, image)).toThrow(VcpuStateError);
  });
});
