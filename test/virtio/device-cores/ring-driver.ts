/** A guest's virtio-net driver as a script calls for it: rings and buffers in a memory of its own, registers by BAR accesses. */
import { bytesOf } from '../../../src/hardware/bytes.js';
import { createDomainHandle } from '../../../src/hardware/iommu/domain.js';
import { COMMAND_MASTER, COMMAND_MEMORY, PCI } from '../../../src/hardware/pci/offsets.js';
import { powerOn } from '../../../src/virtio/common-registers.js';
import {
  BELL_BYTES,
  createDeviceWords,
  DeviceWords,
  type VirtioNetHandle,
} from '../../../src/virtio/device-words.js';
import { NetFunction } from '../../../src/virtio/net-function.js';
import { FEATURE, NET_HEADER_BYTES, QUEUE, STATUS } from '../../../src/virtio/spec.js';

const RAM_BYTES = 1 << 20;
const SIZE = 64;
const BUFFER_BYTES = 2048;
/** Per queue: descriptor table, available ring, used ring, buffers. */
const QUEUE_AREA = { descriptors: 0, available: 0x1000, used: 0x2000, buffers: 0x3000 };
const QUEUE_STRIDE = 0x4_0000;
const WRITE = 2;

export class RingDriver {
  readonly handle: VirtioNetHandle;
  readonly #function: NetFunction;
  readonly #ram: DataView;
  readonly #bytes: Uint8Array;
  /** Requests posted and taken back, by queue. */
  readonly #posted = [0, 0];
  readonly #seen = [0, 0];

  constructor(mac: { low: number; high: number }, bell = new SharedArrayBuffer(BELL_BYTES)) {
    const memory = new SharedArrayBuffer(RAM_BYTES);
    this.#bytes = new Uint8Array(memory);
    this.#ram = bytesOf(this.#bytes).view;
    this.handle = {
      words: createDeviceWords(),
      bell,
      domain: createDomainHandle(memory, [
        { iovaStart: 0, memoryOffset: 0, bytes: RAM_BYTES, writable: true },
      ]),
      log: new SharedArrayBuffer(RAM_BYTES / 4096),
    };
    powerOn(new DeviceWords(this.handle), {
      macLow: mac.low,
      macHigh: mac.high,
      mtu: 1500,
      features: FEATURE.mac | FEATURE.csum | FEATURE.guestCsum,
    });
    this.#function = new NetFunction(this.handle, { deliver: () => {} });
  }

  /** @param features low word of what it takes on */
  up(features = 0): void {
    const bar = this.#function;
    const write = (offset: number, bytes: number, value: number): void =>
      void bar.barWrite(0, offset, value, bytes);
    bar.configWrite(PCI.COMMAND, COMMAND_MEMORY | COMMAND_MASTER);
    write(0x14, 1, STATUS.acknowledge | STATUS.driver);
    for (const [select, word] of [features, 1].entries()) {
      write(0x08, 4, select);
      write(0x0c, 4, word);
    }
    write(0x14, 1, STATUS.acknowledge | STATUS.driver | STATUS.featuresOk);
    for (const queue of [QUEUE.receive, QUEUE.transmit]) {
      const at = queue * QUEUE_STRIDE;
      write(0x16, 2, queue);
      write(0x18, 2, SIZE);
      write(0x20, 4, at + QUEUE_AREA.descriptors);
      write(0x28, 4, at + QUEUE_AREA.available);
      write(0x30, 4, at + QUEUE_AREA.used);
      write(0x1c, 2, 1);
    }
    write(0x14, 1, STATUS.acknowledge | STATUS.driver | STATUS.featuresOk | STATUS.driverOk);
    for (let i = 0; i < SIZE; i++) this.#post(QUEUE.receive, BUFFER_BYTES, WRITE);
  }

  /** Resets the device and forgets what it posted. */
  down(): void {
    this.#function.barWrite(0, 0x14, 0, 1);
    this.#bytes.fill(0);
    for (const queue of [QUEUE.receive, QUEUE.transmit]) this.#posted[queue] = this.#seen[queue] = 0;
  }

  /** False: the ring is full. @param header all zero but for what is given */
  send(frame: Uint8Array, header: Partial<Record<number, number>> = {}): boolean {
    this.#takeBack(QUEUE.transmit);
    if (this.#posted[QUEUE.transmit]! - this.#seen[QUEUE.transmit]! === SIZE) return false;
    const at = this.#bufferOf(QUEUE.transmit, this.#posted[QUEUE.transmit]! % SIZE);
    this.#bytes.fill(0, at, at + NET_HEADER_BYTES);
    for (const [offset, value] of Object.entries(header)) this.#bytes[at + Number(offset)] = value!;
    this.#bytes.set(frame, at + NET_HEADER_BYTES);
    this.#post(QUEUE.transmit, NET_HEADER_BYTES + frame.length, 0);
    return true;
  }

  /** Frames that came, oldest first; their buffers are posted again. */
  receive(): Uint8Array[] {
    return this.#takeBack(QUEUE.receive).map(({ id, length }) => {
      const at = this.#bufferOf(QUEUE.receive, id);
      const frame = this.#bytes.slice(at + NET_HEADER_BYTES, at + length);
      this.#post(QUEUE.receive, BUFFER_BYTES, WRITE);
      return frame;
    });
  }

  #bufferOf(queue: number, slot: number): number {
    return queue * QUEUE_STRIDE + QUEUE_AREA.buffers + slot * BUFFER_BYTES;
  }

  #post(queue: number, bytes: number, flags: number): void {
    const slot = this.#posted[queue]! % SIZE;
    const area = queue * QUEUE_STRIDE;
    const descriptor = area + QUEUE_AREA.descriptors + 16 * slot;
    this.#ram.setUint32(descriptor, this.#bufferOf(queue, slot), true);
    this.#ram.setUint32(descriptor + 4, 0, true);
    this.#ram.setUint32(descriptor + 8, bytes, true);
    this.#ram.setUint16(descriptor + 12, flags, true);
    this.#ram.setUint16(area + QUEUE_AREA.available + 4 + 2 * slot, slot, true);
    this.#posted[queue] = this.#posted[queue]! + 1;
    this.#ram.setUint16(area + QUEUE_AREA.available + 2, this.#posted[queue]! & 0xffff, true);
  }

  #takeBack(queue: number): { id: number; length: number }[] {
    const area = queue * QUEUE_STRIDE + QUEUE_AREA.used;
    const back: { id: number; length: number }[] = [];
    while ((this.#seen[queue]! & 0xffff) !== this.#ram.getUint16(area + 2, true)) {
      const entry = area + 4 + 8 * (this.#seen[queue]! % SIZE);
      back.push({ id: this.#ram.getUint32(entry, true), length: this.#ram.getUint32(entry + 4, true) });
      this.#seen[queue] = this.#seen[queue]! + 1;
    }
    return back;
  }
}
