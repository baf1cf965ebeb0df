/**
 * The driver domain of one card, as the main thread holds it: a worker that switches between the paravirtual devices of
 * this host's guests and the wire, which it reaches through a VF of its own.
 *
 *   open(nic) -> attach(device) -> setLogging, serve ... -> detach -> close        (before the card is closed)
 *
 * The PF driver lets the domain's VF receive the guests' addresses, one filter each.
 */
import { MessageChannel, type MessagePort, Worker } from 'node:worker_threads';
import type { TimerClock } from '../hardware/clock.js';
import { createDomainHandle } from '../hardware/iommu/domain.js';
import { COMMAND_MASTER, COMMAND_MEMORY, MSIX_ENABLE, PCI, requesterOf } from '../hardware/pci/offsets.js';
import { BELL_BYTES, ringBell, type VirtioNetHandle } from '../virtio/device-words.js';
import { FEATURE } from '../virtio/spec.js';
import { uplinkMemoryBytes } from '../virtio/vf-uplink.js';
import type {
  DriverDomainCommand,
  DriverDomainOwnCommand,
  DriverDomainReply,
  DriverDomainStats,
  DriverDomainWorkerData,
} from './driver-domain-messages.js';
import type { InterruptTarget } from './interrupt-remap.js';
import type { NetServer } from './net-server.js';
import { MSI_ADDRESS, type Nic, NicError } from './nic.js';
import { API, XCAST } from './vf-record.js';
import { WorkerDialogue, type WorkerEnd } from './worker-dialogue.js';

export type { DriverDomainStats } from './driver-domain-messages.js';

const CRC_BYTES = 4;

type Dialogue = WorkerDialogue<DriverDomainOwnCommand, DriverDomainStats, NicError>;

export class DriverDomain implements NetServer {
  readonly nic: Nic;
  /** Its own VF on the card. */
  readonly vf: number;
  readonly isDevice = false;
  readonly bell = new SharedArrayBuffer(BELL_BYTES);
  readonly #bell = new Int32Array(this.bell);
  /** The worker's; null before there is one. */
  #dialogue: Dialogue | null = null;
  #port: MessagePort | null = null;
  #lastDevice = 0;
  #closing: Promise<void> | null = null;

  /** @throws NicError when the card has no VF left, or its VF does not come up */
  static async open(nic: Nic): Promise<DriverDomain> {
    const domain = new DriverDomain(nic);
    try {
      await domain.#start();
    } catch (error) {
      await domain.close();
      throw error;
    }
    return domain;
  }

  private constructor(nic: Nic) {
    this.nic = nic;
    this.vf = nic.allocateVf({ trusted: true, spoofCheck: false });
  }

  /** The card cuts what goes to the wire, a guest on this host takes it whole. */
  readonly offloads = FEATURE.hostTso4 | FEATURE.guestTso4;

  /** Longest frame of the port, without its checksum. */
  get frameBytes(): number {
    return this.nic.driver.maxFrameBytes - CRC_BYTES;
  }

  /** Lets the wire's frames for `mac` come here. @throws FilterTableFullError */
  addAddress(mac: string): void {
    const record = this.nic.driver.vf(this.vf);
    if (!record.macvlans.includes(mac)) this.nic.driver.addMacvlan(record, mac);
  }

  removeAddress(mac: string): void {
    const { driver } = this.nic;
    const record = driver.vf(this.vf);
    if (!record.macvlans.includes(mac)) return;
    if (mac !== record.mac) driver.filters.removeAddress(mac, this.vf);
    record.macvlans = record.macvlans.filter((each) => each !== mac);
  }

  announceAddress(mac: string): void {
    this.nic.announceAddress(mac);
  }

  get timers(): TimerClock {
    return this.nic.threads.timers;
  }

  /** Returns the number to name the device by. */
  async attach(handle: VirtioNetHandle, target: InterruptTarget, serving: boolean): Promise<number> {
    const device = ++this.#lastDevice;
    await this.#worker.ask((id) => ({ kind: 'attach', id, device, handle, target, serving }));
    return device;
  }

