import { describe, expect, it } from 'vitest';
import { seededRandom } from '../../src/hardware/clock.js';
import { MigrationRefusedError } from '../../src/migration/errors.js';
import { bytesOf, differingPages } from './fake-vm.js';
import { createPair } from './pair.js';

const MIB = 1024 * 1024;

describe('a migration over TCP', () => {
  it('moves memory and states, and the destination owns the VM', async () => {
    const { vm, host, source, destination } = await createPair();
    const ram = bytesOf(vm.memory);
    const random = seededRandom(1);
    for (let page = 0; page < ram.length / 4096; page += 3)
      ram[page * 4096 + (random.nextU32() % 4096)] = 0x5a;
    const [report, result] = await Promise.all([source.run(), destination.run()]);
    expect(report.error).toBeNull();
    expect(report.outcome).toBe('completed');
    expect(differingPages(vm.memory, host.vm!.memory)).toEqual([]);
    expect(result.verdict).toMatchObject({ pagesCompared: 4096, pagesDiffering: 0 });
    expect(Array.from(host.vm!.vmState!)).toEqual([1, 2, 3, 4, 5]);
    expect(host.vm!.isRunning).toBe(true);
    expect(vm.isRunning).toBe(false);
    expect(vm.retired).toBe('postmigrate');
    expect(report.rounds[0]).toMatchObject({ round: 1, dataPages: 1366, zeroPages: 2730 });
    expect(source.info()).toMatchObject({ status: 'completed', ram: { normal: 1366, remaining: 0 } });
  });

  it('copies again what the CPU and DMA wrote meanwhile, counted by cause', async () => {
    let rounds = 0;
    const { vm, host, device, source, destination } = await createPair({
      device: true,
      onRound: (round) => {
        rounds++;
        if (rounds > 3 || round.guestStopped) return;
        // pages 0..199 by CPU, 150..299 by DMA
        for (let page = 0; page < 200; page++) vm.write(page * 4096, rounds * 1000 + page);
        for (let page = 150; page < 300; page++) {
          bytesOf(vm.memory)[page * 4096 + 8] = rounds;
          vm.truth[page] = 1;
          device!.marks[page] = 1;
        }
      },
    });
    // written between the first round's copy and the first harvest
    device!.hook = (call) => {
      if (call === 'harvest' && rounds === 0)
        for (let page = 0; page < 500; page++) vm.write(page * 4096 + 16, 7);
    };
    const [report] = await Promise.all([source.run(), destination.run()]);
    expect(report.outcome).toBe('completed');
    expect(differingPages(vm.memory, host.vm!.memory)).toEqual([]);
    expect(report.dmaCoverage).toMatchObject({ pagesWritten: 150, pagesMissed: 0, pagesOverMarked: 0 });
    expect(
      report.rounds.some((r) => r.dirtiedByBoth === 50 && r.dirtiedByCpu === 150 && r.dirtiedByDma === 100),
    ).toBe(true);
    expect(device!.calls.indexOf('quiesce')).toBeLessThan(device!.calls.indexOf('saveState'));
    expect(host.vm!.device!.calls).toEqual(['restoreState', 'announce', 'stop']);
    expect(Array.from(host.vm!.device!.restored!)).toEqual([7, 7, 7]);
  });

  it('an interrupt that the device sends until its state is read arrives in the state of the vCPU', async () => {
    const { vm, device, host, source, destination } = await createPair({ device: true });
    device!.hook = async (call) => {
      if (call !== 'saveState') return;
      // long enough for a vCPU that is saved at the same time
      await new Promise((resolve) => setTimeout(resolve, 5));
      vm.vmState = new Uint8Array([...vm.vmState, 0x1f]);
    };
    vm.hook = (call) => {
      if (call === 'saveVmState') expect(vm.vmState.at(-1)).toBe(0x1f);
    };
    const [report] = await Promise.all([source.run(), destination.run()]);
    expect(report).toMatchObject({ outcome: 'completed', error: null });
    expect(Array.from(host.vm!.vmState!)).toEqual([1, 2, 3, 4, 5, 0x1f]);
  });

  it('names the pages that a tracker missed, and the guest goes on at the source', async () => {
    const { vm, device, host, source, destination } = await createPair({ device: true });
    device!.hook = (call) => {
      if (call !== 'quiesce') return;
      bytesOf(vm.memory)[77 * 4096] = 1;
      vm.truth[77] = 1; // written by DMA, marked by nobody
    };
    const ran = destination.run().catch((error) => error);
    const report = await source.run();
    expect(report.outcome).toBe('failed');
    expect(report.error).toContain('0x4d000');
    expect(report.verdict).toMatchObject({ pagesDiffering: 1, differing: [77] });
    expect(report.dmaCoverage).toMatchObject({ pagesMissed: 1, missed: [77] });
    expect(vm.isRunning).toBe(true);
    expect(vm.build).toBe('plain');
    expect(device!.calls).toContain('rollback');
    expect((await ran).name).toBe('PeerAbortedError');
    expect(host.vm!.isDestroyed).toBe(true);
  });

  it('is refused before a page is sent', async () => {
    const { host, source, destination, vm } = await createPair({ ramBytes: 16 * MIB });
    host.refusal = new MigrationRefusedError('image', 'image k... is not known here');
    const ran = destination.run().catch((error) => error);
    const report = await source.run();
    expect(report).toMatchObject({
      outcome: 'failed',
      failedDuring: 'reservation',
      recovery: 'close-stream',
      bytes: 0,
    });
    expect(report.error).toContain('is not known here');
    expect((await ran).reason).toBe('image');
    expect(vm.calls).toEqual([]);
  });
});
