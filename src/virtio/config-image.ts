/**
 * Configuration space of the network device: power-on values and the bits that software can change.
 *
 *   0x40 common -> 0x50 ISR -> 0x60 device -> 0x70 MSI-X -> 0x80 notify -> 0xa0 PCI Express
 */
import {
  COMMAND_MASTER,
  COMMAND_MEMORY,
  MSIX_ENABLE,
  MSIX_FUNCTION_MASK,
  MSIX_PBA_OFFSET,
  PCI,
} from '../hardware/pci/offsets.js';
import { CONFIG_DWORDS, type DeviceWords, WORD } from './device-words.js';
import {
  AREA,
  AREA_BYTES,
  BAR0_BYTES,
  CAPABILITY,
  DEVICE_NET,
  NOTIFY_STRIDE,
  VECTORS,
  VENDOR_VIRTIO,
} from './spec.js';

/** A dword: offset, power-on value, writable bits. */
type Dword = readonly [offset: number, value: number, writable: number];

const STATUS_CAPABILITIES = 0x0010_0000;
const INTX_DISABLE = 1 << 10;
const BAR_64BIT = 0x4;
const VENDOR_SPECIFIC = 0x09;
const MSIX_CAPABILITY = 0x11;
export const MSIX_BAR = 3;
const NOTIFY_AT = 0x80;
export const FUNCTION_LEVEL_RESET = 1 << 15;
/** In the PCI Express capability's device capabilities. */
const CAN_RESET_FUNCTION = 1 << 28;

function memoryBar(index: number, bytes: number): Dword[] {
  const at = PCI.BAR0 + 4 * index;
  return [
    [at, BAR_64BIT, ~(bytes - 1)],
    [at + 4, 0, 0xffff_ffff],
  ];
}

function structure(
  at: number,
  next: number,
  type: number,
  area: number,
  extra: readonly number[] = [],
): Dword[] {
  const bytes = 16 + 4 * extra.length;
  return [
    [at, VENDOR_SPECIFIC | (next << 8) | (bytes << 16) | (type << 24), 0],
    [at + 4, 0, 0],
    [at + 8, area, 0],
    [at + 12, AREA_BYTES, 0],
    ...extra.map((value, index): Dword => [at + 16 + 4 * index, value, 0]),
  ];
}

const DWORDS: readonly Dword[] = [
  [PCI.ID, VENDOR_VIRTIO | (DEVICE_NET << 16), 0],
  [PCI.COMMAND, STATUS_CAPABILITIES, COMMAND_MEMORY | COMMAND_MASTER | INTX_DISABLE],
  // Ethernet controller, revision 1: not a transitional device
  [PCI.CLASS, 0x0200_0001, 0],
  [PCI.HEADER, 0, 0xff],
  ...memoryBar(0, BAR0_BYTES),
  ...memoryBar(MSIX_BAR, BAR0_BYTES),
  [PCI.SUBSYSTEM, VENDOR_VIRTIO | (DEVICE_NET << 16), 0],
  [PCI.CAPABILITIES, 0x40, 0],
  [PCI.INTERRUPT, 0, 0xff],
  ...structure(0x40, 0x50, CAPABILITY.common, AREA.common),
  ...structure(0x50, 0x60, CAPABILITY.isr, AREA.isr),
  ...structure(0x60, PCI.MSIX, CAPABILITY.device, AREA.device),
  [PCI.MSIX, MSIX_CAPABILITY | (NOTIFY_AT << 8) | ((VECTORS - 1) << 16), MSIX_ENABLE | MSIX_FUNCTION_MASK],
  [PCI.MSIX_TABLE, MSIX_BAR, 0],
  [PCI.MSIX_PBA, MSIX_PBA_OFFSET | MSIX_BAR, 0],
  ...structure(NOTIFY_AT, PCI.PCIE, CAPABILITY.notify, AREA.notify, [NOTIFY_STRIDE]),
  [PCI.PCIE, 0x10 | (2 << 16), 0],
  [PCI.PCIE + 0x04, CAN_RESET_FUNCTION, 0],
  // bit 15 (function-level reset) acts and reads 0
  [PCI.PCIE_DEVCTL, 0, 0x7fff],
];

const values = new Int32Array(CONFIG_DWORDS);
const writable = new Int32Array(CONFIG_DWORDS);
for (const [offset, value, mask] of DWORDS) {
  values[offset >> 2] = value;
  writable[offset >> 2] = mask;
}

export const writableBits = (dword: number): number => writable[dword] ?? 0;

export function resetConfigSpace(words: DeviceWords): void {
  for (let dword = 0; dword < CONFIG_DWORDS; dword++) words.set(WORD.config + dword, values[dword]!);
}
