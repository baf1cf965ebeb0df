/**
 * A paravirtual NIC on the bench, and its guest's driver: rings in 1 MiB of RAM, registers through the device's BARs.
 *
 *   RAM  0x0000 receive rings | 0x4000 transmit rings | 0x10000 receive buffers | 0x80000 transmit buffers
 */
import { createDomainHandle } from '../../src/hardware/iommu/domain.js';
import { MSIX_ENABLE, PCI } from '../../src/hardware/pci/offsets.js';
import { powerOn } from '../../src/virtio/common-registers.js';
import { MSIX_BAR } from '../../src/virtio/config-image.js';
import {
  BELL_BYTES,
  createDeviceWords,
  DeviceWords,
  type VirtioNetHandle,
} from '../../src/virtio/device-words.js';
import { NetFunction } from '../../src/virtio/net-function.js';
import { NetPort } from '../../src/virtio/net-port.js';
import { AREA, DESCRIPTOR_FLAG, FEATURE, NET_HEADER_BYTES, STATUS } from '../../src/virtio/spec.js';
import { MSI_ADDRESS, RecordingMsi } from '../hardware/nic/card.js';

export const RAM_BYTES = 1 << 20;
export const MAC_A = [0x0000_5452, 0x0a00] as const;
export const MAC_B = [0x0000_5452, 0x0b00] as const;
export const FEATURES =
  FEATURE.csum |
  FEATURE.guestCsum |
  FEATURE.mac |
  FEATURE.mergeableBuffers |
  FEATURE.status |
  FEATURE.hostTso4 |
  FEATURE.guestTso4;
const RINGS = [0, 0x4000] as const;
const BUFFERS = [0x1_0000, 0x8_0000] as const;
const DRIVING = STATUS.acknowledge | STATUS.driver;
export const COMMON = {
  deviceFeatureSelect: 0x00,
  deviceFeature: 0x04,
  driverFeatureSelect: 0x08,
  driverFeature: 0x0c,
  configVector: 0x10,
  status: 0x14,
  queueSelect: 0x16,
  queueSize: 0x18,
  queueVector: 0x1a,
  queueEnable: 0x1c,
  descriptors: 0x20,
} as const;

export function benchHandle(mac: readonly [number, number] = MAC_A, mtu = 1500): VirtioNetHandle {
  const memory = new SharedArrayBuffer(RAM_BYTES + 4096);
  const handle: VirtioNetHandle = {
    words: createDeviceWords(),
    bell: new SharedArrayBuffer(BELL_BYTES),
    domain: createDomainHandle(memory, [{ iovaStart: 0, memoryOffset: 0, bytes: RAM_BYTES, writable: true }]),
    log: new SharedArrayBuffer(RAM_BYTES / 4096),
  };
  powerOn(new DeviceWords(handle), { macLow: mac[0], macHigh: mac[1], mtu, features: FEATURES });
  return handle;
}

export interface Received {
  readonly header: Uint8Array;
  readonly frame: Uint8Array;
  readonly buffers: number;
}

export class BenchGuest {
  readonly handle: VirtioNetHandle;
  readonly words: DeviceWords;
  readonly function: NetFunction;
  readonly msi = new RecordingMsi();
  readonly port: NetPort;
  readonly u8: Uint8Array;
  readonly view: DataView;
  readonly queueSize: number;
  readonly bufferBytes: number;
  /** Next available and next used index of each queue. */
  readonly #posted = [0, 0];
  readonly #seen = [0, 0];

  constructor(
    options: { mac?: readonly [number, number]; queueSize?: number; bufferBytes?: number; mtu?: number } = {},
  ) {
    this.handle = benchHandle(options.mac, options.mtu);
    this.words = new DeviceWords(this.handle);
    this.function = new NetFunction(this.handle, this.msi);
    this.port = new NetPort(this.handle, this.msi, true);
    this.u8 = new Uint8Array(this.handle.domain.memory);
    this.view = new DataView(this.handle.domain.memory);
    this.queueSize = options.queueSize ?? 64;
    this.bufferBytes = options.bufferBytes ?? 2048;
  }

