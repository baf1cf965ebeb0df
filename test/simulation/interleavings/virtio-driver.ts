/** A virtio-net driver whose rings are as small as they are mean, its buffers in any order, its rings words of the exploration. */
import { COMMAND_MASTER, COMMAND_MEMORY, MSIX_ENABLE, PCI } from '../../../src/hardware/pci/offsets.js';
import { NetFunction } from '../../../src/virtio/net-function.js';
import { AREA, NET_HEADER_BYTES, NO_INTERRUPT, NO_NOTIFY, QUEUE, STATUS } from '../../../src/virtio/spec.js';
import { type GuestScene, MESSAGES, QUEUE_SIZE } from './scene.js';

const BUFFER_BYTES = 2048;
const AREA_OF = { descriptors: 0, available: 0x1000, used: 0x2000, buffers: 0x4000 };
const STRIDE = 0x1_0000;
const FIRST = 0x1000;
const WRITE = 2;
const MSIX_BAR = 3;
const VECTOR = { config: 0, receive: 1, transmit: 2 } as const;
const ON = STATUS.acknowledge | STATUS.driver | STATUS.featuresOk;

export class VirtioDriver {
  /** Frames that came. */
  onFrame: (frame: Uint8Array) => void = () => {};
  readonly #function: NetFunction;
  readonly #u8: Uint8Array;
  readonly #u16: Uint16Array;
  readonly #view: DataView;
  readonly #messages: Int32Array;
  readonly #pick: (count: number) => number;
  readonly #free: [number[], number[]] = [[], []];
  readonly #available = [0, 0];
  readonly #seen = [0, 0];

  constructor({ device, messages }: GuestScene, pick: (count: number) => number) {
    const { memory } = device.domain;
    this.#u8 = new Uint8Array(memory);
    this.#u16 = new Uint16Array(memory);
    this.#view = new DataView(memory);
    this.#messages = new Int32Array(messages);
    this.#pick = pick;
    this.#function = new NetFunction(device, messageSink(this.#messages));
  }

  up(): void {
    for (const queue of [QUEUE.receive, QUEUE.transmit]) {
      this.#free[queue as 0 | 1] = Array.from({ length: QUEUE_SIZE }, (_, slot) => slot);
      this.#available[queue] = this.#seen[queue] = 0;
      const area = FIRST + queue * STRIDE;
      this.#u8.fill(0, area, area + AREA_OF.buffers);
    }
    this.setBus(true);
    this.#function.configWrite(PCI.MSIX, MSIX_ENABLE);
    for (const vector of Object.values(VECTOR)) {
      this.#function.barWrite(MSIX_BAR, vector * 16 + 8, vector, 4);
      this.mask(vector, false);
    }
    this.#common(0x14, 1, STATUS.acknowledge | STATUS.driver);
    this.#common(0x08, 4, 1);
    this.#common(0x0c, 4, 1);
    this.#common(0x14, 1, ON);
    this.#enableQueue(QUEUE.receive, VECTOR.receive);
    this.#enableQueue(QUEUE.transmit, VECTOR.transmit);
    this.#common(0x14, 1, ON | STATUS.driverOk);
    while (this.post());
  }

