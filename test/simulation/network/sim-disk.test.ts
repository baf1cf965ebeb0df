/** The simulated disk: what was saved is read back, and a full one says so as the real file channel does. */
import { describe, expect, it } from 'vitest';
import { Choices } from '../../../src/simulation/clockwork/choices.js';
import { SimDisk } from '../../../src/simulation/network/sim-disk.js';
import { KeepingSink, makeScheduler, runDry } from './link-rig.js';

const PATH = '/saved/vm';
const bytes = Buffer.from(Array.from({ length: 50_000 }, (_, i) => (i * 7) % 251));

function makeDisk(seed: number, capacityBytes: number) {
  const scheduler = makeScheduler(seed);
  const disk = new SimDisk(scheduler, new Choices(seed), { capacityBytes });
  return { scheduler, disk, host: scheduler.host('source') };
}

describe('the simulated disk', () => {
  it('keeps what was written, in order, and gives it back', async () => {
    const { scheduler, disk, host } = makeDisk(1, 1e6);
    const sink = new KeepingSink();
    const script = async (): Promise<void> => {
      const out = await disk.save(PATH, host);
      void out.send(bytes.subarray(0, 10));
      await out.send(bytes.subarray(10));
      await out.close();
      await expect(out.send(bytes)).rejects.toThrow('/saved/vm is closed');
      const listener = await disk.restore(PATH, host);
      expect(listener.address).toBe('file:/saved/vm');
      const back = await listener.accept();
      back.receive(sink);
    };
    const done = script();
    await runDry(scheduler);
    await done;
    expect(sink.bytes.equals(bytes)).toBe(true);
    expect(sink.ending).toBe(null);
    expect(disk.openFiles).toBe(1);
  });

  it('is full at its capacity, and a file begun anew gives its room back', async () => {
    const { scheduler, disk, host } = makeDisk(2, 30_000);
    const script = async (): Promise<void> => {
      const out = await disk.save(PATH, host);
      await out.send(bytes.subarray(0, 25_000));
      await expect(out.send(bytes.subarray(25_000))).rejects.toThrow(
        'cannot write /saved/vm: ENOSPC: no space left on device, write',
      );
      await out.close();
      const again = await disk.save(PATH, host);
      await again.send(bytes.subarray(0, 30_000));
      await again.close();
    };
    const done = script();
    await runDry(scheduler);
    await done;
    expect(disk.openFiles).toBe(0);
  });

  it('has no file that nobody saved, and none is open at a host that crashed', async () => {
    const { scheduler, disk, host } = makeDisk(3, 30_000);
    await expect(disk.restore('/none', host)).rejects.toThrow('cannot open /none: ENOENT');
    void disk.save(PATH, host);
    expect(disk.openFiles).toBe(1);
    host.crash();
    await runDry(scheduler);
    expect(disk.openFiles).toBe(0);
  });
});
