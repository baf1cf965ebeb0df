/**
 * virtio-rng: fills the guest's buffers with random bytes.
 */
import type { GuestRam } from '../guest-ram.js';
import { type VirtioModel, VirtioPci, type VirtioPorts } from './pci-transport.js';

const TYPE_ENTROPY = 4;
/** A guest that asks for more in one buffer gets this much of it. */
const MOST_BYTES = 4096;

export class VirtioRng implements VirtioModel {
  readonly name = 'virtio entropy source';
  readonly type = TYPE_ENTROPY;
  readonly classCode = 0x00_ff_00;
  readonly queues = 1;
  readonly features = 0;
  readonly config = new Uint8Array(0);
  readonly pci: VirtioPci;
  readonly #ram: GuestRam;
  readonly #fill: (bytes: Uint8Array) => void;

  /** @param fill with random bytes */
  constructor(ports: VirtioPorts, fill: (bytes: Uint8Array) => void) {
    this.#ram = ports.ram;
    this.#fill = fill;
    this.pci = new VirtioPci(this, ports);
  }

  notified(_queue: number, device: VirtioPci): void {
    const requests = device.queues[0]!;
    for (let chain = requests.take(); chain !== null; chain = requests.take()) {
      const buffer = chain.segments.find(({ writable }) => writable);
      const bytes = new Uint8Array(Math.min(buffer?.bytes ?? 0, MOST_BYTES));
      if (buffer !== undefined) {
        this.#fill(bytes);
        this.#ram.write(buffer.address, bytes);
      }
      requests.giveBack(chain, bytes.length);
    }
    device.interrupt(requests);
  }

  reset(): void {}

  save() {
    return this.pci.save();
  }

  restore(value: unknown): void {
    this.pci.restore(value);
  }
}
