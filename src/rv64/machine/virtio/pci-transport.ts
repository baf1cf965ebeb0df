/**
 * A virtio 1.x device as a PCI function, its structures in BAR 0, its MSI-X table in BAR 2:
 *
 *   BAR 0   0x0000 common configuration | 0x1000 ISR | 0x2000 device configuration | 0x3000 notify, 4 bytes a queue
 */
import { MSIX_ENABLE, MSIX_FUNCTION_MASK, PCI } from '../../../hardware/pci/offsets.js';
import type { GuestRam } from '../guest-ram.js';
import { MSIX_BAR_BYTES, MsixTable, NO_VECTOR, PBA_OFFSET, type SendMessage } from '../msix.js';
import { type ConfigDword, FIRST_CAPABILITY, PciConfig } from '../pci-config.js';
import type { PciBar, PciFunction } from '../pci-function.js';
import { StateFields } from '../state-fields.js';
import { QueueError, queueSize, VirtQueue } from './queue.js';

const VERSION = 1;
const VENDOR_VIRTIO = 0x1af4;
const FIRST_DEVICE_ID = 0x1040;
const BAR0_BYTES = 0x4000;
const AREA = { common: 0x0000, isr: 0x1000, device: 0x2000, notify: 0x3000 } as const;
const CAPABILITY_TYPE = { common: 1, notify: 2, isr: 3, device: 4 } as const;
const NOTIFY_STRIDE = 4;
const MSIX_AT = FIRST_CAPABILITY;
const BUS_MASTER = 1 << 2;
export const STATUS = { driverOk: 4, needsReset: 64 } as const;
/** The high word of the only feature that every device here has: VIRTIO_F_VERSION_1. */
const VERSION_1_HIGH = 1;
const CONFIG_VECTOR = 0x10;
const QUEUE_VECTOR = 0x1a;

/** What makes a device this device. */
export interface VirtioModel {
  readonly name: string;
  /** Virtio device type: 3 console, 4 entropy. */
  readonly type: number;
  readonly classCode: number;
  readonly queues: number;
  /** Device-specific features, low word. */
  readonly features: number;
  /** Device configuration, as little-endian bytes. */
  readonly config: Uint8Array;
  /** The guest rang a queue. @throws QueueError */
  notified(queue: number, device: VirtioPci): void;
  /** Back to power-on. */
  reset(): void;
}

export interface VirtioPorts {
  readonly ram: GuestRam;
  readonly sendMessage: SendMessage;
}

const BARS: readonly PciBar[] = [
  { index: 0, bytes: BAR0_BYTES },
  { index: 2, bytes: MSIX_BAR_BYTES },
];

/** MSI-X and the four structures of virtio, one behind the other. */
function capabilities(vectors: number): ConfigDword[] {
  const structures = [
    { type: CAPABILITY_TYPE.common, area: AREA.common, extra: [] },
    { type: CAPABILITY_TYPE.isr, area: AREA.isr, extra: [] },
    { type: CAPABILITY_TYPE.device, area: AREA.device, extra: [] },
    { type: CAPABILITY_TYPE.notify, area: AREA.notify, extra: [NOTIFY_STRIDE] },
  ];
  const dwords: ConfigDword[] = [
    [MSIX_AT, 0x11 | ((MSIX_AT + 12) << 8) | ((vectors - 1) << 16), MSIX_ENABLE | MSIX_FUNCTION_MASK],
    [MSIX_AT + 4, 2, 0],
    [MSIX_AT + 8, PBA_OFFSET | 2, 0],
  ];
  let at = MSIX_AT + 12;
  for (const [index, { type, area, extra }] of structures.entries()) {
    const bytes = 16 + 4 * extra.length;
    const next = index + 1 < structures.length ? at + bytes : 0;
    dwords.push(
      [at, 0x09 | (next << 8) | (bytes << 16) | (type << 24), 0],
      [at + 4, 0, 0],
      [at + 8, area, 0],
      [at + 12, 0x1000, 0],
      ...extra.map((value, i): ConfigDword => [at + 16 + 4 * i, value, 0]),
    );
    at += bytes;
  }
  return dwords;
}