  /** When it resolves, nothing of the guest's memory is touched any more. */
  async detach(device: number): Promise<void> {
    if (!this.#worker.hasFailed) await this.#worker.ask((id) => ({ kind: 'detach', id, device }));
  }

  /** Begins or ends to serve a device; between two turns, so that no frame is half done. */
  async serve(device: number, on: boolean): Promise<void> {
    await this.#worker.ask((id) => ({ kind: 'serve', id, device, on }));
  }

  /** Resolves when every turn from now on sees what was stored in shared words before. */
  async sync(): Promise<void> {
    await this.#worker.ask((id) => ({ kind: 'sync', id }));
  }

  stats(): Promise<DriverDomainStats> {
    return this.#worker.stats();
  }

  /** Ends the worker and gives its VF back. Idempotent. */
  close(): Promise<void> {
    this.#closing ??= this.#end();
    return this.#closing;
  }

  async #end(): Promise<void> {
    await this.#dialogue?.stop();
    this.#port?.close();
    await this.nic.release(this.vf);
  }

  async #start(): Promise<void> {
    const { nic, vf } = this;
    const memory = new SharedArrayBuffer(uplinkMemoryBytes(this.frameBytes));
    const domain = createDomainHandle(memory, [
      { iovaStart: 0, memoryOffset: 0, bytes: memory.byteLength, writable: true },
    ]);
    const route = {
      requester: requesterOf(vf),
      target: { kind: 'host', words: this.bell, index: 0 },
    } as const;
    await nic.attach(vf, domain, route.target);
    this.#admit();
    await this.#startWorker({
      nic: nic.handle,
      vf,
      routes: [nic.hostRoute, route],
      memory,
      bell: this.bell,
      frameBytes: this.frameBytes,
    });
  }

  /** What a guest's driver asks for over the mailbox, the host's own has from the PF driver directly. */
  #admit(): void {
    const { nic, vf } = this;
    const { driver } = nic;
    const config = nic.vfConfig(vf);
    config.write32(PCI.COMMAND, COMMAND_MEMORY | COMMAND_MASTER);
    config.write32(PCI.MSIX, config.read32(PCI.MSIX) | MSIX_ENABLE);
    const bar = nic.vfBar(vf);
    bar.write32(3, 0, MSI_ADDRESS);
    bar.write32(3, 4, 0);
    bar.write32(3, 8, 0);
    bar.write32(3, 12, 0);
    const record = driver.vf(vf);
    driver.admit(record);
    record.apiVersion = API.v11;
    driver.setMaxFrame(record, driver.maxFrameBytes);
    driver.setXcastMode(record, XCAST.allmulti);
  }

  async #startWorker(data: Omit<DriverDomainWorkerData, 'port'>): Promise<void> {
    const { port1, port2 } = new MessageChannel();
    const dialogue: Dialogue = new WorkerDialogue({
      post: (command) => {
        port1.postMessage(command satisfies DriverDomainCommand);
        ringBell(this.#bell);
      },
      errorOf,
    });
    this.#port = port1;
    port1.on('message', (reply: DriverDomainReply) => dialogue.onReply(reply));
    const worker = new Worker(new URL('./driver-domain-core.js', import.meta.url), {
      workerData: { ...data, port: port2 } satisfies DriverDomainWorkerData,
      transferList: [port2],
      name: 'driver domain',
    });
    worker.on('error', (cause) => dialogue.onError(cause));
    worker.once('exit', () => dialogue.onExit());
    this.#dialogue = dialogue;
    await dialogue.ready;
  }

  /** There is one from open() on. */
  get #worker(): Dialogue {
    return this.#dialogue!;
  }
}

function errorOf(end: WorkerEnd): NicError {
  switch (end.kind) {
    case 'failed':
      return new NicError(`the driver domain failed: ${end.message}`);
    case 'died':
      return new NicError(`the driver domain's worker died: ${end.cause.message}`, { cause: end.cause });
    case 'ended':
      return new NicError("the driver domain's worker ended");
  }
}
