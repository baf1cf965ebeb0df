/**
 * The dirty pages of one migration, by cause: what the vCPU's log says, what the device's tracker says, and (for the
 * verifier only) what DMA truly wrote. Marks are taken before the pages are copied.
 *
 *   CPU log -----\
 *                 >-- counted: CPU only, DMA only, both --> map of the next round
 *   tracker -----/
 *   truth ----------- held against the tracker's marks at the end
 */
import type { DeviceMigrator } from './device-migrator.js';
import type { SourceVm } from './ports.js';
import { type DmaCoverage, dmaCoverage } from './verify.js';

export interface Harvest {
  readonly cpuOnly: number;
  readonly dmaOnly: number;
  readonly both: number;
  /** All that are due: the three together. */
  readonly pages: number;
  readonly notes: readonly string[];
}

export class DirtyRounds {
  readonly #vm: SourceVm;
  readonly #device: DeviceMigrator | null;
  readonly #map: Uint8Array;
  readonly #cpu: Uint8Array;
  readonly #dma: Uint8Array;
  readonly #allDma: Uint8Array;
  readonly #allCpu: Uint8Array;
  readonly #truth: Uint8Array;
  readonly #around: Uint8Array;

  /** @param map what the next round sends; shared with the sender core. */
  constructor(vm: SourceVm, device: DeviceMigrator | null, map: Uint8Array) {
    const pages = map.length;
    this.#vm = vm;
    this.#device = device;
    this.#map = map;
    this.#cpu = new Uint8Array(pages);
    this.#dma = new Uint8Array(pages);
    this.#allDma = new Uint8Array(pages);
    this.#allCpu = new Uint8Array(pages);
    this.#truth = new Uint8Array(pages);
    this.#around = new Uint8Array(pages);
  }

  /** Before the tracker starts: what DMA wrote until now is history. */
  trackingStarts(): void {
    this.#vm.groundTruth?.drain(this.#around);
    this.#around.fill(0);
  }

  /** The tracker runs: what DMA wrote meanwhile may be marked, and need not be. The first round takes every page. */
  trackingStarted(): void {
    this.#vm.groundTruth?.drain(this.#around);
    this.#map.fill(1);
  }

  /** Takes both logs and adds them to the map. */
  async harvest(): Promise<Harvest> {
    this.#dma.fill(0);
    this.#cpu.fill(0);
    const report = await this.#device?.harvest(this.#dma);
    this.#vm.harvestCpuDirty(this.#cpu);
    this.#vm.groundTruth?.drain(this.#truth);
    return { ...this.#merge(), notes: report?.notes ?? [] };
  }

  /** Null where the truth is not recorded. Only after the last harvest. */
  coverage(): DmaCoverage | null {
    if (!this.#vm.groundTruth || !this.#device) return null;
    return dmaCoverage(this.#truth, this.#allDma, this.#around, this.#allCpu);
  }

  /** Most pages are in neither log, and the guest may be standing: they are passed over four at a time. */
  #merge(): Omit<Harvest, 'notes'> {
    const counts = { cpuOnly: 0, dmaOnly: 0, both: 0 };
    const cpuWords = wordsOf(this.#cpu);
    const dmaWords = wordsOf(this.#dma);
    const words = cpuWords.length;
    for (let word = 0; word < words; word++) {
      if (cpuWords[word] !== 0 || dmaWords[word] !== 0) {
        for (let page = word * 4; page < word * 4 + 4; page++) this.#mergePage(page, counts);
      }
    }
    for (let page = words * 4; page < this.#map.length; page++) this.#mergePage(page, counts);
    const { cpuOnly, dmaOnly, both } = counts;
    return { cpuOnly, dmaOnly, both, pages: cpuOnly + dmaOnly + both };
  }

  #mergePage(page: number, counts: { cpuOnly: number; dmaOnly: number; both: number }): void {
    const byCpu = this.#cpu[page] !== 0;
    const byDma = this.#dma[page] !== 0;
    if (!byCpu && !byDma) return;
    if (byCpu && byDma) counts.both++;
    else if (byCpu) counts.cpuOnly++;
    else counts.dmaOnly++;
    if (byCpu) this.#allCpu[page] = 1;
    if (byDma) this.#allDma[page] = 1;
    this.#map[page] = 1;
  }
}

/** Four pages' bytes each; what does not fill a word is left out. */
const wordsOf = (bytes: Uint8Array): Int32Array => new Int32Array(bytes.buffer, 0, bytes.length >> 2);