export class VirtioPci implements PciFunction {
  readonly bars = BARS;
  readonly queues: readonly VirtQueue[];
  readonly #model: VirtioModel;
  readonly #config: PciConfig;
  readonly #msix: MsixTable;
  #status = 0;
  #isr = 0;
  #configVector = NO_VECTOR;
  #featureSelect = 0;
  #driverFeatureSelect = 0;
  #driverFeatures = [0, 0];
  #queueSelect = 0;

  constructor(model: VirtioModel, { ram, sendMessage }: VirtioPorts) {
    this.#model = model;
    // one vector for the configuration and one a queue
    const vectors = model.queues + 1;
    this.queues = Array.from({ length: model.queues }, () => new VirtQueue(ram));
    this.#config = new PciConfig({
      vendor: VENDOR_VIRTIO,
      device: FIRST_DEVICE_ID + model.type,
      subsystem: FIRST_DEVICE_ID + model.type,
      classCode: model.classCode,
      revision: 1,
      bars: BARS,
      capabilities: capabilities(vectors),
    });
    this.#msix = new MsixTable(vectors, sendMessage, () => {
      const control = this.#config.read(MSIX_AT);
      const master = (this.#config.read(PCI.COMMAND) & BUS_MASTER) !== 0;
      return master && (control & MSIX_ENABLE) !== 0 && (control & MSIX_FUNCTION_MASK) === 0;
    });
  }

  /** The guest's driver has set the device up. */
  get isReady(): boolean {
    return (this.#status & STATUS.driverOk) !== 0;
  }

  /** Tells the guest that a queue has something for it. */
  interrupt(queue: VirtQueue): void {
    if (!queue.wantsInterrupt) return;
    this.#isr |= 1;
    this.#msix.raise(queue.vector);
  }

  /** Runs the device's work; rings that make no sense stop it until the guest resets it. */
  work(act: () => void): void {
    if ((this.#status & STATUS.needsReset) !== 0) return;
    try {
      act();
    } catch (error) {
      if (!(error instanceof QueueError)) throw error;
      this.#status |= STATUS.needsReset;
      this.#isr |= 2;
      this.#msix.raise(this.#configVector);
    }
  }

  configRead(offset: number): number {
    return this.#config.read(offset);
  }

  configWrite(offset: number, value: number): void {
    this.#config.write(offset, value);
    this.#msix.flush();
  }

  barRead(bar: number, offset: number, size: number): number {
    if (bar === 2) return this.#msix.read(offset);
    if (offset >= AREA.notify) return 0;
    if (offset >= AREA.device) return this.#deviceConfig(offset - AREA.device, size);
    if (offset >= AREA.isr) {
      const isr = this.#isr;
      this.#isr = 0;
      return isr;
    }
    return this.#commonRead(offset);
  }

  barWrite(bar: number, offset: number, _size: number, value: number): void {
    if (bar === 2) this.#msix.write(offset, value);
    else if (offset >= AREA.notify) this.#notify((offset - AREA.notify) / NOTIFY_STRIDE);
    else if (offset < AREA.isr) this.#commonWrite(offset, value);
  }

  save() {
    return {
      version: VERSION,
      config: this.#config.save(),
      msix: this.#msix.save(),
      queues: this.queues.map((queue) => queue.save()),
      status: this.#status,
      isr: this.#isr,
      configVector: this.#configVector,
      featureSelect: this.#featureSelect,
      driverFeatureSelect: this.#driverFeatureSelect,
      driverFeatures: [...this.#driverFeatures],
      queueSelect: this.#queueSelect,
    };
  }

  restore(value: unknown): void {
    const { name } = this.#model;
    const fields = new StateFields(name, value, VERSION);
    const queues = fields.list('queues', this.queues.length);
    this.#config.restore(name, fields.part('config'));
    this.#msix.restore(name, fields.part('msix'));
    for (const [index, queue] of this.queues.entries()) queue.restore(name, queues[index]);
    this.#status = fields.byte('status');
    this.#isr = fields.integer('isr', 0, 3);
    this.#configVector = fields.integer('configVector', 0, NO_VECTOR);
    this.#featureSelect = fields.word('featureSelect');
    this.#driverFeatureSelect = fields.word('driverFeatureSelect');
    this.#driverFeatures = fields.words('driverFeatures', 2);
    this.#queueSelect = fields.integer('queueSelect', 0, 0xffff);
  }

  #notify(index: number): void {
    if (this.#model.queues <= index || !this.isReady) return;
    this.work(() => this.#model.notified(index, this));
  }

  #deviceConfig(offset: number, size: number): number {
    let value = 0;
    for (let i = size - 1; i >= 0; i--) value = value * 256 + (this.#model.config[offset + i] ?? 0);
    return value;
  }

  #commonRead(offset: number): number {
    const queue = this.queues[this.#queueSelect];
    switch (offset) {
      case 0x00:
        return this.#featureSelect;
      case 0x04:
        return [this.#model.features, VERSION_1_HIGH][this.#featureSelect] ?? 0;
      case 0x08:
        return this.#driverFeatureSelect;
      case 0x0c:
        return this.#driverFeatures[this.#driverFeatureSelect] ?? 0;
      case CONFIG_VECTOR:
        return this.#configVector;
      case 0x12:
        return this.#model.queues;
      case 0x14:
        return this.#status;
      case 0x16:
        return this.#queueSelect;
      case 0x18:
        return queue?.size ?? 0;
      case QUEUE_VECTOR:
        return queue?.vector ?? NO_VECTOR;
      case 0x1c:
        return Number(queue?.enabled ?? false);
      case 0x1e:
        return this.#queueSelect;
      default:
        return queue === undefined ? 0 : this.#addressRead(queue, offset);
    }
  }

  #addressRead(queue: VirtQueue, offset: number): number {
    const address = [queue.descriptors, queue.available, queue.used][(offset - 0x20) >> 3];
    if (address === undefined) return 0;
    return (offset & 4) === 0 ? address % 2 ** 32 : Math.floor(address / 2 ** 32);
  }

  #commonWrite(offset: number, value: number): void {
    const queue = this.queues[this.#queueSelect];
    switch (offset) {
      case 0x00:
        this.#featureSelect = value;
        return;
      case 0x08:
        this.#driverFeatureSelect = value;
        return;
      case 0x0c:
        if (this.#driverFeatureSelect < 2) this.#driverFeatures[this.#driverFeatureSelect] = value;
        return;
      case CONFIG_VECTOR:
        this.#configVector = this.#vectorOr(value);
        return;
      case 0x14:
        if (value === 0) this.#reset();
        else this.#status = value & 0xff;
        return;
      case 0x16:
        this.#queueSelect = value & 0xffff;
        return;
      case 0x18:
        if (queue !== undefined) queue.size = queueSize(value);
        return;
      case QUEUE_VECTOR:
        if (queue !== undefined) queue.vector = this.#vectorOr(value);
        return;
      case 0x1c:
        if (queue !== undefined && value === 1) queue.enabled = true;
        return;
      default:
        if (queue !== undefined) addressWrite(queue, offset, value);
    }
  }

  #vectorOr(value: number): number {
    return value < this.#msix.vectors ? value : NO_VECTOR;
  }

  #reset(): void {
    this.#status = this.#isr = 0;
    this.#configVector = NO_VECTOR;
    this.#featureSelect = this.#driverFeatureSelect = this.#queueSelect = 0;
    this.#driverFeatures = [0, 0];
    for (const queue of this.queues) queue.reset();
    this.#model.reset();
  }
}

const QUEUE_ADDRESSES = ['descriptors', 'available', 'used'] as const;

/** Half of a 64-bit address. More than 53 bits are outside RAM in any case. */
function addressWrite(queue: VirtQueue, offset: number, value: number): void {
  const field = QUEUE_ADDRESSES[(offset - 0x20) >> 3];
  if (field === undefined || offset < 0x20) return;
  const old = queue[field];
  queue[field] =
    (offset & 4) === 0
      ? Math.floor(old / 2 ** 32) * 2 ** 32 + value
      : (value & 0x1f_ffff) * 2 ** 32 + (old % 2 ** 32);
}
