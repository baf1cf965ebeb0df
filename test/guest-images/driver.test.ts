/** The driver library register by register and slot by slot: whether it is the stock driver that trackers will meet. */
import { describe, expect, it } from 'vitest';
import { EICR_LSC, LINKS, LINKS_UP, vfteOffset } from '../../src/hardware/nic/offsets.js';
import type { Access, GuestMachine } from './guest-machine.js';
import { askCounters, COUNTER, pattern, settle, untilUp, withGuest } from './station.js';

const VFMAILBOX = 0x2fc;
const VFMBMEM = 0x200;
const VTEICS = 0x104;
const VTEIMS = 0x108;
const VTEIAC = 0x110;
const VTEIAM = 0x114;
const VFRDBAL = 0x1000;
const VFRDH = 0x1010;
const VFRDT = 0x1018;
const VFTDBAL = 0x2000;
const VFTDT = 0x2018;
const SLOTS = 512;
const LENGTH_AT = 12;

const writes = (trace: readonly Access[]) => trace.filter((access) => access.kind === 'write');
const text = ({ kind, register, value }: Access): string =>
  `${kind === 'read' ? 'R' : 'W'} ${register.toString(16)}${kind === 'read' ? '' : ` ${value.toString(16)}`}`;

/** The writes to a block of registers from the first one of `register` on. */
function blockWrites(trace: readonly Access[], base: number, values = true): string[] {
  const inBlock = ({ register }: Access): boolean => register >= base && register < base + 0x40;
  return writes(trace)
    .filter(inBlock)
    .map((access) => (values ? text(access) : access.register.toString(16)));
}

function rxRing(machine: GuestMachine, queue: number): DataView {
  const base = machine.vf.read32(0, VFRDBAL + 0x40 * queue);
  return new DataView(machine.memory.buffer, base, SLOTS * 16);
}

describe('the sequence of registers', () => {
  it('opens a transmit queue as the reference has it', () => {
    const { machine } = withGuest('udp-echo', { trace: true });
    const ring = machine.vf.read32(0, VFTDBAL).toString(16);
    const block = blockWrites(machine.trace, VFTDBAL).slice(0, 10);
    expect(block).toEqual([
      'W 2028 4000000',
      `W 2000 ${ring}`,
      'W 2004 0',
      'W 2008 4000',
      'W 203c 0',
      'W 2038 0',
      'W 200c 2200',
      'W 2010 0',
      'W 2018 0',
      'W 2028 2080120',
    ]);
    expect(Number.parseInt(ring, 16) % 4096).toBe(0);
  });

  it('opens a receive queue as the reference has it', () => {
    const { machine } = withGuest('udp-echo', { trace: true });
    const ring = machine.vf.read32(0, VFRDBAL).toString(16);
    expect(blockWrites(machine.trace, VFRDBAL)).toEqual([
      'W 1028 0',
      `W 1000 ${ring}`,
      'W 1004 0',
      'W 1008 2000',
      'W 100c 200',
      'W 1010 0',
      'W 1018 0',
      'W 1014 12000402',
      'W 1028 42000000',
      'W 1018 1ff',
    ]);
  });

  it('routes two queue pairs and the mailbox, and unmasks last', () => {
    const { machine } = withGuest('udp-echo', { trace: true });
    const all = writes(machine.trace).map(text);
    expect(all.filter((each) => each.startsWith('W 120 ')).at(-1)).toBe('W 120 81818080');
    expect(all).toContain('W 140 82');
    expect(all).toContain('W 820 800000c8');
    expect(all).toContain('W 300 20001330');
    const order = [VTEIAM, VTEIAC, VTEIMS].map((register) => all.indexOf(`W ${register.toString(16)} 7`));
    expect(order.every((at) => at > 0)).toBe(true);
    expect([...order].sort((a, b) => a - b)).toEqual(order);
  });

  it('uses one queue pair when told so', () => {
    const { machine } = withGuest('udp-echo', { trace: true, commandLine: 'ip=10.0.0.2 queues=1' });
    const all = writes(machine.trace).map(text);
    expect(all).toContain('W 300 1330');
    expect(all).toContain('W 120 8080');
    expect(all).toContain('W 140 81');
    expect(blockWrites(machine.trace, VFRDBAL + 0x40)).toEqual([]);
  });

  it('resets, then asks the PF: reset, API from 1.7 down, queues', () => {
    const { machine } = withGuest('udp-echo', { trace: true });
    const requests = writes(machine.trace)
      .filter(({ register }) => register === VFMBMEM)
      .map(({ value }) => value);
    expect(requests.slice(0, 5)).toEqual([1, 8, 8, 8, 9]);
    const versions = writes(machine.trace)
      .filter(({ register }) => register === VFMBMEM + 4)
      .map(({ value }) => value);
    expect(versions.slice(0, 3)).toEqual([8, 7, 5]);
    const reset = machine.trace.findIndex((access) => text(access) === 'W 0 4000000');
    const firstRequest = machine.trace.findIndex(
      ({ kind, register }) => kind === 'write' && register === VFMAILBOX,
    );
    expect(reset).toBeGreaterThan(0);
    expect(firstRequest).toBeGreaterThan(reset);
    expect(machine.console).toContain('mailbox API 5, queues 2');
  });
});

