/** PCI hot-plug between a guest and its host: what is asked, what is let go, what comes back, and what moves with a VM. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { realClock } from '../../src/hardware/clock.js';
import { type HostThreads, realThreads } from '../../src/hypervisor/host-threads.js';
import { type HotPlug, Hotplug, HotplugError, HotplugStateError } from '../../src/hypervisor/hotplug.js';
import { HOTPLUG_TAKES_PART, HotplugRegisters } from '../../src/hypervisor/hotplug-registers.js';
import { VirtualMachine } from '../../src/hypervisor/vm.js';
import { CONTROL_WORDS, CTRL } from '../../src/machine/layout.js';
import { type Cabled, cabledNic, echoImage, echoUntil, networkUp } from './lab.js';

const SLOT = 1;
const BIT = 1 << SLOT;
const LINE = 9;
/** Configuration space of slot 0. */
const CONTROL = 0x44;
const PRESENT = 0x48;
const LEAVING = 0x4c;
const ARRIVED = 0x50;
const LONG_MS = 60_000;

class Bench {
  readonly control = new Int32Array(new SharedArrayBuffer(CONTROL_WORDS * 4));
  readonly happened: string[] = [];
  readonly registers: HotplugRegisters;
  readonly owner: Hotplug;
  readonly slot: HotPlug;

  constructor(supported = true, threads: HostThreads = realThreads) {
    this.owner = new Hotplug({ ...threads, control: this.control }, supported);
    this.registers = new HotplugRegisters(
      this.control,
      () => BIT,
      (slot) => this.happened.push(`reset ${slot}`),
    );
    this.slot = this.owner.add(SLOT, {
      attach: async () => void this.happened.push('attach'),
      detach: async () => void this.happened.push('detach'),
    });
  }

  takesPart(): void {
    this.registers.write(CONTROL, (HOTPLUG_TAKES_PART | LINE) >>> 0);
  }

  takeLines(): number {
    return Atomics.exchange(this.control, CTRL.irqPending, 0);
  }
}

describe('one slot', () => {
  test('goes when the guest lets go, and comes back', async () => {
    const bench = new Bench();
    const { registers, slot, happened } = bench;
    bench.takesPart();
    expect(bench.takeLines()).toBe(0);
    const gone = slot.unplug(LONG_MS);
    await Promise.resolve();
    expect(bench.takeLines()).toBe(1 << LINE);
    expect(registers.read(LEAVING)).toBe(BIT);
    expect(slot.plugged).toBe(true);
    expect(registers.isAbsent(SLOT)).toBe(false);

    registers.write(LEAVING, BIT);
    // from the guest's next access on, whatever the host's main thread is doing
    expect(registers.isAbsent(SLOT)).toBe(true);
    expect(happened).toEqual([`reset ${SLOT}`]);
    await gone;
    expect(happened).toEqual([`reset ${SLOT}`, 'detach']);
    expect(slot.plugged).toBe(false);
    expect([registers.read(PRESENT), registers.read(LEAVING)]).toEqual([0, 0]);
    await slot.unplug(1);

    await slot.plug();
    expect(happened).toEqual([`reset ${SLOT}`, 'detach', 'attach']);
    expect([registers.read(PRESENT), registers.read(ARRIVED)]).toEqual([BIT, BIT]);
    expect(bench.takeLines()).toBe(1 << LINE);
    registers.write(ARRIVED, BIT);
    expect(registers.read(ARRIVED)).toBe(0);
    await slot.plug();
    expect(happened).toHaveLength(3);
  });

  test('stays where the guest does not answer, and a late answer takes nothing away', async () => {
    const bench = new Bench();
    bench.takesPart();
    const refused = await bench.slot.unplug(20).catch((error: unknown) => error);
    expect(refused).toBeInstanceOf(HotplugError);
    expect(refused).toMatchObject({
      reason: 'no-consent',
      message: expect.stringContaining('did not let go'),
    });
    bench.registers.write(LEAVING, BIT);
    expect(bench.slot.plugged).toBe(true);
    expect(bench.happened).toEqual([]);
  });

  test('what nobody asked for is not let go of', () => {
    const bench = new Bench();
    bench.takesPart();
    bench.registers.write(LEAVING, 0xffff_ffff);
    expect(bench.slot.plugged).toBe(true);
    expect(bench.happened).toEqual([]);
  });

  test('plugging in withdraws a request', async () => {
    const bench = new Bench();
    bench.takesPart();
    const gone = bench.slot.unplug(LONG_MS).catch((error: unknown) => error);
    await Promise.resolve();
    await bench.slot.plug();
    expect(await gone).toMatchObject({ reason: 'withdrawn' });
    expect(bench.registers.read(LEAVING)).toBe(0);
    expect(bench.slot.plugged).toBe(true);
  });

  test.each([
    ['it is plugged in again', (bench: Bench) => bench.slot.plug()],
    ['the VM ends', async (bench: Bench) => bench.owner.close()],
  ])('nobody is asked when %s in the same moment', async (_, callOff) => {
    const bench = new Bench();
    bench.takesPart();
    const gone = bench.slot.unplug(LONG_MS).catch((error: unknown) => error);
    await callOff(bench);
    expect(await gone).toMatchObject({ reason: 'withdrawn' });
    expect([bench.takeLines(), bench.registers.read(LEAVING), bench.slot.plugged]).toEqual([0, 0, true]);
    // and the next request is one
    const again = bench.slot.unplug(LONG_MS);
    await Promise.resolve();
    bench.registers.write(LEAVING, BIT);
    await again;
  });

  test('a guest that was letting go when the request was withdrawn gets its function back', async () => {
    const bench = new Bench();
    bench.takesPart();
    const gone = bench.slot.unplug(LONG_MS);
    await Promise.resolve();
    const back = bench.slot.plug();
    // the vCPU was first
    bench.registers.write(LEAVING, BIT);
    await gone;
    await back;
    expect(bench.happened).toEqual([`reset ${SLOT}`, 'detach', 'attach']);
    expect(bench.registers.read(ARRIVED)).toBe(BIT);
  });

  test('a guest that takes part late is told then', async () => {
    const bench = new Bench();
    const gone = bench.slot.unplug(LONG_MS);
    await Promise.resolve();
    expect(bench.takeLines()).toBe(0);
    bench.takesPart();
    expect(bench.takeLines()).toBe(1 << LINE);
    bench.registers.write(LEAVING, BIT);
    await gone;
  });

  test('where this kind of guest has no hot-plug, nothing is shown and nothing goes', async () => {
    const bench = new Bench(false);
    expect(bench.slot.supported).toBe(false);
    expect(bench.registers.read(0x34)).toBeNull();
    bench.registers.write(CONTROL, 0x8000_0009);
    expect(bench.registers.read(CONTROL)).toBeNull();
    await expect(bench.slot.unplug(LONG_MS)).rejects.toMatchObject({ reason: 'unsupported' });
    await bench.slot.plug();
  });
});

