/** The driver domain's switch and its VF, on a real engine in one thread: who gets what, and who finishes it. */
import { beforeEach, describe, expect, it } from 'vitest';
import { FEATURE, NET_GSO, NET_HEADER, NO_NOTIFY } from '../../src/virtio/spec.js';
import { internetChecksum, ipv4, pseudoHeader, tcpSegment } from '../hardware/nic/packets.js';
import { BenchGuest, frameTo, MAC_A, MAC_B } from './bench-device.js';
import { UplinkBench } from './uplink-bench.js';

const ELSEWHERE = [0x0000_5452, 0xfe00] as const;
const EVERYBODY = [0xffff_ffff, 0xffff] as const;
const IP_A = [10, 0, 0, 1];
const IP_B = [10, 0, 0, 2];
const NEEDS_CHECKSUM = { [NET_HEADER.flags]: 1 };
const MSS = 1460;

function withMacs(
  target: readonly [number, number],
  source: readonly [number, number],
  packet: Uint8Array,
): Uint8Array {
  const frame = frameTo(target, source, packet.length);
  frame[12] = 0x08;
  frame[13] = 0x00;
  frame.set(packet, 14);
  return frame;
}

function udpOf(payloadBytes: number): Uint8Array {
  const udp = new Uint8Array(8 + payloadBytes).fill(7, 8);
  new DataView(udp.buffer).setUint32(0, (1234 << 16) | 7);
  new DataView(udp.buffer).setUint16(4, udp.length);
  return udp;
}

/** A segment of TCP as a guest leaves it to its device: the pseudo-header's sum in the checksum's place. */
function partialTcp(
  target: readonly [number, number],
  payloadBytes: number,
): { frame: Uint8Array; payload: Uint8Array } {
  const payload = new Uint8Array(payloadBytes).map((_, i) => (i * 31) & 0xff);
  const tcp = tcpSegment(payload, 1000, 0x18);
  new DataView(tcp.buffer).setUint16(16, ~internetChecksum(pseudoHeader(IP_A, IP_B, 6, tcp.length)));
  return { frame: withMacs(target, MAC_A, ipv4(6, tcp, IP_A, IP_B)), payload };
}

const word = (value: number, at: number) => ({ [at]: value & 0xff, [at + 1]: value >> 8 });
const TCP_HEADER = {
  ...NEEDS_CHECKSUM,
  ...word(34, NET_HEADER.checksumStart),
  ...word(16, NET_HEADER.checksumOffset),
};
const LARGE_HEADER = {
  ...TCP_HEADER,
  [NET_HEADER.gsoType]: NET_GSO.tcpv4,
  ...word(54, NET_HEADER.headerBytes),
  ...word(MSS, NET_HEADER.gsoBytes),
};

const tcpIsRight = (frame: Uint8Array): boolean => {
  const tcp = frame.subarray(34, 14 + ((frame[16]! << 8) | frame[17]!));
  return internetChecksum(pseudoHeader(IP_A, IP_B, 6, tcp.length), tcp) === 0;
};