  #enableQueue(queue: number, vector: number): void {
    const area = FIRST + queue * STRIDE;
    this.#common(0x16, 2, queue);
    this.#common(0x18, 2, QUEUE_SIZE);
    this.#common(0x1a, 2, vector);
    this.#common(0x20, 4, area + AREA_OF.descriptors);
    this.#common(0x28, 4, area + AREA_OF.available);
    this.#common(0x30, 4, area + AREA_OF.used);
    this.#common(0x1c, 2, 1);
  }

  /** When it returns, the memory is the driver's again. */
  reset(): void {
    this.#common(0x14, 1, 0);
  }

  setBus(on: boolean): void {
    this.#function.configWrite(PCI.COMMAND, on ? COMMAND_MEMORY | COMMAND_MASTER : COMMAND_MEMORY);
  }

  mask(vector: number, on: boolean): void {
    this.#function.barWrite(MSIX_BAR, vector * 16 + 12, on ? 1 : 0, 4);
  }

  /** A register that changes nothing, under the device's lock as all are. */
  touchRegister(): void {
    this.#common(0x16, 2, this.#pick(2));
  }

  #common(offset: number, bytes: number, value: number): void {
    this.#function.barWrite(0, offset, value, bytes);
  }

  /** One more receive buffer. False: all are posted. */
  post(): boolean {
    const slot = this.#takeFree(QUEUE.receive);
    if (slot < 0) return false;
    this.#makeAvailable(QUEUE.receive, slot, BUFFER_BYTES, WRITE);
    return true;
  }

  get canSend(): boolean {
    return this.#free[QUEUE.transmit].length > 0;
  }

  /** Requests to send that did not come back. */
  get sending(): number {
    return QUEUE_SIZE - this.#free[QUEUE.transmit].length;
  }

  send(write: (into: Uint8Array) => number): void {
    const slot = this.#takeFree(QUEUE.transmit);
    const at = this.#bufferOf(QUEUE.transmit, slot);
    this.#u8.fill(0, at, at + NET_HEADER_BYTES);
    const length = write(this.#u8.subarray(at + NET_HEADER_BYTES, at + BUFFER_BYTES));
    this.#makeAvailable(QUEUE.transmit, slot, NET_HEADER_BYTES + length, 0);
  }

  /** Rings, unless the device said that it looks by itself. */
  kick(): void {
    if ((Atomics.load(this.#u16, this.#ringOf(QUEUE.transmit, AREA_OF.used)) & NO_NOTIFY) !== 0) return;
    this.#function.barWrite(0, AREA.notify + 4 * QUEUE.transmit, QUEUE.transmit, 4);
  }

  /** Takes back what the device gave back. Returns how many receive buffers. */
  poll(): number {
    this.#takeBack(QUEUE.transmit, () => {});
    return this.#takeBack(QUEUE.receive, (slot, length) => {
      const at = this.#bufferOf(QUEUE.receive, slot);
      this.onFrame(this.#u8.slice(at + NET_HEADER_BYTES, at + length));
    });
  }

  get hasBack(): boolean {
    return [QUEUE.receive, QUEUE.transmit].some((queue) => this.#usedIndex(queue) !== this.#seen[queue]);
  }

  wantInterrupts(on: boolean): void {
    for (const queue of [QUEUE.receive, QUEUE.transmit])
      Atomics.store(this.#u16, this.#ringOf(queue, AREA_OF.available), on ? 0 : NO_INTERRUPT);
  }

  /** Messages that came so far. */
  get messages(): number {
    return Atomics.load(this.#messages, MESSAGES.all);
  }

  /** Until one comes that was not counted in `seen`. */
  awaitMessage(seen: number, limitMs: number): void {
    Atomics.wait(this.#messages, MESSAGES.all, seen, limitMs);
  }

  /** Rings and buffers, as one number: to see whether anybody writes there. */
  scribble(value: number): void {
    this.#u8.fill(value, FIRST, FIRST + 2 * STRIDE);
  }

  isScribbled(value: number): boolean {
    return this.#u8.subarray(FIRST, FIRST + 2 * STRIDE).every((byte) => byte === value);
  }

  snapshot(): Uint8Array {
    return this.#u8.slice();
  }

  #takeFree(queue: 0 | 1): number {
    const free = this.#free[queue];
    return free.length === 0 ? -1 : free.splice(this.#pick(free.length), 1)[0]!;
  }

  #makeAvailable(queue: number, slot: number, bytes: number, flags: number): void {
    const area = FIRST + queue * STRIDE;
    const descriptor = area + AREA_OF.descriptors + 16 * slot;
    this.#view.setUint32(descriptor, this.#bufferOf(queue, slot), true);
    this.#view.setUint32(descriptor + 4, 0, true);
    this.#view.setUint32(descriptor + 8, bytes, true);
    this.#view.setUint16(descriptor + 12, flags, true);
    const ring = this.#ringOf(queue, AREA_OF.available);
    const index = this.#available[queue]!;
    this.#u16[ring + 2 + (index % QUEUE_SIZE)] = slot;
    this.#available[queue] = (index + 1) & 0xffff;
    Atomics.store(this.#u16, ring + 1, this.#available[queue]!);
  }

  #takeBack(queue: 0 | 1, take: (slot: number, length: number) => void): number {
    let taken = 0;
    for (; this.#seen[queue] !== this.#usedIndex(queue); taken++) {
      const entry = FIRST + queue * STRIDE + AREA_OF.used + 4 + 8 * (this.#seen[queue]! % QUEUE_SIZE);
      const slot = this.#view.getUint32(entry, true);
      if (this.#free[queue].includes(slot))
        throw new Error(`queue ${queue}: buffer ${slot} comes back twice`);
      take(slot, this.#view.getUint32(entry + 4, true));
      this.#free[queue].push(slot);
      this.#seen[queue] = (this.#seen[queue]! + 1) & 0xffff;
    }
    return taken;
  }

  #usedIndex(queue: number): number {
    return Atomics.load(this.#u16, this.#ringOf(queue, AREA_OF.used) + 1);
  }

  /** In 16-bit words. */
  #ringOf(queue: number, ring: number): number {
    return (FIRST + queue * STRIDE + ring) >> 1;
  }

  #bufferOf(queue: number, slot: number): number {
    return FIRST + queue * STRIDE + AREA_OF.buffers + slot * BUFFER_BYTES;
  }
}

/** Where a device's messages go, whoever sends them. */
export const messageSink = (messages: Int32Array) => ({
  deliver(_requester: number, _low: number, _high: number, vector: number): void {
    Atomics.add(messages, vector, 1);
    Atomics.add(messages, MESSAGES.all, 1);
    Atomics.notify(messages, MESSAGES.all);
  },
});
