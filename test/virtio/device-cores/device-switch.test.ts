/** A core of a self-virtualizing device, step by step and in a time of the test's own. */
import { describe, expect, it, vi } from 'vitest';
import { createCable } from '../../../src/hardware/wire/cable.js';
import type { Wire } from '../../../src/hardware/wire/wire.js';
import { DeviceSwitch } from '../../../src/virtio/device-cores/device-switch.js';
import { BURST_NS, WIRE_OVERHEAD_BYTES } from '../../../src/virtio/device-cores/rate-meter.js';
import {
  createVifWords,
  DEFAULT_FILTERS,
  VifError,
  VifWords,
} from '../../../src/virtio/device-cores/vif-words.js';
import { WORD } from '../../../src/virtio/device-words.js';
import { NetPort } from '../../../src/virtio/net-port.js';
import { FEATURE, NET_HEADER } from '../../../src/virtio/spec.js';
import { internetChecksum } from '../../hardware/nic/packets.js';
import { RingDriver } from './ring-driver.js';

const FRAME_BYTES = 1000;
const BROADCAST = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff];
const STRANGER = [0x52, 0x54, 0, 0, 0, 0x99];
const macOf = (n: number): number[] => [0x52, 0x54, 0, 0, 0, n];

function frame(to: readonly number[], from: readonly number[], vlan = -1, bytes = FRAME_BYTES): Uint8Array {
  const made = new Uint8Array(bytes).fill(0x5a);
  made.set([...to, ...from, ...(vlan < 0 ? [] : [0x81, 0, vlan >> 8, vlan & 0xff]), 0x88, 0xb5], 0);
  return made;
}

interface Station {
  readonly driver: RingDriver;
  readonly words: VifWords;
  readonly mac: readonly number[];
  /** As each core has it. */
  readonly ports: readonly NetPort[];
}

/** A device of `cores` cores in one thread; VIF n is served by core n modulo their number. */
class Bench {
  readonly peer: Wire;
  readonly #cores: DeviceSwitch[];
  #vifs = 0;
  nowNs = 1e9;

  constructor(cores = 1) {
    const [near, far] = createCable();
    this.peer = far;
    // one wire for all: in one thread they cannot be in each other's way
    this.#cores = Array.from({ length: cores }, () => new DeviceSwitch({ wire: near, frameBytes: 1518 }));
  }

  add(): Station {
    const mac = macOf(++this.#vifs);
    const [a, b, c, d, e, f] = mac as [number, number, number, number, number, number];
    const driver = new RingDriver({ low: (a | (b << 8) | (c << 16) | (d << 24)) >>> 0, high: e | (f << 8) });
    const buffer = createVifWords();
    const words = new VifWords(buffer);
    words.filters = DEFAULT_FILTERS;
    const ports = this.#cores.map((core, index) => {
      const isOwn = this.#vifs % this.#cores.length === index;
      const port = new NetPort(driver.handle, { deliver: () => {} }, true);
      core.add({ port, words: new VifWords(buffer), isOwn });
      return port;
    });
    driver.up();
    return { driver, words, mac, ports };
  }

  step(): number {
    return this.#cores.reduce((work, core) => work + core.step(this.nowNs), 0);
  }

  get dueNs(): number {
    return this.#cores[0]!.dueNs;
  }

  onWire(): Uint8Array[] {
    const frames: Uint8Array[] = [];
    this.peer.receive((bytes, offset, length) => {
      frames.push(bytes.slice(offset, offset + length));
      return true;
    }, 10_000);
    return frames;
  }

  offer(bytes: Uint8Array): void {
    this.peer.transmit(bytes, 0, bytes.length);
    this.peer.flush();
  }
}

