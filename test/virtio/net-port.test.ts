/** One device served: frames in buffers of every shape, what is written and logged, and rings that make no sense. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Bytes, bytesOf } from '../../src/hardware/bytes.js';
import { seededRandom } from '../../src/hardware/clock.js';
import { WORD } from '../../src/virtio/device-words.js';
import type { NetHeader } from '../../src/virtio/net-header.js';
import type { FrameTaker, NetPort } from '../../src/virtio/net-port.js';
import { DESCRIPTOR_FLAG, FEATURE, NO_NOTIFY, STATUS } from '../../src/virtio/spec.js';
import { BenchGuest, frameTo, MAC_A, MAC_B, RAM_BYTES } from './bench-device.js';

/** Keeps what was sent. */
class Taker implements FrameTaker {
  readonly into: Bytes = bytesOf(new Uint8Array(70_000));
  readonly offset = 64;
  roomBytes = 66_000;
  hasRoom = true;
  readonly frames: { bytes: Uint8Array; flags: number }[] = [];

  room(): boolean {
    return this.hasRoom;
  }

  take(_from: NetPort, header: NetHeader, length: number): void {
    this.frames.push({
      bytes: this.into.u8.slice(this.offset, this.offset + length),
      flags: header.bytes.u8[0]!,
    });
  }
}

function transmit(guest: BenchGuest, taker = new Taker(), most = 64): Taker {
  if (guest.port.enter()) guest.port.transmit(taker, most);
  guest.port.leave();
  return taker;
}

function deliver(guest: BenchGuest, frame: Uint8Array, header: NetHeader | null = null): boolean {
  const delivered = guest.port.deliver(bytesOf(frame), 0, frame.length, header);
  guest.port.leave();
  return delivered;
}

const isBroken = (guest: BenchGuest): boolean => (guest.status & STATUS.needsReset) !== 0;

