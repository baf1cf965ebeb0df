/** virtio devices behind their PCI registers, with a driver made of plain stores; and guests that do not play along. */
import fc from 'fast-check';
import { beforeEach, describe, expect, it } from 'vitest';
import { VirtioConsole } from '../../../src/rv64/machine/virtio/console.js';
import { STATUS, type VirtioPci } from '../../../src/rv64/machine/virtio/pci-transport.js';
import { VirtioRng } from '../../../src/rv64/machine/virtio/rng.js';
import { RAM, RAM_BYTES, testRam } from './fake-ram.js';

const COMMON = {
  status: 0x14,
  select: 0x16,
  size: 0x18,
  vector: 0x1a,
  enable: 0x1c,
  descriptors: 0x20,
  driver: 0x28,
  device: 0x30,
};
const NOTIFY = 0x3000;
const QUEUE_SIZE = 8;
/** Where queue n's rings lie: a page each. */
const ringsOf = (queue: number) => RAM + 0x1000 * (1 + queue);

let memory: ReturnType<typeof testRam>;
let messages: number[];
let printed: string;
let device: VirtioConsole;

const ports = () => ({
  ram: memory.ram,
  sendMessage: (_low: number, _high: number, data: number) => messages.push(data),
});

beforeEach(() => {
  memory = testRam();
  messages = [];
  printed = '';
  device = new VirtioConsole(ports(), (bytes) => {
    printed += Buffer.from(bytes).toString();
  });
});

const common = (pci: VirtioPci, offset: number, value: number, size = 4) =>
  pci.barWrite(0, offset, size, value);

function bringUp(pci: VirtioPci, queues: number): void {
  pci.configWrite(4, 6);
  pci.configWrite(0x40, 0x8000_0000);
  for (let vector = 0; vector <= queues; vector++) {
    pci.barWrite(2, 16 * vector, 4, 0);
    pci.barWrite(2, 16 * vector + 8, 4, 100 + vector);
    pci.barWrite(2, 16 * vector + 12, 4, 0);
  }
  for (let queue = 0; queue < queues; queue++) {
    common(pci, COMMON.select, queue, 2);
    common(pci, COMMON.size, QUEUE_SIZE, 2);
    common(pci, COMMON.vector, queue + 1, 2);
    common(pci, COMMON.descriptors, ringsOf(queue));
    common(pci, COMMON.driver, ringsOf(queue) + 0x400);
    common(pci, COMMON.device, ringsOf(queue) + 0x800);
    common(pci, COMMON.enable, 1, 2);
  }
  common(pci, COMMON.status, STATUS.driverOk | 11, 1);
}

/** Offers one buffer; `slot` is its descriptor and its place in the ring. */
function offer(queue: number, slot: number, address: number, bytes: number, writable: boolean): void {
  const at = ringsOf(queue) - RAM;
  memory.view.setBigUint64(at + 16 * slot, BigInt(address), true);
  memory.view.setUint32(at + 16 * slot + 8, bytes, true);
  memory.view.setUint16(at + 16 * slot + 12, writable ? 2 : 0, true);
  memory.view.setUint16(at + 0x404 + 2 * slot, slot, true);
  memory.view.setUint16(at + 0x402, slot + 1, true);
}

const usedIndex = (queue: number) => memory.view.getUint16(ringsOf(queue) - RAM + 0x802, true);
const usedBytes = (queue: number, slot: number) =>
  memory.view.getUint32(ringsOf(queue) - RAM + 0x808 + 8 * slot, true);