describe.each([1, 2])('a device of %i core(s)', (cores) => {
  it('switches between its VIFs and the wire', () => {
    const bench = new Bench(cores);
    const [a, b, c] = [bench.add(), bench.add(), bench.add()];
    a.driver.send(frame(b.mac, a.mac));
    a.driver.send(frame(STRANGER, a.mac));
    b.driver.send(frame(BROADCAST, b.mac));
    c.driver.send(frame(a.mac, c.mac, -1, 20));
    bench.offer(frame(c.mac, STRANGER));
    bench.offer(frame(macOf(77), STRANGER));
    while (bench.step() > 0);
    expect(a.driver.receive()).toEqual(
      expect.arrayContaining([frame(BROADCAST, b.mac), frame(a.mac, c.mac, -1, 20)]),
    );
    expect(b.driver.receive()).toEqual([frame(b.mac, a.mac)]);
    expect(c.driver.receive()).toEqual(
      expect.arrayContaining([frame(c.mac, STRANGER), frame(BROADCAST, b.mac)]),
    );
    const wired = bench.onWire();
    expect(wired).toHaveLength(2);
    expect(wired).toEqual(expect.arrayContaining([frame(STRANGER, a.mac), frame(BROADCAST, b.mac)]));
  });

  it('keeps frames of one VIF in order through a full ring, and loses none', () => {
    const bench = new Bench(cores);
    const [a, b] = [bench.add(), bench.add()];
    const got: number[] = [];
    for (let sent = 0; got.length < 500; ) {
      const next = frame(b.mac, a.mac);
      next[20] = sent & 0xff;
      if (sent < 500 && a.driver.send(next)) sent++;
      else bench.step();
      got.push(...b.driver.receive().map((each) => each[20]!));
    }
    expect(got).toEqual(Array.from({ length: 500 }, (_, i) => i & 0xff));
  });
});

describe("a VIF whose lock changes hands faster than another core's looks", () => {
  /** The next `times` tries find it taken, and whoever had it gone at any other look. */
  const flap = (port: NetPort, times: number): void => {
    const tryLock = port.words.tryLock.bind(port.words);
    let left = times;
    port.words.tryLock = () => left-- <= 0 && tryLock();
  };

  it('gets the frame that waits for it', () => {
    const bench = new Bench(2);
    const [a, b] = [bench.add(), bench.add()];
    flap(b.ports[1]!, 500);
    a.driver.send(frame(b.mac, a.mac));
    while (bench.step() > 0);
    expect(b.driver.receive()).toHaveLength(1);
    expect(b.words.counts().missed).toBe(0);
  });

  it('is given up when its holder is stuck, and is not waited for again until he has let go', () => {
    const bench = new Bench(2);
    const [a, b] = [bench.add(), bench.add()];
    const port = b.ports[1]!;
    let waits = 0;
    port.words.awaitLock = () => void waits++;
    const send = (frames: number): void => {
      for (let i = 0; i < frames; i++) a.driver.send(frame(b.mac, a.mac));
      // the other core, whose own VIF it is, goes on looking
      for (let turn = 0; turn < 4; turn++) bench.step();
    };
    port.words.set(WORD.lock, 1);
    send(1);
    expect([waits > 100, b.words.counts().missed]).toEqual([true, 1]);
    const first = waits;
    send(3);
    expect([waits, b.words.counts().missed]).toEqual([first, 4]);
    port.words.unlock();
    send(2);
    expect(b.driver.receive()).toHaveLength(2);
  });

  it('is looked at again before its core sleeps', () => {
    const bench = new Bench(2);
    const a = bench.add();
    flap(a.ports[1]!, 1);
    a.driver.send(frame(STRANGER, a.mac));
    expect(bench.step()).toBeGreaterThan(0);
    bench.step();
    expect(bench.onWire()).toHaveLength(1);
  });
});

