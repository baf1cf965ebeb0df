/**
 * virtio-console with one port: hvc0.
 *
 *   queue 0: buffers for what comes in     queue 1: what the guest sends
 */
import type { GuestRam } from '../guest-ram.js';
import { StateFields } from '../state-fields.js';
import { type VirtioModel, VirtioPci, type VirtioPorts } from './pci-transport.js';

const VERSION = 1;
const RECEIVE = 0;
const SEND = 1;
/** What the guest has no buffer for yet; more is refused. */
const WAITING_BYTES = 4096;
const TYPE_CONSOLE = 3;

export class VirtioConsole implements VirtioModel {
  readonly name = 'virtio console';
  readonly type = TYPE_CONSOLE;
  readonly classCode = 0x07_80_00;
  readonly queues = 2;
  readonly features = 0;
  readonly config = new Uint8Array(12);
  readonly pci: VirtioPci;
  readonly #ram: GuestRam;
  readonly #send: (bytes: Uint8Array) => void;
  #waiting = new Uint8Array(0);

  /** @param send what the guest wrote */
  constructor(ports: VirtioPorts, send: (bytes: Uint8Array) => void) {
    this.#ram = ports.ram;
    this.#send = send;
    this.pci = new VirtioPci(this, ports);
  }

  notified(queue: number, device: VirtioPci): void {
    if (queue === RECEIVE) {
      this.#deliver();
      return;
    }
    const sending = device.queues[SEND]!;
    for (let chain = sending.take(); chain !== null; chain = sending.take()) {
      for (const { address, bytes, writable } of chain.segments) {
        if (!writable) this.#send(this.#ram.read(address, bytes));
      }
      sending.giveBack(chain, 0);
    }
    device.interrupt(sending);
  }

  /** Bytes from outside; returns how many there was room for. */
  receive(bytes: Uint8Array): number {
    const fits = Math.min(bytes.length, WAITING_BYTES - this.#waiting.length);
    this.#waiting = Buffer.concat([this.#waiting, bytes.subarray(0, fits)]);
    if (this.pci.isReady) this.pci.work(() => this.#deliver());
    return fits;
  }

  reset(): void {
    this.#waiting = new Uint8Array(0);
  }

  save() {
    return { version: VERSION, waiting: this.#waiting, pci: this.pci.save() };
  }

  restore(value: unknown): void {
    const fields = new StateFields(this.name, value, VERSION);
    this.#waiting = fields.bytes('waiting', WAITING_BYTES) as Uint8Array<ArrayBuffer>;
    this.pci.restore(fields.part('pci'));
  }

  #deliver(): void {
    const receiving = this.pci.queues[RECEIVE]!;
    let filled = false;
    while (this.#waiting.length > 0) {
      const chain = receiving.take();
      if (chain === null) break;
      let written = 0;
      for (const { address, bytes, writable } of chain.segments) {
        if (!writable) continue;
        const part = this.#waiting.subarray(0, bytes);
        this.#ram.write(address, part);
        this.#waiting = this.#waiting.slice(part.length);
        written += part.length;
      }
      receiving.giveBack(chain, written);
      filled = true;
    }
    if (filled) this.pci.interrupt(receiving);
  }
}
