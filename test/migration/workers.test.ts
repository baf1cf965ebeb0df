/** The real cores: sender and receiver workers, TCP, Unix sockets and files, a guest in a thread that goes on dirtying memory. */
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { layoutFor } from '../../src/machine/layout.js';
import { createDestinationMigration, createSourceMigration } from '../../src/migration/create.js';
import { DEFAULT_PARAMETERS, withParameters } from '../../src/migration/parameters.js';
import { MigrationQueue } from '../../src/migration/queue.js';
import type { MigrationReport } from '../../src/migration/report.js';
import { restoreFromFile, saveToFile } from '../../src/migration/save-restore.js';
import { bytesOf, differingPages, FakeDevice, FakeHost, FakeSourceVm } from './fake-vm.js';

const RAM_BYTES = 16 * 1024 * 1024;
const verify = withParameters(DEFAULT_PARAMETERS, { 'x-srvm-verify': true, 'downtime-limit': 5 });

/** A source VM whose guest is a thread. */
class ThreadVm extends FakeSourceVm {
  readonly #control = new Int32Array(new SharedArrayBuffer(16));
  readonly #log: SharedArrayBuffer;
  readonly #worker: Worker;

  constructor(pages: number) {
    super(RAM_BYTES);
    this.#log = new SharedArrayBuffer(RAM_BYTES / 4096);
    this.#control[0] = 1;
    this.#worker = new Worker(new URL('./dirtier-core.js', import.meta.url), {
      workerData: { memory: this.memory, log: this.#log, control: this.#control.buffer, pages },
    });
  }

  override harvestCpuDirty(into: Uint8Array): number {
    const words = new Int32Array(this.#log);
    let found = 0;
    for (let w = 0; w < words.length; w++) {
      if (words[w] === 0) continue;
      const taken = Atomics.exchange(words, w, 0);
      for (let b = 0; b < 4; b++) {
        if (((taken >>> (b * 8)) & 0xff) === 0) continue;
        into[w * 4 + b] = 1;
        found++;
      }
    }
    return found;
  }

  override async pause(): Promise<void> {
    Atomics.store(this.#control, 0, 0);
    while (Atomics.load(this.#control, 1) === 0) await new Promise((resolve) => setTimeout(resolve, 1));
    this.isRunning = false;
  }

  async end(): Promise<void> {
    Atomics.store(this.#control, 0, 2);
    Atomics.notify(this.#control, 0);
    await this.#worker.terminate();
  }
}

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'srvm-migration-'));
});
afterEach(async () => {
  await rm(folder, { recursive: true });
});

describe('with cores of their own', () => {
  for (const kind of ['tcp', 'unix'] as const) {
    it(`a guest that goes on writing arrives whole over ${kind}`, async () => {
      const vm = new ThreadVm(1500);
      const host = new FakeHost();
      const listen = kind === 'tcp' ? 'tcp:127.0.0.1:0' : `unix:${folder}/m.sock`;
      const destination = createDestinationMigration({ host, listen });
      const to = await destination.listen();
      const source = createSourceMigration({ vm, device: null, to, parameters: verify });
      const [report, result] = await Promise.all([source.run(), destination.run()]);
      await vm.end();
      expect(report.error).toBeNull();
      expect(report.rounds.length).toBeGreaterThan(1);
      expect(differingPages(vm.memory, host.vm!.memory)).toEqual([]);
      expect(result.verdict).toMatchObject({ pagesCompared: 4096, pagesDiffering: 0 });
      expect(await readdir(folder)).toEqual([]);
    });
  }

  it('untouched pages are known without being read, touched ones are sent', async () => {
    const vm = new FakeSourceVm(RAM_BYTES);
    const wasmPages = layoutFor(RAM_BYTES).totalBytes / 65536;
    const memory = new WebAssembly.Memory({ initial: wasmPages, maximum: wasmPages, shared: true });
    Object.defineProperty(vm, 'memory', { value: memory });
    for (const page of [3, 1000, 4095]) bytesOf(memory)[page * 4096 + 4095] = page & 0xff;
    const host = new FakeHost();
    const destination = createDestinationMigration({ host, listen: 'tcp:127.0.0.1:0' });
    const source = createSourceMigration({
      vm,
      device: null,
      to: await destination.listen(),
      parameters: verify,
    });
    const [report] = await Promise.all([source.run(), destination.run()]);
    expect(report.error).toBeNull();
    expect(report.rounds[0]).toMatchObject({ dataPages: 3, zeroPages: 4093 });
    expect(
      Buffer.from(memory.buffer, 0, RAM_BYTES).equals(Buffer.from(host.vm!.memory.buffer, 0, RAM_BYTES)),
    ).toBe(true);
  });

  it('one host moves several VMs, no more at a time than it may', async () => {
    const queue = new MigrationQueue(2);
    let atOnce = 0;
    let most = 0;
    const destinations = [0, 1, 2].map(() =>
      createDestinationMigration({ host: new FakeHost(), listen: 'tcp:127.0.0.1:0' }),
    );
    // all listen before the first begins: one whose core is late would find it over
    const addresses = await Promise.all(destinations.map((destination) => destination.listen()));
    const ran = destinations.map((destination) => destination.run());
    const reports = await Promise.all(
      addresses.map((to): Promise<MigrationReport> => {
        const vm = new FakeSourceVm(RAM_BYTES);
        return queue.add(
          createSourceMigration({
            vm,
            device: null,
            to,
            onPhase: ({ phase }) => {
              if (phase === 'pre-migration') most = Math.max(most, ++atOnce);
              if (phase === 'done') atOnce--;
            },
          }),
        );
      }),
    );
    await Promise.all(ran);
    expect(reports.map((report) => report.outcome)).toEqual(['completed', 'completed', 'completed']);
    expect(most).toBe(2);
  });

  it('an address where nobody listens is an error that says what to do', async () => {
    const vm = new FakeSourceVm(RAM_BYTES);
    const report = await createSourceMigration({ vm, device: null, to: `unix:${folder}/none.sock` }).run();
    expect(report).toMatchObject({ outcome: 'failed', failedDuring: 'reservation' });
    expect(report.error).toContain('srvm receive');
    expect(vm.isRunning).toBe(true);
  });
});

describe('a file', () => {
  const save = async (): Promise<{ vm: FakeSourceVm; path: string; report: MigrationReport }> => {
    const vm = new FakeSourceVm(RAM_BYTES);
    for (let page = 0; page < 4096; page += 7) bytesOf(vm.memory)[page * 4096] = page;
    const path = join(folder, 'vm.srvm');
    const report = await saveToFile(path, { vm, device: new FakeDevice(RAM_BYTES), parameters: verify });
    return { vm, path, report };
  };

  it('takes a VM and gives it back', async () => {
    const { vm, path, report } = await save();
    expect(report).toMatchObject({ outcome: 'completed', error: null });
    expect(vm).toMatchObject({ isRunning: false, retired: 'postmigrate' });
    const host = new FakeHost(true);
    const result = await restoreFromFile(path, { host });
    expect(differingPages(vm.memory, host.vm!.memory)).toEqual([]);
    expect(result.verdict).toMatchObject({ pagesCompared: 4096, pagesDiffering: 0 });
    expect(host.vm!.isRunning).toBe(true);
  });

  it('that is cut short or damaged gives no VM', async () => {
    const { path } = await save();
    const whole = await readFile(path);
    const damaged = Buffer.from(whole);
    damaged[whole.length >> 1]! ^= 1;
    for (const bytes of [
      whole.subarray(0, whole.length - 1),
      whole.subarray(0, 1000),
      damaged,
      Buffer.alloc(100),
    ]) {
      await writeFile(path, bytes);
      const host = new FakeHost(true);
      await expect(restoreFromFile(path, { host })).rejects.toThrow(/migration stream|source/);
      expect(host.vm?.isRunning ?? false).toBe(false);
      if (host.vm) expect(host.vm.isDestroyed).toBe(true);
    }
  });

  it('is removed when saving fails, and the guest goes on', async () => {
    const vm = new FakeSourceVm(RAM_BYTES);
    const device = new FakeDevice(RAM_BYTES);
    device.hook = (call) => {
      if (call === 'saveState') throw new Error('no state today');
    };
    const report = await saveToFile(join(folder, 'vm.srvm'), { vm, device });
    expect(report.outcome).toBe('failed');
    expect(vm.isRunning).toBe(true);
    expect(await readdir(folder)).toEqual([]);
  });

  it('that is whole stays, whatever fails after it: it is the VM now', async () => {
    const vm = new FakeSourceVm(RAM_BYTES);
    bytesOf(vm.memory)[4096] = 1;
    vm.retire = () => {
      throw new Error('no going today');
    };
    const path = join(folder, 'vm.srvm');
    const report = await saveToFile(path, { vm, device: new FakeDevice(RAM_BYTES) });
    expect(report).toMatchObject({ outcome: 'failed', recovery: 'destination-owns' });
    expect(vm.isRunning).toBe(false);
    const host = new FakeHost(true);
    await restoreFromFile(path, { host });
    expect(differingPages(vm.memory, host.vm!.memory)).toEqual([]);
  });
});