describe('state that moves', () => {
  test('an empty slot stays empty elsewhere until it is filled there', async () => {
    const bench = new Bench();
    bench.takesPart();
    const gone = bench.slot.unplug(LONG_MS);
    await Promise.resolve();
    bench.registers.write(LEAVING, BIT);
    await gone;
    const there = new Bench();
    there.owner.restore(structuredClone(bench.owner.save()));
    expect(there.slot.plugged).toBe(false);
    expect(there.registers.isAbsent(SLOT)).toBe(true);
    expect(there.registers.read(CONTROL)).toBe(0x8000_0000 + LINE);
    await there.slot.plug();
    expect(there.happened).toEqual(['attach']);
    expect(there.takeLines()).toBe(1 << LINE);
  });

  test.each([
    ['no record', null],
    ['a slot that is not there', { takesPart: true, line: 1, absent: 4, arrived: 0 }],
    ['no set of slots', { takesPart: true, line: 1, absent: -1, arrived: 0 }],
    ['no line', { takesPart: true, line: 32, absent: 0, arrived: 0 }],
    ['no flag', { takesPart: 1, line: 1, absent: 0, arrived: 0 }],
  ])('%s is refused, and nothing is changed', (_what, state) => {
    const bench = new Bench();
    expect(() => bench.owner.restore(state)).toThrow(HotplugStateError);
    expect(bench.slot.plugged).toBe(true);
  });
});

describe('a VM', () => {
  let card: Cabled;
  let vm: VirtualMachine | null = null;
  beforeEach(async () => {
    card = await cabledNic({ vfCount: 1 });
  });
  afterEach(async () => {
    await vm?.destroy();
    vm = null;
    await card.close();
  });

  test('whose image knows nothing of hot-plug keeps its VF, and its traffic', async () => {
    vm = await VirtualMachine.create({
      name: 'old',
      image: await echoImage(),
      commandLine: 'ip=10.0.0.2',
      vfs: [{ nic: card.nic, assignment: { mac: '52:54:00:00:00:01' } }],
    });
    const isUp = networkUp(vm);
    vm.start();
    await isUp;
    const { hotplug } = vm.vfs[0]!.view;
    const beganNs = realClock.nowNs();
    await expect(hotplug.unplug(50)).rejects.toMatchObject({
      reason: 'no-consent',
      message: expect.stringContaining('does not take part'),
    });
    expect(realClock.nowNs() - beganNs).toBeGreaterThan(45e6);
    expect(vm.info().vfs[0]).toMatchObject({ plugged: true });
    const seen = await echoUntil(card.wire, '10.0.0.2', 20);
    expect(seen).toMatchObject({ corrupt: 0 });
  });
});