describe('the receive ring', () => {
  it('hands over all slots but one, each a half of its own page', () => {
    const { machine } = withGuest('udp-echo', {});
    const ring = rxRing(machine, 0);
    const pages = new Set<number>();
    for (let slot = 0; slot < SLOTS - 1; slot++) {
      expect(ring.getUint32(slot * 16, true) % 4096).toBe(0);
      pages.add(ring.getUint32(slot * 16, true));
    }
    expect(pages.size).toBe(SLOTS - 1);
    expect(machine.vf.read32(0, VFRDT)).toBe(SLOTS - 1);
  });

  it('refills in batches of 16 or more, keeps DD in refilled slots, zeroes the length of the slot at the tail', () => {
    withGuest(
      'udp-echo',
      { trace: true, commandLine: 'ip=10.0.0.2 queues=1' },
      function* ({ machine, host }) {
        machine.trace.length = 0;
        const bursts = [1, 3, 14, 40, 200, 7, 511, 64, 300];
        for (const [i, count] of bursts.entries()) {
          for (let n = 0; n < count; n++) host.sendUdp(9, pattern((n % 3) * 600 + 18, i));
          yield* settle({ machine, host });
          checkRing(machine);
        }
        const tails = writes(machine.trace)
          .filter(({ register }) => register === VFRDT)
          .map(({ value }) => value);
        let before = SLOTS - 1;
        for (const tail of tails) {
          expect((tail - before + SLOTS) % SLOTS).toBeGreaterThanOrEqual(16);
          before = tail;
        }
        expect(tails.length).toBeGreaterThan(10);
        const ring = rxRing(machine, 0);
        const posted = (machine.vf.read32(0, VFRDH) + 3) % SLOTS;
        // posted again, and yet with the last lap's status
        expect(ring.getUint32(posted * 16 + 8, true) & 1).toBe(1);
      },
    );
  });

  it('posts the other half of a page after a large packet, the same half after a small one', () => {
    const halves = (payloadBytes: number): Set<number> => {
      const seen = new Set<number>();
      withGuest('udp-echo', { commandLine: 'ip=10.0.0.2 queues=1' }, function* ({ machine, host }) {
        for (let n = 0; n < SLOTS; n++) host.sendUdp(9, pattern(payloadBytes, n));
        yield* settle({ machine, host });
        const ring = rxRing(machine, 0);
        const head = machine.vf.read32(0, VFRDH);
        const tail = machine.vf.read32(0, VFRDT);
        for (let slot = head; slot !== tail; slot = (slot + 1) % SLOTS)
          seen.add(ring.getUint32(slot * 16, true) % 4096);
      });
      return seen;
    };
    expect(halves(200)).toEqual(new Set([0]));
    expect(halves(300).has(2048)).toBe(true);
  });

  it('takes fresh pages while the stack keeps the old ones', () => {
    const pagesUsed = (hold: number): number => {
      const pages = new Set<number>();
      withGuest(
        'udp-echo',
        { commandLine: `ip=10.0.0.2 queues=1 hold=${hold}` },
        function* ({ machine, host }) {
          for (let lap = 0; lap < 12; lap++) {
            for (let n = 0; n < 100; n++) host.sendUdp(9, pattern(1000, n));
            yield* settle({ machine, host });
            const ring = rxRing(machine, 0);
            const tail = machine.vf.read32(0, VFRDT);
            for (let slot = machine.vf.read32(0, VFRDH); slot !== tail; slot = (slot + 1) % SLOTS) {
              pages.add(ring.getUint32(slot * 16, true) >>> 12);
            }
          }
        },
      );
      return pages.size;
    };
    expect(pagesUsed(0)).toBe(SLOTS - 1);
    expect(pagesUsed(300)).toBeGreaterThan(SLOTS + 200);
  });
});

