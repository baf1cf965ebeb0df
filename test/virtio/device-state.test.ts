/** A device's state, saved in one place and restored in another; and states that nobody wrote. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { bytesOf } from '../../src/hardware/bytes.js';
import { MSIX_BAR } from '../../src/virtio/config-image.js';
import {
  type NetState,
  NetStateError,
  restoreNetState,
  saveNetState,
} from '../../src/virtio/device-state.js';
import { DeviceWords, WORD } from '../../src/virtio/device-words.js';
import { raiseVector } from '../../src/virtio/msix.js';
import { NetFunction } from '../../src/virtio/net-function.js';
import { NetPort } from '../../src/virtio/net-port.js';
import { FEATURE } from '../../src/virtio/spec.js';
import { BenchGuest, benchHandle, frameTo, MAC_A, MAC_B } from './bench-device.js';

function busyGuest(): BenchGuest {
  const guest = new BenchGuest().bringUp();
  const frame = frameTo(MAC_A, MAC_B, 100);
  for (let i = 0; i < 5; i++) guest.port.deliver(bytesOf(frame), 0, frame.length, null);
  guest.port.leave();
  guest.function.barWrite(MSIX_BAR, 16 + 12, 1, 4);
  raiseVector(guest.words, guest.msi, 1);
  return guest;
}

describe("a device's state", () => {
  it('goes on elsewhere as if nothing had happened: rings, features, messages that wait', () => {
    const guest = busyGuest();
    const state = structuredClone(saveNetState(guest.words));
    const there = { ...benchHandle(MAC_B), domain: guest.handle.domain };
    const words = new DeviceWords(there);
    restoreNetState(words, state);
    expect(saveNetState(words)).toEqual(state);
    const port = new NetPort(there, guest.msi, true);
    expect([port.macLow, port.macHigh]).toEqual([...MAC_A]);
    const frame = frameTo(MAC_A, MAC_B, 77);
    expect(port.deliver(bytesOf(frame), 0, frame.length, null)).toBe(true);
    port.leave();
    expect(guest.received().map((each) => each.frame.length)).toEqual([114, 114, 114, 114, 114, 91]);
    guest.msi.take();
    new NetFunction(there, guest.msi).barWrite(MSIX_BAR, 16 + 12, 0, 4);
    expect(guest.msi.take()).toEqual([1]);
  });

  it.each([
    [
      'features that this host does not offer',
      (words: DeviceWords) => words.set(WORD.offered, FEATURE.mac),
      /0x8003|feature/,
    ],
    ['packets longer than the port', (words: DeviceWords) => words.set(WORD.portMtu, 1400), /1500/],
  ])('refuses %s, and changes nothing', (_, limit, message) => {
    const state = saveNetState(busyGuest().words);
    const words = new DeviceWords(benchHandle(MAC_B));
    limit(words);
    const before = saveNetState(words);
    expect(() => restoreNetState(words, state)).toThrow(message);
    expect(saveNetState(words)).toEqual(before);
  });

  it("takes another guest's longer packets after one with shorter ones", () => {
    const words = new DeviceWords(benchHandle());
    const state = saveNetState(busyGuest().words);
    restoreNetState(words, { ...state, mtu: 576 });
    restoreNetState(words, state);
    expect(saveNetState(words)).toEqual(state);
  });

  it('refuses anything else with one kind of error', () => {
    const good = saveNetState(busyGuest().words) as unknown as Record<string, unknown>;
    const words = new DeviceWords(benchHandle());
    const before = saveNetState(words);
    const anything = fc.oneof(
      fc.anything(),
      fc.integer(),
      fc.constant(undefined),
      fc.array(fc.integer({ min: -1, max: 2 ** 33 }), { maxLength: 70 }),
    );
    fc.assert(
      fc.property(fc.constantFrom(...Object.keys(good)), anything, (field, value) => {
        const state = { ...good, [field]: value };
        try {
          restoreNetState(words, state);
        } catch (error) {
          expect(error).toBeInstanceOf(NetStateError);
          expect(saveNetState(words)).toEqual(before);
          return;
        }
        // what it took, it can say again
        expect(saveNetState(words)).toMatchObject({ version: 1, mac: (state as unknown as NetState).mac });
        restoreNetState(words, before);
      }),
      { numRuns: 400 },
    );
    for (const value of [null, undefined, 7, [], 'x', { version: 2 }]) {
      expect(() => restoreNetState(words, value)).toThrow(NetStateError);
    }
    expect(() => restoreNetState(words, { ...good, mtu: 67 })).toThrow(/67 is below 68/);
  });
});