describe('a core that dies', () => {
  const deadly = (): never => {
    throw new Error('the wire is gone');
  };

  it.each([
    ['delivering', 'deliver', 1],
    ['taking', 'transmit', 0],
  ] as const)('while %s leaves no lock behind', (_, what, who) => {
    const bench = new Bench();
    const [a, b] = [bench.add(), bench.add()];
    [a, b][who]!.ports[0]![what] = deadly;
    a.driver.send(frame(b.mac, a.mac));
    expect(() => bench.step()).toThrow('the wire is gone');
    expect([a, b].map(({ ports }) => ports[0]!.words.tryLock())).toEqual([true, true]);
  });
});

describe('a guest that leaves checksums to its device', () => {
  const START = 14;
  const FIELD = 16;
  const HEADER = {
    [NET_HEADER.flags]: 1,
    [NET_HEADER.checksumStart]: START,
    [NET_HEADER.checksumOffset]: FIELD,
  };
  const partial = (to: readonly number[], from: readonly number[]): Uint8Array => {
    const made = frame(to, from);
    made.fill(0, START + FIELD, START + FIELD + 2);
    return made;
  };

  it('has them finished for a driver that wants that, whatever the driver before it took on', () => {
    const bench = new Bench(2);
    const [a, b] = [bench.add(), bench.add()];
    const arrived = (): number => {
      a.driver.send(partial(b.mac, a.mac), HEADER);
      while (bench.step() > 0);
      const [got] = b.driver.receive();
      return (got![START + FIELD]! << 8) | got![START + FIELD + 1]!;
    };
    for (const features of [FEATURE.guestCsum, 0, FEATURE.guestCsum]) {
      b.driver.down();
      b.driver.up(features);
      const checksum = arrived();
      expect(checksum === 0).toBe(features !== 0);
    }
  });

  it('has them finished for who listens to everything, and not for whom they are for', () => {
    const bench = new Bench();
    const [a, b, c] = [bench.add(), bench.add(), bench.add()];
    b.driver.down();
    b.driver.up(FEATURE.guestCsum);
    c.words.filters = { ...DEFAULT_FILTERS, promiscuous: true };
    a.driver.send(partial(b.mac, a.mac), HEADER);
    while (bench.step() > 0);
    const [forB, forC] = [b.driver.receive()[0]!, c.driver.receive()[0]!];
    expect([forB[START + FIELD], forB[START + FIELD + 1]]).toEqual([0, 0]);
    expect(internetChecksum(forC.subarray(START))).toBe(0);
  });
});

describe('a rate', () => {
  it('is kept to, frame by frame, and holds the guest back instead of dropping', () => {
    const bench = new Bench();
    const a = bench.add();
    const rateMbps = 100;
    const frameNs = ((FRAME_BYTES + WIRE_OVERHEAD_BYTES) * 8000) / rateMbps;
    a.words.rateMbps = rateMbps;
    let sent = 0;
    let wired = 0;
    const startNs = bench.nowNs;
    for (let i = 0; i < 2000; i++) {
      while (a.driver.send(frame(STRANGER, a.mac))) sent++;
      bench.step();
      wired += bench.onWire().length;
      const passedNs = bench.nowNs - startNs;
      expect(wired).toBeLessThanOrEqual(Math.floor((passedNs + BURST_NS) / frameNs) + 1);
      expect(bench.dueNs).toBeGreaterThan(bench.nowNs);
      bench.nowNs += 50_000;
    }
    // 100 ms at 100 Mb/s
    expect(wired).toBeGreaterThanOrEqual(Math.floor(99_000_000 / frameNs));
    expect(a.words.counts().held).toBeGreaterThan(1000);
    // nothing was dropped: what was sent and is not on the wire waits in the ring
    while (a.driver.send(frame(STRANGER, a.mac))) sent++;
    expect(sent - wired).toBe(64);
  });

  it('changes at once, and of one VIF only', () => {
    const bench = new Bench();
    const [a, b] = [bench.add(), bench.add()];
    a.words.rateMbps = 1;
    for (let i = 0; i < 60; i++) {
      a.driver.send(frame(STRANGER, a.mac));
      b.driver.send(frame(STRANGER, b.mac));
    }
    for (let i = 0; i < 10; i++) bench.step();
    const from = (station: Station): number =>
      bench.onWire().filter((each) => each[11] === station.mac[5]).length;
    expect(from(b)).toBe(60);
    a.words.rateMbps = 0;
    while (bench.step() > 0);
    expect(from(a)).toBe(59);
  });

  it('that is none is refused', () => {
    const words = new VifWords(createVifWords());
    for (const rate of [-1, 1.5, Number.NaN, 2e6]) {
      expect(() => {
        words.rateMbps = rate;
      }).toThrow(VifError);
    }
  });
});

