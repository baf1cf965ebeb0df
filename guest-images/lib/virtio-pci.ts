/**
 * A virtio 1.x device on PCI as its driver reaches it: structures found by their capabilities, registers by accesses of 32
 * bits, the only ones that this machine's bus has. Where several registers share a dword, all are written.
 */
import { barRead, barWrite, clockNs, pciRead } from './machine';
import { CAPABILITIES, enableDevice, findFunction } from './pci';

/** 1af4:1041, a network device, as the first dword of configuration space has it. */
const VIRTIO_NET: u32 = 0x10411af4;
const VENDOR_SPECIFIC: u32 = 0x09;
const TYPE_COMMON: u32 = 1;
const TYPE_NOTIFY: u32 = 2;
const TYPE_DEVICE: u32 = 4;
const MAX_HOPS: u32 = 48;
const RESET_NS: u64 = 1_000_000_000;

// the common configuration's dwords
const DEVICE_FEATURE_SELECT: u32 = 0x00;
const DEVICE_FEATURE: u32 = 0x04;
const DRIVER_FEATURE_SELECT: u32 = 0x08;
const DRIVER_FEATURE: u32 = 0x0c;
/** Vector of the configuration, number of queues. */
const CONFIG_VECTOR: u32 = 0x10;
/** Device status, configuration generation, queue select. */
const STATUS: u32 = 0x14;
/** Of the selected queue: size, vector. */
const QUEUE_SIZE: u32 = 0x18;
/** Enable, notify offset. */
const QUEUE_ENABLE: u32 = 0x1c;
const QUEUE_DESCRIPTORS: u32 = 0x20;
const QUEUE_AVAILABLE: u32 = 0x28;
const QUEUE_USED: u32 = 0x30;

export const ACKNOWLEDGE: u32 = 1;
export const DRIVER: u32 = 2;
export const DRIVER_OK: u32 = 4;
export const FEATURES_OK: u32 = 8;
export const NEEDS_RESET: u32 = 64;
export const NO_VECTOR: u32 = 0xffff;
const VERSION_1: u32 = 1;

@unmanaged export class VirtioDevice {
  slot: u32;
  /** Where each structure lies: bar and offset. */
  commonBar: u32;
  commonAt: u32;
  notifyBar: u32;
  notifyAt: u32;
  notifyStride: u32;
  deviceBar: u32;
  deviceAt: u32;
  status: u32;
  /** Low word of the features that both sides have. */
  features: u32;
}

/** Finds the device and its structures. False: there is none that this driver understands. */
export function findDevice(device: VirtioDevice): bool {
  const slot = findFunction(VIRTIO_NET);
  if (slot == 0) return false;
  device.slot = slot;
  let found: u32 = 0;
  let at = pciRead(slot, CAPABILITIES) & 0xfc;
  for (let hops: u32 = 0; at != 0 && hops < MAX_HOPS; hops++) {
    const head = pciRead(slot, at);
    if ((head & 0xff) == VENDOR_SPECIFIC) {
      const type = head >> 24;
      const bar = pciRead(slot, at + 4) & 0xff;
      const offset = pciRead(slot, at + 8);
      if (type == TYPE_COMMON) {
        device.commonBar = bar;
        device.commonAt = offset;
      } else if (type == TYPE_NOTIFY) {
        device.notifyBar = bar;
        device.notifyAt = offset;
        device.notifyStride = pciRead(slot, at + 16);
      } else if (type == TYPE_DEVICE) {
        device.deviceBar = bar;
        device.deviceAt = offset;
      }
      found |= 1 << type;
    }
    at = (head >> 8) & 0xfc;
  }
  const needed: u32 = (1 << TYPE_COMMON) | (1 << TYPE_NOTIFY) | (1 << TYPE_DEVICE);
  return (found & needed) == needed;
}

@inline function readCommon(device: VirtioDevice, register: u32): u32 {
  return barRead(device.slot, device.commonBar, device.commonAt + register);
}

@inline function writeCommon(device: VirtioDevice, register: u32, value: u32): void {
  barWrite(device.slot, device.commonBar, device.commonAt + register, value);
}

/** The dword at `offset` of the device's own configuration. */
export function readDevice(device: VirtioDevice, offset: u32): u32 {
  return barRead(device.slot, device.deviceBar, device.deviceAt + offset);
}

export function setStatus(device: VirtioDevice, status: u32): void {
  device.status = status;
  writeCommon(device, STATUS, status);
}

export function readStatus(device: VirtioDevice): u32 {
  return readCommon(device, STATUS) & 0xff;
}

/** Reset, and what both sides can do agreed on: `wanted` as far as it is offered. False: they do not come together. */
export function negotiate(device: VirtioDevice, wanted: u32): bool {
  enableDevice(device.slot);
  setStatus(device, 0);
  const untilNs = clockNs() + RESET_NS;
  while (readStatus(device) != 0) if (clockNs() > untilNs) return false;
  setStatus(device, ACKNOWLEDGE);
  setStatus(device, ACKNOWLEDGE | DRIVER);
  writeCommon(device, DEVICE_FEATURE_SELECT, 0);
  device.features = readCommon(device, DEVICE_FEATURE) & wanted;
  writeCommon(device, DEVICE_FEATURE_SELECT, 1);
  if ((readCommon(device, DEVICE_FEATURE) & VERSION_1) == 0) return false;
  writeCommon(device, DRIVER_FEATURE_SELECT, 0);
  writeCommon(device, DRIVER_FEATURE, device.features);
  writeCommon(device, DRIVER_FEATURE_SELECT, 1);
  writeCommon(device, DRIVER_FEATURE, VERSION_1);
  setStatus(device, ACKNOWLEDGE | DRIVER | FEATURES_OK);
  return (readStatus(device) & FEATURES_OK) != 0;
}

/** Entries that the device's queue can have at most; 0: it has no such queue. */
export function largestQueue(device: VirtioDevice, queue: u32): u32 {
  selectQueue(device, queue);
  return readCommon(device, QUEUE_SIZE) & 0xffff;
}

export function placeQueue(
  device: VirtioDevice,
  queue: u32,
  count: u32,
  vector: u32,
  descriptors: usize,
  available: usize,
  used: usize,
): void {
  selectQueue(device, queue);
  writeCommon(device, QUEUE_SIZE, count | (vector << 16));
  writeCommon(device, QUEUE_DESCRIPTORS, <u32>descriptors);
  writeCommon(device, QUEUE_DESCRIPTORS + 4, 0);
  writeCommon(device, QUEUE_AVAILABLE, <u32>available);
  writeCommon(device, QUEUE_AVAILABLE + 4, 0);
  writeCommon(device, QUEUE_USED, <u32>used);
  writeCommon(device, QUEUE_USED + 4, 0);
  writeCommon(device, QUEUE_ENABLE, 1);
}

/** Where a notification of the queue is written. */
export function notifyAddress(device: VirtioDevice, queue: u32): u32 {
  selectQueue(device, queue);
  return device.notifyAt + (readCommon(device, QUEUE_ENABLE) >> 16) * device.notifyStride;
}

export function setConfigVector(device: VirtioDevice, vector: u32): void {
  writeCommon(device, CONFIG_VECTOR, vector);
}

function selectQueue(device: VirtioDevice, queue: u32): void {
  // the status is in the same dword: the same again changes nothing
  writeCommon(device, STATUS, device.status | (queue << 16));
}