  write(offset: number, value: number, bytes = 4): void {
    this.function.barWrite(0, AREA.common + offset, value, bytes);
  }

  read(offset: number): number {
    return this.function.barRead(0, AREA.common + offset);
  }

  get status(): number {
    return this.read(COMMON.status) & 0xff;
  }

  /** A driver's first steps. Returns whether the device agrees to the features. */
  negotiate(features: number, high = 1): boolean {
    this.function.configWrite(PCI.COMMAND, 6);
    this.write(COMMON.status, 0, 1);
    this.write(COMMON.status, DRIVING, 1);
    this.write(COMMON.driverFeatureSelect, 0);
    this.write(COMMON.driverFeature, features);
    this.write(COMMON.driverFeatureSelect, 1);
    this.write(COMMON.driverFeature, high);
    this.write(COMMON.status, DRIVING | STATUS.featuresOk, 1);
    return (this.status & STATUS.featuresOk) !== 0;
  }

  placeQueue(queue: number, ring: number, vector: number): void {
    const { queueSize: size } = this;
    this.write(COMMON.queueSelect, queue, 2);
    this.write(COMMON.queueSize, size, 2);
    this.write(COMMON.queueVector, vector, 2);
    const places = [ring, ring + 16 * size, ring + 16 * size + ((4 + 2 * size + 3) & ~3)];
    for (const [index, place] of places.entries()) {
      this.write(COMMON.descriptors + 8 * index, place);
      this.write(COMMON.descriptors + 8 * index + 4, 0);
    }
    this.write(COMMON.queueEnable, 1, 2);
  }

  /** A driver that is loaded once more: a reset, and rings from the beginning. */
  restart(): this {
    this.u8.fill(0);
    for (const queue of [0, 1]) this.#posted[queue] = this.#seen[queue] = 0;
    return this.bringUp();
  }

  /** Ready, vectors 1 and 2 unmasked with themselves as data, every receive buffer posted. */
  bringUp(features = FEATURE.mergeableBuffers | FEATURE.csum | FEATURE.guestCsum): this {
    if (!this.negotiate(features)) throw new Error('the device refused the features');
    for (const queue of [0, 1]) this.placeQueue(queue, RINGS[queue]!, queue + 1);
    this.write(COMMON.configVector, 0, 2);
    for (let vector = 0; vector < 3; vector++) {
      this.function.barWrite(MSIX_BAR, vector * 16, MSI_ADDRESS, 4);
      this.function.barWrite(MSIX_BAR, vector * 16 + 8, vector, 4);
      this.function.barWrite(MSIX_BAR, vector * 16 + 12, 0, 4);
    }
    this.function.configWrite(PCI.MSIX, MSIX_ENABLE);
    for (let slot = 0; slot < this.queueSize; slot++) this.postReceive(slot);
    this.write(COMMON.status, DRIVING | STATUS.featuresOk | STATUS.driverOk, 1);
    return this;
  }

  descriptor(queue: number, index: number, address: number, bytes: number, flags = 0, next = 0): void {
    const at = RINGS[queue]! + 16 * index;
    this.view.setUint32(at, address % 2 ** 32, true);
    this.view.setUint32(at + 4, Math.floor(address / 2 ** 32), true);
    this.view.setUint32(at + 8, bytes, true);
    this.view.setUint16(at + 12, flags, true);
    this.view.setUint16(at + 14, next, true);
  }

  availableAt(queue: number): number {
    return RINGS[queue]! + 16 * this.queueSize;
  }

  usedAt(queue: number): number {
    return this.availableAt(queue) + ((4 + 2 * this.queueSize + 3) & ~3);
  }