describe('the software switch', () => {
  let bench: UplinkBench;
  let a: BenchGuest;
  let b: BenchGuest;
  beforeEach(() => {
    bench = new UplinkBench();
    a = bench.add(new BenchGuest().bringUp());
    b = bench.add(new BenchGuest({ mac: MAC_B }).bringUp());
  });

  it('takes a frame to the guest it is for, and to nobody else', () => {
    const frame = frameTo(MAC_B, MAC_A, 200);
    a.send(frame);
    bench.settle();
    expect(b.received().map((each) => each.frame)).toEqual([frame]);
    expect(a.received()).toEqual([]);
    expect(bench.fromWire()).toEqual([]);
  });

  it('takes what is for nobody here to the wire, and the answer back', () => {
    const out = frameTo(ELSEWHERE, MAC_A, 300);
    const back = frameTo(MAC_A, ELSEWHERE, 1500);
    a.send(out);
    bench.settle();
    expect(bench.fromWire()).toEqual([out]);
    bench.toWire(back);
    bench.settle();
    expect(a.received().map((each) => each.frame)).toEqual([back]);
    expect(b.received()).toEqual([]);
  });

  it('takes a broadcast to everybody but its sender, once', () => {
    const out = frameTo(EVERYBODY, MAC_A, 100);
    a.send(out);
    bench.settle();
    expect(bench.fromWire()).toEqual([out]);
    expect(b.received().map((each) => each.frame)).toEqual([out]);
    expect(a.received()).toEqual([]);
    const back = frameTo(EVERYBODY, ELSEWHERE, 100);
    bench.toWire(back);
    bench.settle();
    for (const guest of [a, b]) expect(guest.received().map((each) => each.frame)).toEqual([back]);
  });

  it('keeps frames to oneself from going anywhere', () => {
    a.send(frameTo(MAC_A, MAC_A, 100));
    bench.settle();
    expect([bench.fromWire(), a.received(), b.received()]).toEqual([[], [], []]);
    expect(a.words.stats().txDropped).toBe(1);
  });

  it('lets no guest be starved by another, and keeps order', () => {
    for (let turn = 0; turn < 40; turn++) {
      for (let i = 0; i < 32; i++) {
        a.send(frameTo(ELSEWHERE, MAC_A, 50 + turn));
        b.send(frameTo(ELSEWHERE, MAC_B, 50 + turn));
      }
      bench.settle();
      const lengths = bench.fromWire().map((frame) => frame.length);
      expect(lengths).toEqual(new Array(64).fill(Math.max(60, 64 + turn)));
      a.takeUsed(1);
      b.takeUsed(1);
    }
  });

  it('leaves no lock behind when it dies', () => {
    b.port.deliver = () => {
      throw new Error('no more');
    };
    a.send(frameTo(MAC_B, MAC_A, 100));
    expect(() => bench.switch.step()).toThrow('no more');
    expect([a, b].map(({ words }) => words.tryLock())).toEqual([true, true]);
  });

  describe('a guest whose thread has its lock for a moment', () => {
    /** The next `times` tries find it taken. */
    const flap = ({ port }: BenchGuest, times: number): void => {
      const tryLock = port.words.tryLock.bind(port.words);
      let left = times;
      port.words.tryLock = () => left-- <= 0 && tryLock();
    };

    it('gets what is for it all the same', () => {
      const [fromA, fromWire] = [frameTo(MAC_B, MAC_A, 200), frameTo(MAC_B, ELSEWHERE, 300)];
      a.send(fromA);
      flap(b, 3);
      bench.settle();
      bench.toWire(fromWire);
      flap(b, 3);
      bench.settle();
      expect(b.received().map((each) => each.frame)).toEqual([fromA, fromWire]);
    });

    it('is looked at again before the domain sleeps, and asked to ring', () => {
      const out = frameTo(ELSEWHERE, MAC_A, 100);
      a.send(out);
      bench.settle();
      expect(a.view.getUint16(a.usedAt(1), true)).toBe(NO_NOTIFY);
      flap(a, 1);
      bench.switch.listen();
      expect(a.view.getUint16(a.usedAt(1), true)).toBe(0);
      a.send(out);
      flap(a, 1);
      expect(bench.switch.step()).toBeGreaterThan(0);
      bench.settle();
      expect(bench.fromWire()).toEqual([out, out]);
    });
  });

  it('has the card finish checksums of frames to the wire', () => {
    const udp = ipv4(17, udpOf(33), IP_A, IP_B);
    const frame = withMacs(ELSEWHERE, MAC_A, udp);
    new DataView(frame.buffer).setUint16(
      40,
      ~internetChecksum(pseudoHeader(IP_A, IP_B, 17, udp.length - 20)),
    );
    a.send(frame, {
      ...NEEDS_CHECKSUM,
      ...word(34, NET_HEADER.checksumStart),
      ...word(6, NET_HEADER.checksumOffset),
    });
    a.send(partialTcp(ELSEWHERE, 100).frame, TCP_HEADER);
    a.send(partialTcp(ELSEWHERE, 200).frame, TCP_HEADER);
    bench.settle();
    const [first, ...rest] = bench.fromWire();
    const sent = first!.subarray(34);
    expect(internetChecksum(pseudoHeader(IP_A, IP_B, 17, sent.length), sent)).toBe(0);
    expect(rest.map(tcpIsRight)).toEqual([true, true]);
  });

  it('hands an unfinished frame to a guest that can do without, finished to one that cannot', () => {
    const { frame } = partialTcp(MAC_B, 100);
    a.send(frame, TCP_HEADER);
    bench.settle();
    const [as] = b.received();
    expect(as!.header[0]).toBe(1);
    expect(as!.frame).toEqual(frame);
    const plain = bench.add(new BenchGuest({ mac: MAC_B }).bringUp(FEATURE.mergeableBuffers));
    bench.switch.remove(b.port);
    bench.switch.add(plain.port);
    a.send(frame, TCP_HEADER);
    bench.settle();
    const [finished] = plain.received();
    expect(finished!.header.every((byte, index) => byte === 0 || index === NET_HEADER.buffers)).toBe(true);
    expect(tcpIsRight(finished!.frame)).toBe(true);
  });

  it('tells a guest what the card has verified', () => {
    const tcp = tcpSegment(new Uint8Array(50), 1, 0x18);
    new DataView(tcp.buffer).setUint16(16, 0);
    new DataView(tcp.buffer).setUint16(16, internetChecksum(pseudoHeader(IP_B, IP_A, 6, tcp.length), tcp));
    const right = withMacs(MAC_A, ELSEWHERE, ipv4(6, tcp, IP_B, IP_A));
    const wrong = Uint8Array.from(right);
    wrong[60]! ^= 1;
    bench.toWire(right);
    bench.toWire(wrong);
    bench.settle();
    expect(a.received().map(({ header }) => header[0])).toEqual([2, 0]);
  });

  it.each([1, 1460, 1461, 20_000, 65_000])(
    'has the card cut a segment of %s bytes for the wire',
    (payloadBytes) => {
      const large = bench.add(
        new BenchGuest({ mac: [MAC_A[0], 0x0c00] }).bringUp(FEATURE.csum | FEATURE.hostTso4),
      );
      const { frame, payload } = partialTcp(ELSEWHERE, payloadBytes);
      sendLarge(large, frame);
      bench.settle();
      expectSegments(bench.fromWire(), payload);
    },
  );

  it('hands a large segment over whole, or cuts it for a guest that takes none', () => {
    const whole = bench.add(
      new BenchGuest({ mac: [MAC_A[0], 0x0d00] }).bringUp(
        FEATURE.mergeableBuffers | FEATURE.guestCsum | FEATURE.guestTso4,
      ),
    );
    const sender = bench.add(
      new BenchGuest({ mac: [MAC_A[0], 0x0c00] }).bringUp(FEATURE.csum | FEATURE.hostTso4),
    );
    const first = partialTcp([MAC_A[0], 0x0d00], 9000);
    sendLarge(sender, first.frame);
    const second = partialTcp(MAC_B, 9000);
    sendLarge(sender, second.frame, 8);
    bench.settle();
    const [received] = whole.received();
    expect(received!.frame).toEqual(first.frame);
    expect([...received!.header.subarray(0, 2)]).toEqual([1, NET_GSO.tcpv4]);
    expectSegments(
      b.received().map((each) => each.frame),
      second.payload,
    );
  });

  it.each([
    ['no segment size', { ...LARGE_HEADER, ...word(0, NET_HEADER.gsoBytes) }],
    ['one byte in each', { ...LARGE_HEADER, ...word(1, NET_HEADER.gsoBytes) }],
    ['another kind', { ...LARGE_HEADER, [NET_HEADER.gsoType]: 4 }],
    ['a checksum elsewhere', { ...LARGE_HEADER, ...word(60_000, NET_HEADER.checksumStart) }],
  ])('drops a large segment with %s, and goes on', (_, header) => {
    const { frame } = partialTcp(ELSEWHERE, 9000);
    sendLarge(a, frame, 0, header);
    a.send(frameTo(ELSEWHERE, MAC_A, 100), {}, 60);
    bench.settle();
    expect(bench.fromWire()).toHaveLength(1);
    expect(a.words.stats()).toMatchObject({ txDropped: 1, breakdowns: 0 });
  });

  it('holds a guest back while the wire is slow, and does not while there is no wire', async () => {
    for (let i = 0; i < 64; i++) a.send(frameTo(ELSEWHERE, MAC_A, 60), {}, i);
    // the engine stands still: the ring fills, and what fits no more stays with the guest
    for (let round = 0; round < 12; round++) {
      bench.switch.step();
      for (const { head } of a.takeUsed(1)) a.makeAvailable(1, head);
    }
    bench.switch.step();
    expect(a.takeUsed(1).length).toBeLessThan(64);
    await bench.pullCable();
    bench.engine.step();
    for (let round = 0; round < 12; round++) bench.switch.step();
    expect(a.takeUsed(1)).not.toEqual([]);
    a.send(frameTo(MAC_B, MAC_A, 99), {}, 63);
    bench.switch.step();
    expect(b.received().map(({ frame }) => frame.length)).toContain(113);
  });

  /** In buffers of 2 KiB, one behind the other, from `slot` on. */
  function sendLarge(
    guest: BenchGuest,
    frame: Uint8Array,
    slot = 0,
    header: Partial<Record<number, number>> = LARGE_HEADER,
  ): void {
    const whole = new Uint8Array(12 + frame.length);
    for (const [offset, value] of Object.entries(header)) whole[Number(offset)] = value!;
    whole.set(frame, 12);
    const count = Math.ceil(whole.length / 2048);
    for (let i = 0; i < count; i++) {
      const part = whole.subarray(i * 2048, (i + 1) * 2048);
      guest.u8.set(part, guest.bufferAt(1, slot + i));
      guest.descriptor(
        1,
        slot + i,
        guest.bufferAt(1, slot + i),
        part.length,
        i + 1 < count ? 1 : 0,
        slot + i + 1,
      );
    }
    guest.makeAvailable(1, slot);
  }

  function expectSegments(frames: Uint8Array[], payload: Uint8Array): void {
    expect(frames.length).toBe(Math.ceil(payload.length / MSS));
    const joined: number[] = [];
    for (const [index, frame] of frames.entries()) {
      const view = new DataView(frame.buffer, frame.byteOffset);
      const bytes = view.getUint16(16);
      expect(tcpIsRight(frame)).toBe(true);
      expect(internetChecksum(frame.subarray(14, 34))).toBe(0);
      expect(view.getUint32(38)).toBe(1000 + index * MSS);
      joined.push(...frame.subarray(54, 14 + bytes));
    }
    expect(Uint8Array.from(joined)).toEqual(payload);
  }
});