describe('filters', () => {
  it("nobody sends in another's name unless it may", () => {
    const bench = new Bench();
    const [a, b] = [bench.add(), bench.add()];
    a.driver.send(frame(STRANGER, b.mac));
    while (bench.step() > 0);
    expect(bench.onWire()).toEqual([]);
    expect(a.words.counts().spoofed).toBe(1);
    a.words.filters = { ...DEFAULT_FILTERS, spoofCheck: false };
    a.driver.send(frame(STRANGER, b.mac));
    while (bench.step() > 0);
    expect(bench.onWire()).toHaveLength(1);
  });

  it('a VIF has its own VLANs only, both ways', () => {
    const bench = new Bench();
    const [a, b] = [bench.add(), bench.add()];
    a.words.filters = { ...DEFAULT_FILTERS, vlans: [5] };
    for (const vlan of [-1, 5, 6]) {
      a.driver.send(frame(STRANGER, a.mac, vlan));
      b.driver.send(frame(a.mac, b.mac, vlan));
    }
    while (bench.step() > 0);
    expect(bench.onWire()).toEqual([frame(STRANGER, a.mac), frame(STRANGER, a.mac, 5)]);
    expect(a.driver.receive()).toEqual([frame(a.mac, b.mac), frame(a.mac, b.mac, 5)]);
    expect(a.words.counts()).toMatchObject({ spoofed: 1, filtered: 1 });
    expect(a.words.filters.vlans).toEqual([5]);
  });

  it('that change leave no moment without a VLAN that passes before and after', () => {
    const words = new VifWords(createVifWords());
    const store = Atomics.store;
    let shut = 0;
    const spy = vi.spyOn(Atomics, 'store').mockImplementation(((
      array: Int32Array,
      at: number,
      to: number,
    ) => {
      store(array, at, to);
      if (!words.passesVlan(5)) shut++;
      return to;
    }) as typeof Atomics.store);
    try {
      words.filters = DEFAULT_FILTERS;
      for (const vlans of [[5], [4, 5, 70], null, [5, 4095], null])
        words.filters = { ...DEFAULT_FILTERS, vlans };
    } finally {
      spy.mockRestore();
    }
    expect(shut).toBe(0);
    expect(words.filters).toEqual(DEFAULT_FILTERS);
  });

  it('multicast and frames of others come in where they are asked for', () => {
    const bench = new Bench();
    const [a, b] = [bench.add(), bench.add()];
    const group = [0x01, 0, 0x5e, 0, 0, 1];
    a.words.filters = { ...DEFAULT_FILTERS, multicast: false };
    bench.offer(frame(group, STRANGER));
    bench.offer(frame(BROADCAST, STRANGER));
    while (bench.step() > 0);
    expect(a.driver.receive()).toEqual([frame(BROADCAST, STRANGER)]);
    expect(b.driver.receive()).toHaveLength(2);
    a.words.filters = { ...DEFAULT_FILTERS, promiscuous: true };
    bench.offer(frame(b.mac, STRANGER));
    while (bench.step() > 0);
    expect(a.driver.receive()).toEqual([frame(b.mac, STRANGER)]);
    expect(b.driver.receive()).toEqual([frame(b.mac, STRANGER)]);
  });
});