  makeAvailable(queue: number, head: number): void {
    const at = this.availableAt(queue);
    this.view.setUint16(at + 4 + 2 * (this.#posted[queue]! % this.queueSize), head, true);
    this.#posted[queue] = (this.#posted[queue]! + 1) & 0xffff;
    this.view.setUint16(at + 2, this.#posted[queue]!, true);
  }

  bufferAt(queue: number, index: number): number {
    return BUFFERS[queue]! + index * 2048;
  }

  postReceive(slot: number): void {
    this.descriptor(0, slot, this.bufferAt(0, slot), this.bufferBytes, DESCRIPTOR_FLAG.write);
    this.makeAvailable(0, slot);
  }

  /** One frame to send, in one buffer; its header all zero but for what is given. */
  send(
    frame: Uint8Array,
    header: Partial<Record<number, number>> = {},
    slot = this.#posted[1]! % this.queueSize,
  ): void {
    const at = this.bufferAt(1, slot);
    this.u8.fill(0, at, at + NET_HEADER_BYTES);
    for (const [offset, value] of Object.entries(header)) this.u8[at + Number(offset)] = value!;
    this.u8.set(frame, at + NET_HEADER_BYTES);
    this.descriptor(1, slot, at, NET_HEADER_BYTES + frame.length);
    this.makeAvailable(1, slot);
  }

  /** Used entries since the last call: head and length. */
  takeUsed(queue: number): { head: number; bytes: number }[] {
    const at = this.usedAt(queue);
    const used = [];
    while (this.#seen[queue] !== this.view.getUint16(at + 2, true)) {
      const entry = at + 4 + 8 * (this.#seen[queue]! % this.queueSize);
      used.push({ head: this.view.getUint32(entry, true), bytes: this.view.getUint32(entry + 4, true) });
      this.#seen[queue] = (this.#seen[queue]! + 1) & 0xffff;
    }
    return used;
  }

  /** Frames that were received, their buffers posted again. */
  received(): Received[] {
    const frames: Received[] = [];
    const used = this.takeUsed(0);
    for (let i = 0; i < used.length; ) {
      const first = this.bufferAt(0, used[i]!.head);
      const buffers = this.view.getUint16(first + 10, true);
      const parts = used.slice(i, i + buffers);
      const bytes = parts.flatMap(({ head, bytes: length }) => [
        ...this.u8.slice(this.bufferAt(0, head), this.bufferAt(0, head) + length),
      ]);
      frames.push({
        header: Uint8Array.from(bytes.slice(0, NET_HEADER_BYTES)),
        frame: Uint8Array.from(bytes.slice(NET_HEADER_BYTES)),
        buffers,
      });
      for (const { head } of parts) this.postReceive(head);
      i += buffers;
    }
    return frames;
  }

  /** Pages that the device wrote, and those of them that it logged, since the last call. */
  takePages(): { written: number[]; logged: number[] } {
    const take = (map: Uint8Array): number[] => {
      const pages = [...map.subarray(0, RAM_BYTES / 4096).entries()]
        .filter(([, set]) => set !== 0)
        .map(([page]) => page);
      map.fill(0);
      return pages;
    };
    return {
      written: take(new Uint8Array(this.handle.domain.truth)),
      logged: take(new Uint8Array(this.handle.log)),
    };
  }
}

/** A frame between two stations with so many bytes of payload behind its Ethernet header. */
export function frameTo(
  target: readonly [number, number],
  source: readonly [number, number],
  payloadBytes: number,
): Uint8Array {
  const frame = new Uint8Array(14 + payloadBytes);
  const view = new DataView(frame.buffer);
  view.setUint32(0, target[0], true);
  view.setUint16(4, target[1], true);
  view.setUint32(6, source[0], true);
  view.setUint16(10, source[1], true);
  view.setUint16(12, 0x88b5);
  for (let i = 14; i < frame.length; i++) frame[i] = (i * 7 + payloadBytes) & 0xff;
  return frame;
}