describe('a served device', () => {
  it('takes frames, gives their buffers back and says so', () => {
    const guest = new BenchGuest().bringUp();
    const frames = [frameTo(MAC_B, MAC_A, 46), frameTo(MAC_B, MAC_A, 1500)];
    for (const frame of frames) guest.send(frame);
    expect(transmit(guest).frames.map(({ bytes }) => bytes)).toEqual(frames);
    expect(guest.takeUsed(1)).toEqual([
      { head: 0, bytes: 0 },
      { head: 1, bytes: 0 },
    ]);
    expect(guest.msi.take()).toEqual([2]);
    expect(guest.words.stats()).toMatchObject({ txFrames: 2, txBytes: 60 + 1514, txDropped: 0 });
  });

  it('gathers a frame from any number of buffers, its header too', () => {
    const guest = new BenchGuest().bringUp();
    const frame = frameTo(MAC_B, MAC_A, 200);
    const whole = new Uint8Array(12 + frame.length);
    whole.set(frame, 12);
    const cuts = [0, 5, 12, 40, 41, whole.length];
    for (let i = 0; i + 1 < cuts.length; i++) {
      const at = guest.bufferAt(1, i);
      guest.u8.set(whole.subarray(cuts[i], cuts[i + 1]), at);
      const last = i + 2 === cuts.length;
      guest.descriptor(1, i, at, cuts[i + 1]! - cuts[i]!, last ? 0 : DESCRIPTOR_FLAG.next, i + 1);
    }
    guest.makeAvailable(1, 0);
    expect(transmit(guest).frames.map(({ bytes }) => bytes)).toEqual([frame]);
  });

  it('leaves frames where they are while there is no room for them', () => {
    const guest = new BenchGuest().bringUp();
    guest.send(frameTo(MAC_B, MAC_A, 46));
    const taker = new Taker();
    taker.hasRoom = false;
    expect(transmit(guest, taker).frames).toHaveLength(0);
    expect(guest.takeUsed(1)).toEqual([]);
    taker.hasRoom = true;
    expect(transmit(guest, taker).frames).toHaveLength(1);
  });

  it('drops what is no frame, and goes on', () => {
    const guest = new BenchGuest().bringUp();
    guest.send(new Uint8Array(13));
    guest.send(frameTo(MAC_B, MAC_A, 1500));
    guest.send(frameTo(MAC_B, MAC_A, 46));
    const taker = new Taker();
    taker.roomBytes = 1000;
    expect(transmit(guest, taker).frames).toHaveLength(1);
    expect(guest.takeUsed(1)).toHaveLength(3);
    expect(guest.words.stats()).toMatchObject({ txFrames: 1, txDropped: 2 });
    expect(isBroken(guest)).toBe(false);
  });

  it('puts a frame into as many merged buffers as it takes', () => {
    const guest = new BenchGuest({ bufferBytes: 256 }).bringUp();
    const frame = frameTo(MAC_A, MAC_B, 980);
    expect(deliver(guest, frame)).toBe(true);
    const [received] = guest.received();
    expect(received!.buffers).toBe(4);
    expect(received!.frame).toEqual(frame);
    expect(guest.msi.take()).toEqual([1]);
  });

  it('drops a frame that no single buffer holds when the driver merges none', () => {
    const guest = new BenchGuest({ bufferBytes: 256 }).bringUp(0);
    expect(deliver(guest, frameTo(MAC_A, MAC_B, 1000))).toBe(false);
    expect(deliver(guest, frameTo(MAC_A, MAC_B, 100))).toBe(true);
    expect(guest.received().map(({ frame }) => frame.length)).toEqual([114]);
    expect(guest.words.stats()).toMatchObject({ rxFrames: 1, rxNoBuffer: 1 });
  });

  it('drops frames without buffers, and takes them again when there are some', () => {
    const guest = new BenchGuest({ queueSize: 4 }).bringUp();
    const frame = frameTo(MAC_A, MAC_B, 60);
    expect(Array.from({ length: 6 }, () => deliver(guest, frame))).toEqual([
      true,
      true,
      true,
      true,
      false,
      false,
    ]);
    expect(guest.received()).toHaveLength(4);
    expect(deliver(guest, frame)).toBe(true);
  });

  it('keeps quiet when the driver wants no interrupt, and rings no bell of a driver that need not ring', () => {
    const guest = new BenchGuest().bringUp();
    guest.port.listens = true;
    for (const queue of [0, 1]) guest.view.setUint16(guest.availableAt(queue), 1, true);
    deliver(guest, frameTo(MAC_A, MAC_B, 60));
    guest.send(frameTo(MAC_B, MAC_A, 60));
    transmit(guest);
    expect(guest.msi.take()).toEqual([]);
    const flags = (queue: number) => guest.view.getUint16(guest.usedAt(queue), true);
    expect([flags(0), flags(1)]).toEqual([NO_NOTIFY, NO_NOTIFY]);
    guest.port.listen();
    expect([flags(0), flags(1)]).toEqual([NO_NOTIFY, 0]);
  });

  it('touches nothing while it is not to be served, or not set up', () => {
    const guest = new BenchGuest().bringUp();
    guest.send(frameTo(MAC_B, MAC_A, 60));
    guest.takePages();
    guest.port.serving = false;
    expect(transmit(guest).frames).toHaveLength(0);
    expect(deliver(guest, frameTo(MAC_A, MAC_B, 60))).toBe(false);
    guest.port.serving = true;
    guest.function.configWrite(4, 2);
    expect(transmit(guest).frames).toHaveLength(0);
    expect(guest.takePages()).toEqual({ written: [], logged: [] });
    guest.function.configWrite(4, 6);
    expect(transmit(guest).frames).toHaveLength(1);
  });

  it('logs exactly the pages that it writes, and only while it is told to', () => {
    const guest = new BenchGuest({ bufferBytes: 512 }).bringUp();
    const act = (): void => {
      deliver(guest, frameTo(MAC_A, MAC_B, 1400));
      guest.send(frameTo(MAC_B, MAC_A, 60));
      transmit(guest);
    };
    act();
    const before = guest.takePages();
    expect(before.logged).toEqual([]);
    expect(before.written.length).toBeGreaterThan(0);
    guest.words.set(WORD.logging, 1);
    act();
    const { written, logged } = guest.takePages();
    expect(logged).toEqual(written);
    // receive rings, transmit rings, three or four buffers of which two may share a page
    expect(written).toContain(0);
    expect(written).toContain(4);
  });
});

