/** VMs whose guests end, trap or never listen. */
import { afterEach, beforeAll, describe, expect, it } from 'vitest';
import { Nic } from '../../src/hypervisor/nic.js';
import { VirtualMachine, VmError, type VmEvent, type VmOptions } from '../../src/hypervisor/vm.js';
import { controlWords } from '../../src/machine/memory.js';
import { GUEST, testImage } from '../machine/test-guest.js';
import { until } from './lab.js';

// compiled here, once: on a machine with much else to do that takes longer than a test has
beforeAll(async () => void (await testImage()), 240_000);

describe('a virtual machine', () => {
  const open: VirtualMachine[] = [];
  afterEach(async () => {
    for (const vm of open.splice(0)) await vm.destroy();
  });

  async function create(commandLine: string, options: Partial<VmOptions> = {}) {
    const events: VmEvent[] = [];
    const onEvent = (event: VmEvent): void => void events.push(event);
    const vm = await VirtualMachine.create({
      name: 'x',
      image: await testImage(),
      commandLine,
      onEvent,
      ...options,
    });
    open.push(vm);
    return { vm, events, counter: new Int32Array(vm.memory.buffer, GUEST.counter, 1) };
  }

  it('reports a guest that traps, and stays to be looked at', async () => {
    const { vm, events } = await create('t');
    vm.start();
    await until('the trap', () => vm.state.kind === 'trapped');
    const last = events.at(-1);
    expect(last?.kind === 'state' && last.state.kind === 'trapped' && last.state.report.message).toMatch(
      /trapped/,
    );
    expect(events).toContainEqual({ kind: 'console', line: 'up' });
    expect(vm.info().state.kind).toBe('trapped');
    await vm.pause();
    expect(() => vm.saveVmState()).toThrow('is trapped');
  });

  it('says how a guest ended, and takes that along', async () => {
    const { vm } = await create('g');
    vm.start();
    await until('the end', () => vm.state.kind === 'halted');
    expect(vm.state).toMatchObject({ kind: 'halted' });
    await vm.pause();
    vm.resume();
    const { vm: target } = await create('', { incoming: true });
    target.restoreVmState(structuredClone(vm.saveVmState()));
    expect(target.state).toMatchObject({
      kind: 'halted',
      exitCode: vm.state.kind === 'halted' ? vm.state.exitCode : Number.NaN,
    });
  });

  it('stops a guest that never listens, again and again', async () => {
    const { vm, counter } = await create('s');
    vm.start();
    for (let i = 0; i < 20; i++) {
      const before = Atomics.load(counter, 0);
      await until('the guest to run', () => Atomics.load(counter, 0) !== before);
      await vm.pause();
      const stopped = Atomics.load(counter, 0);
      await new Promise((resolve) => setTimeout(resolve, 1));
      expect(Atomics.load(counter, 0)).toBe(stopped);
      vm.resume();
    }
    await vm.destroy();
    expect(() => controlWords(vm.memory, vm.layout)).toThrow('is destroyed');
    expect(() => vm.setThrottle(10)).toThrow('is destroyed');
  });

  it('obeys while it is throttled', async () => {
    const { vm } = await create('s');
    vm.start();
    vm.setThrottle(99);
    await vm.pause();
    expect(vm.state.kind).toBe('paused');
    vm.resume();
    vm.setThrottle(0);
    await vm.pause();
  });

  it('cannot have more VFs than slots, and then takes none', async () => {
    const nic = await Nic.open({ wire: 'null', vfCount: 20 });
    const vfs = Array.from({ length: 9 }, () => ({ nic }));
    await expect(create('', { vfs })).rejects.toThrow(VmError);
    expect(nic.freeVfs).toBe(20);
    const few = await Nic.open({ wire: 'null', vfCount: 1 });
    await expect(create('', { vfs: [{ nic: few }, { nic: few }] })).rejects.toThrow('no free VF');
    expect(few.freeVfs).toBe(1);
    await nic.close();
    await few.close();
  });

  it('needs an image that is there', async () => {
    const image = { path: '/nowhere/guest.wasm', ramBytes: 16 << 20, cacheDir: '/tmp' };
    await expect(create('', { image })).rejects.toThrow('/nowhere/guest.wasm');
  });
});
