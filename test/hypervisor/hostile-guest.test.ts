/**
 * A guest that writes anything to anything its VF has: rings outside its RAM, tails beyond rings, random registers,
 * configuration space, MSI-X table, mailbox. The card and the PF driver live on, and another guest notices nothing.
 */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type Random, seededRandom } from '../../src/hardware/clock.js';
import { RX, TX, VF } from '../../src/hardware/nic/offsets.js';
import { COMMAND_MASTER, PCI } from '../../src/hardware/pci/offsets.js';
import type { NicError } from '../../src/hypervisor/nic.js';
import type { VfPassthrough } from '../../src/hypervisor/passthrough.js';
import { VirtualMachine } from '../../src/hypervisor/vm.js';
import { type Cabled, cabledNic, echoImage, echoUntil, networkUp, until } from './lab.js';

const ENABLE = 1 << 25;
/** Advanced data descriptor, EOP, report status, CRC. */
const TX_DATA = 0x2b30_0000;
/** Where rings are, half of the time, and what looks like descriptors. */
const RING_AREA_BYTES = 1 << 16;

describe('a hostile guest', () => {
  const failures: NicError[] = [];
  let cabled: Cabled;
  let good: VirtualMachine;
  let bad: VirtualMachine;
  let device: VfPassthrough;

  beforeEach(async () => {
    failures.length = 0;
    cabled = await cabledNic({ onFailure: (error) => failures.push(error) });
    const image = await echoImage();
    const { nic } = cabled;
    good = await VirtualMachine.create({
      name: 'good',
      image,
      commandLine: 'ip=10.0.0.2',
      vfs: [{ nic, assignment: { mac: '52:54:00:00:00:01' } }],
    });
    const up = networkUp(good);
    good.start();
    await up;
    // its instructions are this test's: the vCPU never runs
    bad = await VirtualMachine.create({ name: 'bad', image, vfs: [{ nic }] });
    device = bad.vfs[0]!.view;
  });
  afterEach(async () => {
    await bad.destroy();
    await good.destroy();
    await cabled.close();
  });

  /** VF driver's beginning, so that what follows is let through. */
  async function admit(): Promise<void> {
    const { bar0, config } = device;
    config.write32(PCI.COMMAND, 0x6);
    bar0.write32(VF.CTRL, 1 << 26);
    bar0.write32(VF.MAILBOX, 4);
    bar0.write32(VF.MBMEM, 1);
    bar0.write32(VF.MAILBOX, 1);
    await until('the answer to RESET', () => (bar0.read32(VF.MAILBOX) & 0x10) !== 0);
  }

  const others = async (): Promise<void> => {
    const report = await echoUntil(cabled.wire, '10.0.0.2', 60);
    expect(report.corrupt).toBe(0);
    expect(good.vfs[0]!.faults).toEqual({ reads: 0, writes: 0 });
    expect(failures).toEqual([]);
  };

  it('programs rings that are not its own', async () => {
    await admit();
    const { bar0 } = device;
    const outside = bad.layout.controlOffset;
    const before = new Uint8Array(bad.memory.buffer, outside, 4096).slice();
    for (const [base, block] of [
      [VF.RX, RX.RXDCTL],
      [VF.TX, TX.TXDCTL],
    ] as const) {
      bar0.write32(base, outside);
      bar0.write32(base + 8, 4096);
      if (base === VF.RX) bar0.write32(base + RX.SRRCTL, 0x1200_0402);
      bar0.write32(base + block, ENABLE);
      await until('the queue to run', () => (bar0.read32(base + block) & ENABLE) !== 0);
      bar0.write32(base + 0x18, 200);
    }
    await until('the fault', () => bad.vfs[0]!.faults.reads + bad.vfs[0]!.faults.writes > 0);
    await others();
    expect(new Uint8Array(bad.memory.buffer, outside, 4096)).toEqual(before);
    expect(device.config.read32(PCI.COMMAND) & COMMAND_MASTER).not.toBe(0);
  });

  it('writes random values everywhere, seed after seed', async () => {
    const pace = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
    for (const seed of [1, 2, 3]) {
      const random = seededRandom(seed);
      await admit();
      for (let i = 0; i < 10_000; i++) {
        scribble(device, bad.layout.ramBytes, random);
        if (i % 100 === 0) await pace();
      }
      await others();
    }
    // the VF can be had by the next VM
    await bad.destroy();
    await others();
    const next = await VirtualMachine.create({
      name: 'next',
      image: good.image,
      commandLine: 'ip=10.0.0.3',
      vfs: [{ nic: cabled.nic }],
    });
    try {
      const up = networkUp(next);
      next.start();
      await up;
      await echoUntil(cabled.wire, '10.0.0.3', 20);
    } finally {
      await next.destroy();
    }
  });
});

/** One access such as a driver gone wild might make; half of them where they hurt. */
function scribble(device: VfPassthrough, ramBytes: number, random: Random): void {
  const value = random.nextU32();
  const word = (random.nextU32() % 0x1000) * 4;
  const queue = (random.nextU32() & 1) * 0x40;
  switch (random.nextU32() % 12) {
    case 0:
      device.config.write32(word, value);
      break;
    case 1:
      device.bar3.write32(word & 0x3f, value);
      break;
    case 2: {
      // a descriptor that could be one: its buffer is anywhere, in RAM or just past it
      const slot = (value & (RING_AREA_BYTES - 16)) >> 2;
      device.ram.i32[slot] = random.nextU32() % (ramBytes + 65536);
      device.ram.i32[slot + 1] = 0;
      device.ram.i32[slot + 2] = TX_DATA | (random.nextU32() & 0x7ff);
      device.ram.i32[slot + 3] = value & 0x8000 ? random.nextU32() : 0;
      break;
    }
    case 3:
      device.config.write32(PCI.COMMAND, 0x6);
      break;
    case 4:
    case 5: {
      const base = (value & 1 ? VF.RX : VF.TX) + queue;
      device.bar0.write32(base, random.nextU32() & 3 ? value & (RING_AREA_BYTES - 128) : value);
      device.bar0.write32(base + 4, value & 2 ? 0 : value);
      device.bar0.write32(base + 8, random.nextU32() & 0xfff80);
      break;
    }
    case 6:
    case 7:
      device.bar0.write32((value & 1 ? VF.RX : VF.TX) + queue + RX.RXDCTL, value & 2 ? ENABLE : 0);
      break;
    case 8:
      device.bar0.write32((value & 1 ? VF.RX : VF.TX) + queue + RX.RDT, random.nextU32() & 0x1ff);
      break;
    case 9:
      device.bar0.write32(VF.MAILBOX, value & 7);
      device.bar0.write32(VF.MBMEM, value & 0x1f);
      break;
    case 10:
      device.bar0.write32(word & 0x3fff, value);
      break;
    default:
      device.bar0.read32(word & 0x3fff);
  }
}