describe('a guest whose rings make no sense', () => {
  const spoil: [string, (guest: BenchGuest) => void][] = [
    ['a chain without end', (guest) => guest.descriptor(1, 0, 0x80000, 20, DESCRIPTOR_FLAG.next, 0)],
    [
      'a next descriptor that is not there',
      (guest) => guest.descriptor(1, 0, 0x80000, 20, DESCRIPTOR_FLAG.next, 64),
    ],
    ['a buffer outside RAM', (guest) => guest.descriptor(1, 0, RAM_BYTES - 10, 60)],
    ['a buffer beyond 4 GiB', (guest) => guest.descriptor(1, 0, 2 ** 40, 60)],
    ['a buffer whose end wraps', (guest) => guest.descriptor(1, 0, 0xffff_ff00, 0xffff_ffff)],
    ['a buffer to write', (guest) => guest.descriptor(1, 0, 0x80000, 60, DESCRIPTOR_FLAG.write)],
    ['an indirect table', (guest) => guest.descriptor(1, 0, 0x80000, 64, DESCRIPTOR_FLAG.indirect)],
    ['a head that is not there', (guest) => guest.view.setUint16(guest.availableAt(1) + 4, 64, true)],
    ['an index that jumps', (guest) => guest.view.setUint16(guest.availableAt(1) + 2, 900, true)],
  ];

  it.each(spoil)('%s: the device stops, says so, and works again after a reset', (_, act) => {
    const guest = new BenchGuest().bringUp();
    guest.send(frameTo(MAC_B, MAC_A, 60));
    act(guest);
    expect(transmit(guest).frames).toHaveLength(0);
    expect(isBroken(guest)).toBe(true);
    expect(guest.msi.take()).toEqual([0]);
    expect(guest.words.stats().breakdowns).toBe(1);
    expect(guest.port.enter()).toBe(false);
    expect(deliver(guest, frameTo(MAC_A, MAC_B, 60))).toBe(false);
    guest.restart().send(frameTo(MAC_B, MAC_A, 60));
    expect(transmit(guest).frames).toHaveLength(1);
  });

  it.each([
    ['outside RAM', RAM_BYTES],
    ['not aligned', 0x5008],
  ])('a descriptor table %s', (_, place) => {
    const guest = new BenchGuest();
    guest.negotiate(FEATURE.mergeableBuffers);
    guest.placeQueue(0, place, 1);
    guest.placeQueue(1, 0x4000, 2);
    guest.write(0x14, guest.status | STATUS.driverOk, 1);
    expect(guest.port.enter()).toBe(true);
    guest.port.leave();
    expect(isBroken(guest)).toBe(true);
  });

  it('receive buffers to read, or without room', () => {
    for (const [bytes, flags] of [
      [2048, 0],
      [0, DESCRIPTOR_FLAG.write],
      [8, DESCRIPTOR_FLAG.write],
    ] as const) {
      const guest = new BenchGuest().bringUp();
      guest.descriptor(0, 0, guest.bufferAt(0, 0), bytes, flags);
      expect(deliver(guest, frameTo(MAC_A, MAC_B, 60))).toBe(false);
      expect(isBroken(guest)).toBe(true);
    }
  });

  it('any bytes at all: never a crash, never a write outside RAM, never one that is not logged', () => {
    fc.assert(
      fc.property(fc.nat(), fc.nat(17), (seed, index) => {
        const guest = new BenchGuest({ queueSize: 16 }).bringUp();
        guest.words.set(WORD.logging, 1);
        const random = seededRandom(seed);
        for (let at = 0; at < 0x5000; at += 4) guest.view.setUint32(at, random.nextU32());
        // addresses and lengths that are often right
        for (let at = 0; at < 16 * 32; at += 16) {
          for (const ring of [0, 0x4000]) {
            guest.u8.fill(0, ring + at + 3, ring + at + 8);
            guest.u8.fill(0, ring + at + 10, ring + at + 12);
          }
        }
        for (const queue of [0, 1]) guest.view.setUint16(guest.availableAt(queue) + 2, index, true);
        guest.u8.fill(0xa5, RAM_BYTES);
        guest.takePages();
        for (let turn = 0; turn < 3; turn++) {
          transmit(guest);
          deliver(guest, frameTo(MAC_A, MAC_B, 1500));
        }
        const { written, logged } = guest.takePages();
        expect(logged).toEqual(written);
        expect(guest.u8.subarray(RAM_BYTES).every((byte) => byte === 0xa5)).toBe(true);
        expect(guest.words.tryLock()).toBe(true);
      }),
      { numRuns: 300 },
    );
  });
});
