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

  #merge(): Omit<Harvest, 'notes'> {
    const cpu = this.#cpu;
    const dma = this.#dma;
    const map = this.#map;
    const allDma = this.#allDma;
    let cpuOnly = 0;
    let dmaOnly = 0;
    let both = 0;
    for (let page = 0; page < map.length; page++) {
      if (cpu[page] !== 0) {
        this.#allCpu[page] = 1;
        if (dma[page] !== 0) both++;
        else cpuOnly++;
      } else if (dma[page] !== 0) dmaOnly++;
      else continue;
      map[page] = 1;
      if (dma[page] !== 0) allDma[page] = 1;
    }
    return { cpuOnly, dmaOnly, both, pages: cpuOnly + dmaOnly + both };
  }
}
