/** Where things are in a function's configuration space (vf-hardware 1.1): byte offsets and bits. */
export const PCI = {
  ID: 0x00,
  COMMAND: 0x04,
  CLASS: 0x08,
  HEADER: 0x0c,
  BAR0: 0x10,
  SUBSYSTEM: 0x2c,
  CAPABILITIES: 0x34,
  INTERRUPT: 0x3c,
  POWER: 0x40,
  MSIX: 0x70,
  MSIX_TABLE: 0x74,
  MSIX_PBA: 0x78,
  PCIE: 0xa0,
  PCIE_DEVCTL: 0xa8,
  AER: 0x100,
  ARI: 0x150,
  SRIOV: 0x160,
} as const;
export const COMMAND_MEMORY = 1 << 1;
export const COMMAND_MASTER = 1 << 2;
/** In the dword at PCI.MSIX: the message control's two bits. */
export const MSIX_ENABLE = 0x8000_0000 | 0;
export const MSIX_FUNCTION_MASK = 1 << 30;
/** Where table and pending bits are in the MSI-X BAR. */
export const MSIX_TABLE_BYTES = 3 * 16;
export const MSIX_PBA_OFFSET = 0x2000;
export const VENDOR_INTEL = 0x8086;
export const DEVICE_82599_PF = 0x10fb;
export const DEVICE_82599_VF = 0x10ed;
/** Function number of the PF in shared memory; VF n is function n. On the bus the PF is requester 0, VF n is 1 + n. */
export const PF_FUNCTION = 63;
export const requesterOf = (functionNumber: number): number =>
  functionNumber === PF_FUNCTION ? 0 : functionNumber + 1;
