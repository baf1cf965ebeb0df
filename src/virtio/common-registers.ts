/**
 * The common configuration structure, register by register. A 32-bit access may take in several registers, as a guest does
 * whose bus knows no narrower one; a write acts on every register that it covers whole, in ascending order.
 */
import { resetConfigSpace } from './config-image.js';
import { type DeviceWords, QUEUE_WORD, ringBell, WORD } from './device-words.js';
import { resetMsix } from './msix.js';
import {
  FEATURE,
  FEATURE_HIGH,
  LINK_UP,
  MAX_QUEUE_SIZE,
  NO_VECTOR,
  QUEUES,
  STATUS,
  VECTORS,
} from './spec.js';

interface Register {
  readonly name: string;
  readonly offset: number;
  readonly bytes: 1 | 2 | 4;
  readonly read: (device: DeviceWords) => number;
  /** Under the device's lock. Missing: read-only. */
  readonly write?: (device: DeviceWords, value: number) => void;
}

const word = (index: number) => (device: DeviceWords) => device.get(index);
const keep = (index: number) => (device: DeviceWords, value: number) => device.set(index, value);

/** A register of the selected queue; a queue that is not there reads as `absent` and ignores writes. */
function queueRegister(
  name: string,
  offset: number,
  bytes: 2 | 4,
  field: number,
  write: (device: DeviceWords, at: number, value: number, enabled: boolean) => void,
  absent = 0,
): Register {
  return {
    name,
    offset,
    bytes,
    read: (device) => {
      const queue = device.get(WORD.queueSelect);
      return queue < QUEUES ? device.get(device.queueWord(queue, field)) : absent;
    },
    write: (device, value) => {
      const queue = device.get(WORD.queueSelect);
      if (queue >= QUEUES) return;
      const enabled = device.get(device.queueWord(queue, QUEUE_WORD.enabled)) !== 0;
      write(device, device.queueWord(queue, field), value, enabled);
    },
  };
}

/** Where a queue lies must not move under a device that serves it. */
const whileDisabled = (device: DeviceWords, at: number, value: number, enabled: boolean): void => {
  if (!enabled) device.set(at, value);
};

const isQueueSize = (value: number): boolean =>
  value > 0 && value <= MAX_QUEUE_SIZE && (value & (value - 1)) === 0;
const vectorOf = (value: number): number => (value < VECTORS ? value : NO_VECTOR);

/** Low and high word of an address. */
function addressRegisters(name: string, offset: number, field: number): Register[] {
  return [
    queueRegister(`${name}_lo`, offset, 4, field, whileDisabled),
    queueRegister(`${name}_hi`, offset + 4, 4, field + 1, whileDisabled),
  ];
}

export const COMMON_REGISTERS: readonly Register[] = [
  {
    name: 'device_feature_select',
    offset: 0x00,
    bytes: 4,
    read: word(WORD.featureSelect),
    write: keep(WORD.featureSelect),
  },
  { name: 'device_feature', offset: 0x04, bytes: 4, read: offeredFeatures },
  {
    name: 'driver_feature_select',
    offset: 0x08,
    bytes: 4,
    read: word(WORD.driverFeatureSelect),
    write: keep(WORD.driverFeatureSelect),
  },
  {
    name: 'driver_feature',
    offset: 0x0c,
    bytes: 4,
    read: (device) => {
      const select = device.get(WORD.driverFeatureSelect);
      return select < 2 ? device.get(WORD.driverFeatures + select) : 0;
    },
    write: (device, value) => {
      const select = device.get(WORD.driverFeatureSelect);
      const settled = (device.get(WORD.status) & STATUS.featuresOk) !== 0;
      if (select < 2 && !settled) device.set(WORD.driverFeatures + select, value);
    },
  },
  {
    name: 'config_msix_vector',
    offset: 0x10,
    bytes: 2,
    read: word(WORD.configVector),
    write: (device, value) => device.set(WORD.configVector, vectorOf(value)),
  },
  { name: 'num_queues', offset: 0x12, bytes: 2, read: () => QUEUES },
  { name: 'device_status', offset: 0x14, bytes: 1, read: word(WORD.status), write: writeStatus },
  { name: 'config_generation', offset: 0x15, bytes: 1, read: word(WORD.configGeneration) },
  {
    name: 'queue_select',
    offset: 0x16,
    bytes: 2,
    read: word(WORD.queueSelect),
    write: keep(WORD.queueSelect),
  },
  queueRegister('queue_size', 0x18, 2, QUEUE_WORD.size, (device, at, value, enabled) => {
    if (!enabled && isQueueSize(value)) device.set(at, value);
  }),
  queueRegister(
    'queue_msix_vector',
    0x1a,
    2,
    QUEUE_WORD.vector,
    (device, at, value) => {
      device.set(at, vectorOf(value));
    },
    NO_VECTOR,
  ),
  queueRegister('queue_enable', 0x1c, 2, QUEUE_WORD.enabled, (device, at, value) => {
    // there is no way to disable one but the device's reset
    if (value === 1) device.set(at, 1);
  }),
  { name: 'queue_notify_off', offset: 0x1e, bytes: 2, read: word(WORD.queueSelect) },
  ...addressRegisters('queue_desc', 0x20, QUEUE_WORD.descriptors),
  ...addressRegisters('queue_driver', 0x28, QUEUE_WORD.available),
  ...addressRegisters('queue_device', 0x30, QUEUE_WORD.used),
];

