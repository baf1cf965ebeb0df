/**
 * PCI hot-plug, as the host bridge offers it: a vendor-specific capability in slot 0's configuration space. Whoever takes part
 * is told on a line of its own that a function is to leave, or has arrived; nothing leaves before it is let go of.
 */
import { pciRead, pciWrite } from './machine';

const BRIDGE: u32 = 0;
const STATUS: u32 = 0x04;
const STATUS_CAPABILITIES: u32 = 1 << 20;
const CAPABILITIES: u32 = 0x34;
/** Vendor-specific, version 1. */
const CAPABILITY: u32 = 0x01000009;
const CAPABILITY_MASK: u32 = 0xff0000ff;
const TAKES_PART: u32 = 1 << 31;
// from the capability on
const CONTROL: u32 = 0x04;
const PRESENT: u32 = 0x08;
const LEAVING: u32 = 0x0c;
const ARRIVED: u32 = 0x10;

/** Of the capability; 0: this machine has no hot-plug, or it was not asked yet. */
let at: u32 = 0;

/** From now on `line` tells of functions that leave or arrive. False: nothing ever does here. */
export function takePart(line: u32): bool {
  if ((pciRead(BRIDGE, STATUS) & STATUS_CAPABILITIES) == 0) return false;
  const found = pciRead(BRIDGE, CAPABILITIES) & 0xfc;
  if (found == 0 || (pciRead(BRIDGE, found) & CAPABILITY_MASK) != CAPABILITY) return false;
  at = found;
  pciWrite(BRIDGE, at + CONTROL, TAKES_PART | line);
  return true;
}

/** Whether the slot's function is to leave. */
export function isLeaving(slot: u32): bool {
  return at != 0 && (pciRead(BRIDGE, at + LEAVING) & (1 << slot)) != 0;
}

/** The guest has let go of a function. False: it is not wanted back any more, and is still there. */
export function letGo(slot: u32): bool {
  pciWrite(BRIDGE, at + LEAVING, 1 << slot);
  return (pciRead(BRIDGE, at + PRESENT) & (1 << slot)) == 0;
}

/** Slots whose function came since the last call, a bit each. */
export function takeArrived(): u32 {
  if (at == 0) return 0;
  const arrived = pciRead(BRIDGE, at + ARRIVED);
  if (arrived != 0) pciWrite(BRIDGE, at + ARRIVED, arrived);
  return arrived;
}
