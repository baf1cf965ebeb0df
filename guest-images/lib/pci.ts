/**
 * PCI functions as the guest's slots show them: finding the VF, its command register, its MSI-X table.
 */
import { barRead, barWrite, pciRead, pciWrite } from './machine';

const ID: u32 = 0x00;
const COMMAND: u32 = 0x04;
export const CAPABILITIES: u32 = 0x34;
const COMMAND_MEMORY: u32 = 1 << 1;
const COMMAND_MASTER: u32 = 1 << 2;
const CAPABILITY_MSIX: u32 = 0x11;
const MSIX_ENABLE: u32 = 1 << 31;
const MSIX_MASK_ALL: u32 = 1 << 30;
const MSI_ADDRESS: u32 = 0xfee00000;
const SLOTS: u32 = 32;

/** 8086:10ED as the first dword of configuration space has it. */
const VF_82599: u32 = 0x10ed8086;

/** The first slot with an 82599 VF; 0 (which is the host bridge) when there is none. */
export function findVf(): u32 {
  return findFunction(VF_82599);
}

/** The first slot with this function, by the first dword of its configuration space; 0 when there is none. */
@inline export function findFunction(id: u32): u32 {
  for (let slot: u32 = 1; slot < SLOTS; slot++) {
    if (pciRead(slot, ID) == id) return slot;
  }
  return 0;
}

/** Lets the function decode its BARs and use the bus. */
export function enableDevice(slot: u32): void {
  pciWrite(slot, COMMAND, (pciRead(slot, COMMAND) & 0xffff) | COMMAND_MEMORY);
  pciWrite(slot, COMMAND, (pciRead(slot, COMMAND) & 0xffff) | COMMAND_MASTER);
}

export function disableDevice(slot: u32): void {
  pciWrite(slot, COMMAND, pciRead(slot, COMMAND) & 0xffff & ~COMMAND_MASTER);
}

/** Offset of the MSI-X capability; 0 when there is none. */
function msixCapability(slot: u32): u32 {
  let at = pciRead(slot, CAPABILITIES) & 0xfc;
  for (let hops = 0; at != 0 && hops < 48; hops++) {
    const head = pciRead(slot, at);
    if ((head & 0xff) == CAPABILITY_MSIX) return at;
    at = (head >> 8) & 0xfc;
  }
  return 0;
}

@inline function entryOf(table: u32, vector: u32): u32 {
  return (table & ~7) + (vector << 4);
}

/** Switches MSI-X on with every vector masked. Returns how many vectors there are; 0: no MSI-X. */
export function enableMsix(slot: u32): u32 {
  const at = msixCapability(slot);
  if (at == 0) return 0;
  const head = pciRead(slot, at);
  const vectors = ((head >> 16) & 0x7ff) + 1;
  const table = pciRead(slot, at + 4);
  pciWrite(slot, at, head | MSIX_ENABLE | MSIX_MASK_ALL);
  for (let vector: u32 = 0; vector < vectors; vector++) {
    barWrite(slot, table & 7, entryOf(table, vector) + 12, 1);
  }
  pciWrite(slot, at, (head & ~MSIX_MASK_ALL) | MSIX_ENABLE);
  return vectors;
}

export function disableMsix(slot: u32): void {
  const at = msixCapability(slot);
  if (at != 0) pciWrite(slot, at, pciRead(slot, at) & ~MSIX_ENABLE);
}

/** Where the MSI-X table is: its BAR in bits 2:0, as the capability has it. */
export function msixTable(slot: u32): u32 {
  return pciRead(slot, msixCapability(slot) + 4);
}

/** @param table what msixTable() said */
export function maskVector(slot: u32, table: u32, vector: u32, masked: bool): void {
  barWrite(slot, table & 7, entryOf(table, vector) + 12, masked ? 1 : 0);
}

/** Routes a vector to an interrupt line and unmasks it. */
export function connectVector(slot: u32, vector: u32, line: u32): void {
  const table = pciRead(slot, msixCapability(slot) + 4);
  const bar = table & 7;
  const entry = entryOf(table, vector);
  barWrite(slot, bar, entry, MSI_ADDRESS);
  barWrite(slot, bar, entry + 4, 0);
  barWrite(slot, bar, entry + 8, line);
  barWrite(slot, bar, entry + 12, barRead(slot, bar, entry + 12) & ~1);
}

export function disconnectVector(slot: u32, vector: u32): void {
  const table = pciRead(slot, msixCapability(slot) + 4);
  const entry = entryOf(table, vector);
  barWrite(slot, table & 7, entry + 12, barRead(slot, table & 7, entry + 12) | 1);
}