const COMMON_BYTES = 0x38;
/** The registers that begin in each dword. */
const BY_DWORD: readonly (readonly Register[])[] = Array.from({ length: COMMON_BYTES / 4 }, (_, dword) =>
  COMMON_REGISTERS.filter(({ offset }) => offset >> 2 === dword),
);

const maskOf = (bytes: number): number => (bytes === 4 ? 0xffff_ffff : (1 << (8 * bytes)) - 1);

/** The dword at `offset`, a multiple of 4. */
export function readCommon(device: DeviceWords, offset: number): number {
  let value = 0;
  for (const register of BY_DWORD[offset >> 2] ?? []) {
    value |= (register.read(device) & maskOf(register.bytes)) << (8 * (register.offset & 3));
  }
  return value >>> 0;
}

/** @param bytes 1, 2 or 4; an access that crosses a dword's end is dropped. */
export function writeCommon(device: DeviceWords, offset: number, bytes: number, value: number): void {
  if ((offset & 3) + bytes > 4) return;
  device.locked(() => {
    for (const { offset: at, bytes: width, write } of BY_DWORD[offset >> 2] ?? []) {
      if (at < offset || at + width > offset + bytes || write === undefined) continue;
      write(device, ((value >>> (8 * (at - offset))) & maskOf(width)) >>> 0);
    }
  });
}

function offeredFeatures(device: DeviceWords): number {
  const select = device.get(WORD.featureSelect);
  if (select === 0) return device.get(WORD.offered);
  return select === 1 ? OFFERED_HIGH : 0;
}

const OFFERED_HIGH = FEATURE_HIGH.version1 | FEATURE_HIGH.accessPlatform;

/** What a driver took of the upper word. */
export const highFeaturesFit = (high: number): boolean =>
  (high & FEATURE_HIGH.version1) !== 0 && (high & ~OFFERED_HIGH) === 0;

/** A driver may take any part of what is offered; version 1 is a must, and segmentation needs checksums. */
function featuresFit(device: DeviceWords): boolean {
  const low = device.get(WORD.driverFeatures);
  if ((low & ~device.get(WORD.offered)) !== 0) return false;
  if (!highFeaturesFit(device.get(WORD.driverFeatures + 1))) return false;
  if ((low & FEATURE.hostTso4) !== 0 && (low & FEATURE.csum) === 0) return false;
  return (low & FEATURE.guestTso4) === 0 || (low & FEATURE.guestCsum) !== 0;
}

function writeStatus(device: DeviceWords, value: number): void {
  if (value === 0) {
    resetRegisters(device);
    return;
  }
  const old = device.get(WORD.status);
  let next = (value & ~STATUS.needsReset) | (old & STATUS.needsReset);
  if ((next & ~old & STATUS.featuresOk) !== 0 && !featuresFit(device)) next &= ~STATUS.featuresOk;
  device.set(WORD.status, next);
  // requests may be waiting already
  if ((next & ~old & STATUS.driverOk) !== 0) ringBell(device.bell);
}

/** What a driver sees after it wrote status 0. MSI-X and configuration space stay. */
function resetRegisters(device: DeviceWords): void {
  device.set(WORD.status, 0);
  device.set(WORD.isr, 0);
  device.set(WORD.featureSelect, 0);
  device.set(WORD.driverFeatureSelect, 0);
  device.set(WORD.driverFeatures, 0);
  device.set(WORD.driverFeatures + 1, 0);
  device.set(WORD.configVector, NO_VECTOR);
  device.set(WORD.queueSelect, 0);
  for (let queue = 0; queue < QUEUES; queue++) {
    for (const field of Object.values(QUEUE_WORD)) device.set(device.queueWord(queue, field), 0);
    for (const field of [QUEUE_WORD.descriptors, QUEUE_WORD.available, QUEUE_WORD.used]) {
      device.set(device.queueWord(queue, field) + 1, 0);
    }
    device.set(device.queueWord(queue, QUEUE_WORD.size), MAX_QUEUE_SIZE);
    device.set(device.queueWord(queue, QUEUE_WORD.vector), NO_VECTOR);
  }
}

/** Power-on, or a function-level reset. Under the lock. */
export function resetFunction(device: DeviceWords): void {
  resetConfigSpace(device);
  resetMsix(device);
  resetRegisters(device);
}

export interface DeviceIdentity {
  readonly macLow: number;
  readonly macHigh: number;
  readonly mtu: number;
  /** Low feature word. */
  readonly features: number;
}

/** A new device: what it is, and its registers as after power-on. */
export function powerOn(device: DeviceWords, { macLow, macHigh, mtu, features }: DeviceIdentity): void {
  device.set(WORD.macLow, macLow);
  device.set(WORD.macHigh, macHigh);
  device.set(WORD.mtu, mtu);
  device.set(WORD.portMtu, mtu);
  device.set(WORD.offered, features);
  device.set(WORD.linkUp, LINK_UP);
  resetFunction(device);
}