/** What the reference says of an ixgbevf ring at rest (4.4). */
function checkRing(machine: GuestMachine): void {
  const ring = rxRing(machine, 0);
  const head = machine.vf.read32(0, VFRDH);
  const tail = machine.vf.read32(0, VFRDT);
  expect(ring.getUint16(tail * 16 + LENGTH_AT, true)).toBe(0);
  for (let slot = head; slot !== tail; slot = (slot + 1) % SLOTS) {
    expect(ring.getUint16(slot * 16 + LENGTH_AT, true)).toBe(0);
    expect(ring.getUint32(slot * 16, true) % 2048).toBe(0);
  }
}

describe('the transmit ring', () => {
  it('has a context before each packet and moves the tail once per packet', () => {
    const options = { trace: true, commandLine: 'ip=10.0.0.2 queues=1' };
    withGuest('udp-echo', options, function* ({ machine, host }) {
      machine.trace.length = 0;
      const before = machine.vf.read32(0, VFTDT);
      for (let n = 0; n < 30; n++) host.sendUdp(7, pattern(100, n));
      yield* machine.until(() => {
        host.receive();
        return host.datagrams.length === 30;
      }, 'echoes');
      const tails = writes(machine.trace)
        .filter(({ register }) => register === VFTDT)
        .map(({ value }) => value);
      expect(tails).toEqual(Array.from({ length: 30 }, (_, n) => before + 2 * (n + 1)));
      const ring = new DataView(machine.memory.buffer, machine.vf.read32(0, VFTDBAL), 1024 * 16);
      for (let slot = before; slot < tails.at(-1)!; slot += 2) {
        expect((ring.getUint32(slot * 16 + 8, true) >>> 20) & 15).toBe(2);
        expect(ring.getUint32(slot * 16 + 16 + 12, true) & 1).toBe(1);
      }
    });
  });
});