describe('the console', () => {
  it('prints what the guest sends, and says when it is done', () => {
    bringUp(device.pci, 2);
    memory.bytes.set(Buffer.from('hello'), 0x8000);
    offer(1, 0, RAM + 0x8000, 5, false);
    device.pci.barWrite(0, NOTIFY + 4, 2, 1);
    expect(printed).toBe('hello');
    expect(usedIndex(1)).toBe(1);
    expect(messages).toEqual([102]);
  });

  it('keeps what is typed until there is a buffer, in order', () => {
    bringUp(device.pci, 2);
    expect(device.receive(Buffer.from('abcdef'))).toBe(6);
    offer(0, 0, RAM + 0x9000, 4, true);
    offer(0, 1, RAM + 0x9100, 4, true);
    device.pci.barWrite(0, NOTIFY, 2, 0);
    expect(Buffer.from(memory.bytes.subarray(0x9000, 0x9004)).toString()).toBe('abcd');
    expect(Buffer.from(memory.bytes.subarray(0x9100, 0x9102)).toString()).toBe('ef');
    expect([usedBytes(0, 0), usedBytes(0, 1)]).toEqual([4, 2]);
    expect(memory.log.isMarked(9 as never)).toBe(true);
    expect(messages).toEqual([101]);
  });

  it('does not interrupt a guest that does not want it, nor through a masked vector', () => {
    bringUp(device.pci, 2);
    memory.view.setUint16(ringsOf(1) - RAM + 0x400, 1, true);
    offer(1, 0, RAM + 0x8000, 1, false);
    device.pci.barWrite(0, NOTIFY + 4, 2, 1);
    expect(messages).toEqual([]);
    memory.view.setUint16(ringsOf(1) - RAM + 0x400, 0, true);
    device.pci.barWrite(2, 16 * 2 + 12, 4, 1);
    offer(1, 1, RAM + 0x8000, 1, false);
    device.pci.barWrite(0, NOTIFY + 4, 2, 1);
    expect(messages).toEqual([]);
    device.pci.barWrite(2, 16 * 2 + 12, 4, 0);
    expect(messages).toEqual([102]);
  });

  it('goes on elsewhere in the middle of things', () => {
    bringUp(device.pci, 2);
    device.receive(Buffer.from('xyz'));
    const state = structuredClone(device.save());
    device = new VirtioConsole(ports(), () => {});
    device.restore(state);
    expect(structuredClone(device.save())).toEqual(state);
    offer(0, 0, RAM + 0x9000, 16, true);
    device.pci.barWrite(0, NOTIFY, 2, 0);
    expect(Buffer.from(memory.bytes.subarray(0x9000, 0x9003)).toString()).toBe('xyz');
  });
});

it('the entropy source fills buffers', () => {
  const rng = new VirtioRng(ports(), (bytes) => bytes.fill(0x5a));
  bringUp(rng.pci, 1);
  offer(0, 0, RAM + 0x9000, 32, true);
  rng.pci.barWrite(0, NOTIFY, 2, 0);
  expect(memory.bytes.subarray(0x9000, 0x9021)).toEqual(Uint8Array.from([...new Array(32).fill(0x5a), 0]));
  expect([usedIndex(0), usedBytes(0, 0), messages]).toEqual([1, 32, [101]]);
});

describe('rings that make no sense', () => {
  it.each<[string, () => void]>([
    ['a buffer outside RAM', () => offer(1, 0, RAM + RAM_BYTES - 2, 5, false)],
    ['a buffer below RAM', () => offer(1, 0, 0x1000, 5, false)],
    [
      'a chain without end',
      () => {
        offer(1, 0, RAM, 1, false);
        memory.view.setUint16(ringsOf(1) - RAM + 12, 1, true);
      },
    ],
    [
      'a descriptor that is not there',
      () => {
        offer(1, 0, RAM, 1, false);
        memory.view.setUint16(ringsOf(1) - RAM + 0x404, 99, true);
      },
    ],
  ])('stop the device until it is reset: %s', (_, spoil) => {
    bringUp(device.pci, 2);
    spoil();
    device.pci.barWrite(0, NOTIFY + 4, 2, 1);
    expect(device.pci.barRead(0, COMMON.status, 1) & STATUS.needsReset).toBe(STATUS.needsReset);
    common(device.pci, COMMON.status, 0, 1);
    expect(device.pci.barRead(0, COMMON.status, 1)).toBe(0);
  });

  it('never reach beyond RAM or throw, whatever is written', () => {
    const write = fc.record({
      bar: fc.constantFrom(0, 2),
      offset: fc.oneof(
        fc.integer({ min: 0, max: 0x3fff }),
        fc.constantFrom(...Object.values(COMMON), NOTIFY, NOTIFY + 4),
      ),
      size: fc.constantFrom(1, 2, 4),
      value: fc.oneof(
        fc.nat(0xffff_ffff),
        fc.nat(RAM_BYTES).map((offset) => RAM + offset),
      ),
    });
    fc.assert(
      fc.property(
        fc.array(write, { maxLength: 60 }),
        fc.uint8Array({ minLength: 64, maxLength: 512 }),
        (writes, junk) => {
          memory = testRam();
          device = new VirtioConsole(ports(), () => {});
          bringUp(device.pci, 2);
          for (const [index, { bar, offset, size, value }] of writes.entries()) {
            memory.bytes.set(junk, (index * 331) % (RAM_BYTES - junk.length));
            device.pci.barWrite(bar, offset, size, value);
            device.pci.barRead(bar, offset, size);
            device.receive(junk);
          }
        },
      ),
      { numRuns: 200 },
    );
  });
});
