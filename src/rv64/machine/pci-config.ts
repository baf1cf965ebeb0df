/**
 * Configuration space of the machine's own functions: dwords with the bits that software can change.
 */
import { PCI } from '../../hardware/pci/offsets.js';
import type { PciBar } from './pci-function.js';
import { StateFields } from './state-fields.js';

const VERSION = 1;
export const CONFIG_DWORDS = 64;
const STATUS_CAPABILITIES = 0x0010_0000;
/** Memory decoding, bus mastering, INTx off. */
const COMMAND_WRITABLE = 0x0406;
const BAR_64BIT = 0x4;

/** A dword: offset, power-on value, writable bits. */
export type ConfigDword = readonly [offset: number, value: number, writable: number];

export interface ConfigIdentity {
  readonly vendor: number;
  readonly device: number;
  readonly subsystem: number;
  readonly classCode: number;
  readonly revision: number;
  readonly bars: readonly PciBar[];
  /** The list begins at 0x40. */
  readonly capabilities: readonly ConfigDword[];
}

export const FIRST_CAPABILITY = 0x40;

export class PciConfig {
  readonly #values = new Uint32Array(CONFIG_DWORDS);
  readonly #writable = new Uint32Array(CONFIG_DWORDS);

  constructor(identity: ConfigIdentity) {
    const { vendor, device, subsystem, classCode, revision, bars, capabilities } = identity;
    const dwords: ConfigDword[] = [
      [PCI.ID, vendor | (device << 16), 0],
      [PCI.COMMAND, STATUS_CAPABILITIES, COMMAND_WRITABLE],
      [PCI.CLASS, (classCode << 8) | revision, 0],
      [PCI.HEADER, 0, 0xff],
      [PCI.SUBSYSTEM, vendor | (subsystem << 16), 0],
      [PCI.CAPABILITIES, FIRST_CAPABILITY, 0],
      [PCI.INTERRUPT, 0, 0xff],
      ...bars.flatMap(({ index, bytes }): ConfigDword[] => [
        [PCI.BAR0 + 4 * index, BAR_64BIT, ~(bytes - 1)],
        [PCI.BAR0 + 4 * index + 4, 0, 0xffff_ffff],
      ]),
      ...capabilities,
    ];
    for (const [offset, value, writable] of dwords) {
      this.#values[offset >> 2] = value;
      this.#writable[offset >> 2] = writable;
    }
  }

  read(offset: number): number {
    return this.#values[offset >> 2] ?? 0;
  }

  write(offset: number, value: number): void {
    const index = offset >> 2;
    if (index >= CONFIG_DWORDS) return;
    const mask = this.#writable[index]!;
    this.#values[index] = (this.#values[index]! & ~mask) | (value & mask);
  }

  save() {
    return { version: VERSION, words: [...this.#values] };
  }

  /** Takes over what software can change; the rest is this machine's. */
  restore(where: string, value: unknown): void {
    const words = new StateFields(`${where}'s configuration space`, value, VERSION).words(
      'words',
      CONFIG_DWORDS,
    );
    for (const [index, word] of words.entries()) this.write(index << 2, word);
  }
}