describe('the service', () => {
  it('kicks the queue vectors every two seconds and carries wrapping statistics on', () => {
    withGuest('udp-echo', { trace: true }, function* (station) {
      const { machine, host } = station;
      const counters: number[] = [];
      yield* askCounters(station, counters);
      const packets = counters[COUNTER.gprc]!;
      const octets = counters[COUNTER.gorc]!;
      // just below the wraps of 32 and 36 bits: the driver sees one large step
      const words = machine.shared.words;
      words[0x101c >> 2] = -3;
      words[0x1020 >> 2] = -200;
      words[0xd020 >> 2] = 0xf;
      yield* askCounters(station, counters);
      const high = counters[COUNTER.gprc]!;
      const highOctets = counters[COUNTER.gorc]!;
      expect(high).toBeGreaterThan(packets + 2 ** 32 - 100);
      expect(highOctets).toBeGreaterThan(octets + 2 ** 36 - 5000);
      for (let n = 0; n < 50; n++) host.sendUdp(9, pattern(300, n));
      yield* settle(station);
      yield* askCounters(station, counters);
      expect(counters[COUNTER.gprc]! - high).toBe(51);
      expect(counters[COUNTER.gorc]! - highOctets).toBe(50 * 346 + 64);
      machine.trace.length = 0;
      yield* machine.sleepMs(10_100);
      const kicks = writes(machine.trace).filter(({ register, value }) => register === VTEICS && value === 3);
      expect(kicks).toHaveLength(5);
    });
  });

  it('follows the link when the PF says that it changed', () => {
    withGuest('udp-echo', {}, function* ({ machine }) {
      const setLink = (up: boolean): void => {
        machine.shared.words[LINKS >> 2] = up ? LINKS_UP : 0;
        machine.mailboxes.pingAll();
      };
      expect(EICR_LSC).not.toBe(0);
      yield* machine.until(() => machine.console.includes('link up'), 'link up');
      machine.console = '';
      setLink(false);
      yield* machine.until(() => machine.console.includes('link down'), 'link down', 100);
      setLink(true);
      yield* machine.until(() => machine.console.includes('link up'), 'link up again', 3000);
    });
  });

  it('resets itself when its transmit hangs, and goes on', () => {
    withGuest('udp-echo', {}, function* (station) {
      const { machine, host } = station;
      machine.pf.bar.write32(0, vfteOffset(0), 0);
      host.sendUdp(7, pattern(50, 1));
      yield* machine.until(() => machine.console.includes('transmit hung'), 'a hang is seen', 10_000);
      const counters: number[] = [];
      yield* machine.sleepMs(100);
      yield* askCounters(station, counters);
      expect(counters[COUNTER.opens]).toBe(2);
      expect(counters[COUNTER.timeouts]).toBe(1);
    });
  });

  it('resets itself when the PF takes the right to send away', () => {
    withGuest('udp-echo', {}, function* (station) {
      const { machine, host } = station;
      yield* machine.sleepMs(11_000);
      machine.pf.setLink(0, 'auto');
      machine.mailboxes.ping(0);
      yield* machine.until(() => machine.console.includes('took back'), 'lost CTS is seen', 5_000);
      machine.console = '';
      yield* machine.until(() => machine.console.includes('link up'), 'link up again', 5_000);
      host.sendUdp(7, pattern(50, 1), 20_007);
      yield* machine.until(() => {
        host.receive();
        return host.lastTo(20_007) !== undefined;
      }, 'an echo');
    });
  });
});

describe('rings that are programmed anew', () => {
  it.each(['reset-every=40', 'reload-every=40'])('%s: goes on echoing with rings elsewhere', (option) => {
    withGuest('udp-echo', { commandLine: `ip=10.0.0.2 ${option}` }, function* (station) {
      const { machine, host } = station;
      const rings = new Set<number>();
      let answered = 0;
      for (let n = 0; n < 200; n++) {
        host.sendUdp(7, pattern(200, n), 20_000);
        yield* machine.sleepMs(5);
        host.receive();
        rings.add(machine.vf.read32(0, VFRDBAL));
      }
      answered = host.datagrams.length;
      expect(answered).toBeGreaterThan(20);
      expect(rings.size).toBeGreaterThan(1);
      const counters: number[] = [];
      for (let tries = 0; tries < 50 && counters.length === 0; tries++) {
        host.sendUdp(9001, pattern(4, 0), 5001);
        yield* machine.sleepMs(2);
        host.receive();
        if (host.lastTo(5001) !== undefined) yield* askCounters(station, counters);
      }
      expect(counters[COUNTER.opens]).toBeGreaterThan(5);
      expect(counters[COUNTER.timeouts]).toBe(0);
      expect(counters[COUNTER.reloads]! > 0).toBe(option.startsWith('reload'));
      expect(machine.dmaFaults).toBe(0);
    });
  });

  it('waits for a VF that is plugged in later', () => {
    withGuest('udp-echo', { vf: false }, function* ({ machine }) {
      yield* machine.sleepMs(3000);
      expect(machine.console).not.toContain('is up');
      machine.plugged = true;
      yield* untilUp(machine);
    });
  });
});
