/** The host bridge: configuration space by address, narrow accesses, BARs where the guest put them. */
import { beforeEach, describe, expect, it } from 'vitest';
import { MAP } from '../../../src/rv64/machine/memory-map.js';
import { PciConfig } from '../../../src/rv64/machine/pci-config.js';
import type { PciFunction } from '../../../src/rv64/machine/pci-function.js';
import { PciHost } from '../../../src/rv64/machine/pci-host.js';

const BARS = [{ index: 0, bytes: 0x4000 }];
let accesses: string[];
let writes: [number, number][];
let host: PciHost;

beforeEach(() => {
  accesses = [];
  writes = [];
  const config = new PciConfig({
    vendor: 0x1234,
    device: 0x5678,
    subsystem: 1,
    classCode: 0x020000,
    revision: 3,
    bars: BARS,
    capabilities: [],
  });
  const target: PciFunction = {
    bars: BARS,
    configRead: (offset) => config.read(offset),
    configWrite: (offset, value) => {
      writes.push([offset, value]);
      config.write(offset, value);
    },
    barRead: (bar, offset, size) => {
      accesses.push(`read ${bar} ${offset} ${size}`);
      return 0xabcd;
    },
    barWrite: (bar, offset, size, value) => accesses.push(`write ${bar} ${offset} ${size} ${value}`),
  };
  host = new PciHost(new Map([[5, target]]));
});

const [ecam, low, high] = [0, 1, 2].map((index) => () => host.devices[index]!);
const config = (offset: number) => (5 << 15) | offset;

describe('configuration space', () => {
  it('answers for what is there and with ones for what is not', () => {
    expect(ecam!().read(config(0), 4)).toBe(0x5678_1234);
    expect(ecam!().read(config(2), 2)).toBe(0x5678);
    expect(ecam!().read(config(8), 1)).toBe(3);
    expect(ecam!().read(6 << 15, 4)).toBe(0xffff_ffff);
    expect(ecam!().read(config(1 << 12), 2)).toBe(0xffff);
  });

  it('composes narrow writes, without writing a status back', () => {
    ecam!().write(config(4), 2, 0x0402);
    expect(writes).toEqual([[4, 0x0402]]);
    expect(ecam!().read(config(4), 4)).toBe(0x0010_0402);
    ecam!().write(config(0x0d), 1, 0x55);
    expect(writes.at(-1)).toEqual([0x0c, 0x5500]);
  });

  it('tells the size of a BAR', () => {
    ecam!().write(config(0x10), 4, 0xffff_ffff);
    expect(ecam!().read(config(0x10), 4)).toBe(0xffff_c004);
  });
});

describe('a BAR', () => {
  const place = (address: number) => {
    ecam!().write(config(0x10), 4, address % 2 ** 32);
    ecam!().write(config(0x14), 4, Math.floor(address / 2 ** 32));
    ecam!().write(config(4), 2, 2);
  };

  it('is reached through the 64-bit window', () => {
    place(MAP.pci64.busBase + 0x8000);
    expect(high!().read(0x8010, 4)).toBe(0xabcd);
    high!().write(0xbffc, 4, 9);
    expect(high!().read(0xc000, 4)).toBe(0xffff_ffff);
    expect(accesses).toEqual(['read 0 16 4', 'write 0 16380 4 9']);
  });

  it('is reached through the 32-bit window by its bus address', () => {
    place(MAP.pci32.busBase + 0x4000);
    expect(low!().read(0x4004, 2)).toBe(0xabcd);
    expect(accesses).toEqual(['read 0 4 2']);
  });

  it('is gone when memory decoding is off', () => {
    place(MAP.pci64.busBase);
    ecam!().write(config(4), 2, 0);
    expect(high!().read(0, 1)).toBe(0xff);
    expect(accesses).toEqual([]);
  });
});
