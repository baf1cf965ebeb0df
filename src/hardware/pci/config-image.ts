/**
 * The contents of a configuration space (vf-hardware 1.1): power-on values and which bits software can change.
 *
 *   0x00 header | 0x70 MSI-X -> 0xA0 PCI Express | 0x100 AER -> 0x150 ARI -> 0x160 SR-IOV (PF only)
 *
 * The VF's is the one a hypervisor synthesises: vendor and device ID, BARs of its own and sane PCIe capabilities, where
 * the silicon shows 0xFFFF, zeros and the PF's SR-IOV capability instead.
 */
import { CONFIG_WORDS, MAX_VFS, REGION } from '../nic/shared.js';
import {
  COMMAND_MASTER,
  COMMAND_MEMORY,
  DEVICE_82599_PF,
  DEVICE_82599_VF,
  MSIX_ENABLE,
  MSIX_FUNCTION_MASK,
  MSIX_PBA_OFFSET,
  PCI,
  PF_FUNCTION,
  VENDOR_INTEL,
} from './offsets.js';

/** One dword: its offset, power-on value, and the bits a write changes. */
type Dword = readonly [offset: number, value: number, writable: number];

const STATUS_CAPABILITIES = 0x0010_0000;
const BAR_64BIT = 0x4;
const ALL = 0xffff_ffff;
/** 5 GT/s, 8 lanes. */
const LINK = 0x82;

/** A 64-bit memory BAR of a power-of-two size: two dwords. Address bits below the size are not writable (that is how it is sized). */
function memoryBar(offset: number, bytes: number): Dword[] {
  return [
    [offset, BAR_64BIT, ~(bytes - 1)],
    [offset + 4, 0, ALL],
  ];
}

function capabilities(msixBar: number, deviceCapabilities: number, ariNext: number): Dword[] {
  return [
    // 3 vectors: the size field holds one less
    [PCI.MSIX, 0x11 | (PCI.PCIE << 8) | (2 << 16), MSIX_ENABLE | MSIX_FUNCTION_MASK],
    [PCI.MSIX_TABLE, msixBar, 0],
    [PCI.MSIX_PBA, MSIX_PBA_OFFSET | msixBar, 0],
    // version 2, endpoint, last in the list
    [PCI.PCIE, 0x10 | (2 << 16), 0],
    // 512-byte payloads
    [PCI.PCIE + 0x04, 2 | deviceCapabilities, 0],
    // bit 15 (function-level reset) acts and reads 0
    [PCI.PCIE_DEVCTL, 0x2810, 0x7fff],
    [PCI.PCIE + 0x0c, LINK, 0],
    [PCI.PCIE + 0x10, LINK << 16, 0x1c3],
    // completion time-out ranges; time-out value and disable
    [PCI.PCIE + 0x24, 0x1f, 0],
    [PCI.PCIE + 0x28, 0, 0x1f],
    [PCI.AER, 0x0001 | (1 << 16) | (PCI.ARI << 20), 0],
    [PCI.AER + 0x08, 0, 0x001f_f010],
    [PCI.AER + 0x0c, 0x0006_2010, 0x001f_f010],
    [PCI.AER + 0x14, 0x2000, 0x31c1],
    [PCI.ARI, 0x000e | (1 << 16) | (ariNext << 20), 0],
  ];
}

const VF_DWORDS: readonly Dword[] = [
  [PCI.ID, VENDOR_INTEL | (DEVICE_82599_VF << 16), 0],
  [PCI.COMMAND, STATUS_CAPABILITIES, COMMAND_MEMORY | COMMAND_MASTER],
  [PCI.CLASS, 0x0200_0001, 0],
  [PCI.HEADER, 0, 0xff],
  ...memoryBar(PCI.BAR0, 0x4000),
  ...memoryBar(PCI.BAR0 + 12, 0x4000),
  [PCI.SUBSYSTEM, VENDOR_INTEL | (0x000c << 16), 0],
  [PCI.CAPABILITIES, PCI.MSIX, 0],
  // no interrupt pin; the line byte is scratch space for software
  [PCI.INTERRUPT, 0, 0xff],
  // as in silicon, the function-level reset is there but not advertised
  ...capabilities(3, 0, 0),
];

const PF_DWORDS: readonly Dword[] = [
  [PCI.ID, VENDOR_INTEL | (DEVICE_82599_PF << 16), 0],
  [PCI.COMMAND, STATUS_CAPABILITIES, COMMAND_MEMORY | COMMAND_MASTER | (1 << 10)],
  [PCI.CLASS, 0x0200_0001, 0],
  [PCI.HEADER, 0, 0xff],
  ...memoryBar(PCI.BAR0, 0x20000),
  ...memoryBar(PCI.BAR0 + 16, 0x4000),
  [PCI.SUBSYSTEM, VENDOR_INTEL | (0x000c << 16), 0],
  [PCI.CAPABILITIES, PCI.MSIX, 0],
  [PCI.INTERRUPT, 0, 0xff],
  ...capabilities(4, 1 << 28, PCI.SRIOV),
  [PCI.SRIOV, 0x0010 | (1 << 16), 0],
  // VF enable, VF memory space enable, ARI capable hierarchy
  [PCI.SRIOV + 0x08, 0, 0x19],
  // initial and total VFs
  [PCI.SRIOV + 0x0c, MAX_VFS | (MAX_VFS << 16), 0],
  // number of VFs
  [PCI.SRIOV + 0x10, 0, 0xffff],
  // first VF 128 routing IDs on, every second one
  [PCI.SRIOV + 0x14, 0x80 | (2 << 16), 0],
  [PCI.SRIOV + 0x18, DEVICE_82599_VF << 16, 0],
  // page sizes: supported, chosen
  [PCI.SRIOV + 0x1c, 0x553, 0],
  [PCI.SRIOV + 0x20, 1, 0x553],
  ...memoryBar(PCI.SRIOV + 0x24, 0x4000),
  ...memoryBar(PCI.SRIOV + 0x30, 0x4000),
];

function compile(dwords: readonly Dword[]): { values: Int32Array; writable: Int32Array } {
  const values = new Int32Array(CONFIG_WORDS);
  const writable = new Int32Array(CONFIG_WORDS);
  for (const [offset, value, mask] of dwords) {
    values[offset >> 2] = value;
    writable[offset >> 2] = mask;
  }
  return { values, writable };
}

const VF_IMAGE = compile(VF_DWORDS);
const PF_IMAGE = compile(PF_DWORDS);
const imageOf = (functionNumber: number) => (functionNumber === PF_FUNCTION ? PF_IMAGE : VF_IMAGE);

/** The writable bits of every dword of a function's configuration space. */
export const writableConfigBits = (functionNumber: number): Int32Array => imageOf(functionNumber).writable;

/** The power-on values of a function's configuration space. */
export const configImage = (functionNumber: number): Int32Array => imageOf(functionNumber).values;

/** Puts the power-on values back: bus mastering and MSI-X off, BARs unassigned. */
export function resetConfigSpace(words: Int32Array, functionNumber: number): void {
  const { values } = imageOf(functionNumber);
  const first = REGION.config + functionNumber * CONFIG_WORDS;
  for (let i = 0; i < CONFIG_WORDS; i++) Atomics.store(words, first + i, values[i]!);
}
