/**
 * One network card of the host, as the main thread holds it: its shared memory, its engine's worker, its PF driver and
 * mailbox service, and who has which VF.
 *
 *   open -> allocateVf -> attach(domain, interrupts) -> ... -> release -> close
 */
import type { Clock, Random } from '../hardware/clock.js';
import type { DomainHandle } from '../hardware/iommu/handle.js';
import { sendMsix } from '../hardware/nic/msix.js';
import { PfBar } from '../hardware/nic/pf-bar.js';
import { createNicHandle, resetNic } from '../hardware/nic/reset.js';
import { MAX_VFS, type NicHandle, NicShared, PF_POOL, VECTORS_PER_VF } from '../hardware/nic/shared.js';
import { VfBar } from '../hardware/nic/vf-bar.js';
import { ConfigSpace } from '../hardware/pci/config-space.js';
import { PCI, PF_FUNCTION, requesterOf } from '../hardware/pci/offsets.js';
import { type EngineThread, type HostThreads, realThreads } from './host-threads.js';
import { InterruptRemap, type InterruptRoute, type InterruptTarget } from './interrupt-remap.js';
import { ZERO_MAC } from './mac.js';
import { MailboxService } from './mailbox-service.js';
import type { NicCoreStats, NicOwnCommand, WireSpec } from './nic-messages.js';
import { PfAnnouncer } from './pf-announcer.js';
import { PfDriver } from './pf-driver.js';
import { PfInterrupts } from './pf-interrupts.js';
import { type LinkPolicy, LONGEST_FRAME_BYTES, STANDARD_FRAME_BYTES } from './vf-record.js';
import { WorkerDialogue, type WorkerEnd } from './worker-dialogue.js';

export type { NicCoreStats, WireModule, WireSpec } from './nic-messages.js';

export interface NicOptions {
  /** 1..63; 63 when left out. */
  readonly vfCount?: number;
  readonly wire: WireSpec;
  /** 0 = unlimited; 10 000 when left out. */
  readonly linkSpeedMbps?: number;
  /** Longest frame with CRC; 1518 when left out, up to 9728 for a jumbo port. */
  readonly maxFrameBytes?: number;
  /** 2: frames of priority 4 and above reach the second receive queue of a VF (1). */
  readonly trafficClasses?: number;
  /** The card's engine, the PF driver's timers and the clock; a worker and the process's own unless a simulator has others. */
  readonly threads?: HostThreads;
  /** The worker died, and its VFs with it; or the PF driver failed at something. */
  readonly onFailure?: (error: NicError) => void;
  readonly onLink?: (up: boolean) => void;
}

/** A card that cannot be opened, has died, or has no VF left. */
export class NicError extends Error {
  override readonly name = 'NicError';
}

export interface VfAssignment {
  /** Fixed by the administrator; without it the PF makes one up, which the guest may change. */
  readonly mac?: string | undefined;
  /** No address yet: it will come with the guest's state. */
  readonly incoming?: boolean | undefined;
  readonly trusted?: boolean | undefined;
  readonly spoofCheck?: boolean | undefined;
  readonly portVlan?: number | undefined;
  readonly maxTxRateMbps?: number | undefined;
}

/** Where the host's own functions send their messages: in the range that interrupt remapping takes. */
export const MSI_ADDRESS = 0xfee0_0000;
const DEFAULT_SPEED_MBPS = 10_000;

export class Nic {
  readonly handle: NicHandle;
  readonly shared: NicShared;
  readonly clock: Clock;
  readonly threads: HostThreads;
  readonly driver: PfDriver;
  readonly mailboxes: MailboxService;
  readonly #msi: InterruptRemap;
  readonly #interrupts: PfInterrupts;
  readonly #announcer: PfAnnouncer;
  readonly #engine: EngineThread;
  readonly #dialogue: WorkerDialogue<NicOwnCommand, NicCoreStats, NicError>;
  readonly #taken = new Set<number>();
  #closing = false;

  /** @throws NicError when the wire cannot be opened */
  static async open(options: NicOptions): Promise<Nic> {
    const nic = new Nic(options);
    try {
      await nic.#start();
    } catch (error) {
      await nic.close();
      throw error;
    }
    return nic;
  }

  private constructor(options: NicOptions) {
    const vfCount = options.vfCount ?? MAX_VFS;
    const linkSpeedMbps = options.linkSpeedMbps ?? DEFAULT_SPEED_MBPS;
    const maxFrameBytes = options.maxFrameBytes ?? STANDARD_FRAME_BYTES;
    if (!(maxFrameBytes >= STANDARD_FRAME_BYTES && maxFrameBytes <= LONGEST_FRAME_BYTES)) {
      throw new NicError(
        `frames of ${maxFrameBytes} bytes: a port's longest is ${STANDARD_FRAME_BYTES} to ${LONGEST_FRAME_BYTES}`,
      );
    }
    const trafficClasses = options.trafficClasses ?? 1;
    if (trafficClasses !== 1 && trafficClasses !== 2) {
      throw new NicError(`${trafficClasses} traffic classes: a port has 1 or 2`);
    }
    this.threads = options.threads ?? realThreads;
    this.clock = this.threads.timers;
    this.handle = createNicHandle(vfCount);
    this.shared = new NicShared(this.handle, this.threads.wait);
    resetNic(this.shared, { vfCount, linkSpeedMbps });
    this.#msi = new InterruptRemap();
    const bar = new PfBar(this.shared, this.#msi, this.clock);
    const config = new ConfigSpace(this.shared, PF_FUNCTION, this.#msi, this.clock);
    this.driver = new PfDriver(bar, config, {
      vfCount,
      mac: randomMac(this.threads.random),
      maxFrameBytes,
      trafficClasses,
      linkSpeedMbps: linkSpeedMbps === 0 ? DEFAULT_SPEED_MBPS : linkSpeedMbps,
      msiAddress: MSI_ADDRESS,
    });
    this.mailboxes = new MailboxService(this.driver, this.threads.timers);
    this.#interrupts = new PfInterrupts(this.driver, this.mailboxes, this.threads, {
      onLink: (up) => options.onLink?.(up),
      onFault: (cause) =>
        options.onFailure?.(new NicError(`the PF driver failed: ${cause.message}`, { cause })),
    });
    this.#msi.map(this.hostRoute);
    this.#announcer = new PfAnnouncer(bar);
    this.driver.bringUp();
    this.#dialogue = new WorkerDialogue({
      post: (command) => this.#engine.post(command),
      errorOf,
      onFailure: (error) => {
        if (!this.#closing) options.onFailure?.(error);
      },
    });
    const data = { nic: this.handle, wire: options.wire, routes: [this.hostRoute] };
    this.#engine = this.threads.startEngine(data, this.#dialogue);
  }

  /** Where the PF's own messages go: every thread that accesses a VF of this card needs it. */
  get hostRoute(): InterruptRoute {
    return {
      requester: requesterOf(PF_FUNCTION),
      target: { kind: 'host', words: this.#interrupts.words, index: 0 },
    };
  }

  get linkUp(): boolean {
    return this.driver.linkUp;
  }

  get freeVfs(): number {
    return this.handle.vfCount - this.#taken.size;
  }

  // --- VFs ------------------------------------------------------------------------------------------------------------

  /** Takes a free VF and gives it its policy. @throws NicError when all are taken */
  allocateVf(assignment: VfAssignment = {}): number {
    let vf = 0;
    while (this.#taken.has(vf)) vf++;
    if (vf >= this.handle.vfCount) {
      throw new NicError(`no free VF: all ${this.handle.vfCount} of this card are taken`);
    }
    const { driver } = this;
    driver.forget(vf);
    if (assignment.mac !== undefined) driver.assignMac(vf, assignment.mac, true);
    else if (assignment.incoming !== true) driver.assignMac(vf, randomMac(this.threads.random), false);
    if (assignment.trusted !== undefined) driver.setTrust(vf, assignment.trusted);
    if (assignment.spoofCheck !== undefined) driver.setSpoofCheck(vf, assignment.spoofCheck);
    if (assignment.portVlan !== undefined) driver.setPortVlan(vf, assignment.portVlan);
    if (assignment.maxTxRateMbps !== undefined) driver.setMaxTxRate(vf, assignment.maxTxRateMbps);
    this.#taken.add(vf);
    return vf;
  }

  /** Gives a VF its IOMMU domain and sends its interrupts to `target`. When it resolves, DMA can begin. */
  async attach(vf: number, domain: DomainHandle, target: InterruptTarget): Promise<void> {
    const route: InterruptRoute = { requester: requesterOf(vf), target };
    this.#msi.map(route);
    await this.#dialogue.ask((id) => ({ kind: 'attach', id, pool: vf, domain, route }));
  }

  /** Takes a VF back: reset, detached, its policy forgotten. When it resolves, nothing of the VM's memory is touched. */
  async release(vf: number): Promise<void> {
    if (!this.#taken.has(vf)) return;
    await this.detach(vf);
    this.driver.forget(vf);
    this.#taken.delete(vf);
  }

  /** Undoes attach: the VF is reset and reaches no memory; it stays its VM's, and keeps what the administrator said of it. */
  async detach(vf: number): Promise<void> {
    // a function-level reset: queues off, interrupts masked, configuration space as new
    new ConfigSpace(this.shared, vf, this.#msi, this.clock).write32(PCI.PCIE_DEVCTL, 1 << 15);
    if (!this.#dialogue.hasFailed) {
      await this.#dialogue.ask((id) => ({ kind: 'detach', id, pool: vf, requester: requesterOf(vf) }));
    }
    this.#msi.unmap(requesterOf(vf));
    this.#interrupts.handle();
  }

  vfBar(vf: number): VfBar {
    return new VfBar(this.shared, vf, this.#msi, this.clock);
  }

  vfConfig(vf: number): ConfigSpace {
    return new ConfigSpace(this.shared, vf, this.#msi, this.clock);
  }

  /** Message `vector` of a VF's MSI-X table: sent, or pending while masked. */
  sendVfMessage(vf: number, vector: number): void {
    if (!(Number.isInteger(vector) && vector >= 0 && vector < VECTORS_PER_VF)) {
      throw new RangeError(`MSI-X vector ${vector}: a VF has vectors 0 to ${VECTORS_PER_VF - 1}`);
    }
    sendMsix(this.shared, this.#msi, vf, vector);
  }

  /** What the VF's driver was granted holds no more: it is told to reset its VF, and does so in its own time. */
  demandVfReset(vf: number): void {
    this.driver.vf(vf).clearToSend = false;
    this.mailboxes.ping(vf);
  }

  isTaken(vf: number): boolean {
    return this.#taken.has(vf);
  }

  /** Link policy of one VF; its guest is told. */
  setVfLink(vf: number, link: LinkPolicy): void {
    this.driver.setLink(vf, link);
    this.mailboxes.ping(vf);
  }

  /**
   * Asks a VF's driver something that the card's own protocol has no message for (types 0x60 to 0x6f). Resolves with the
   * words of its answer. @throws GuestSilentError when it does not answer
   */
  askVfDriver(vf: number, words: readonly number[], limitMs: number): Promise<readonly number[]> {
    const answer = this.mailboxes.ask(vf, words, limitMs);
    this.#interrupts.handle();
    return answer;
  }

  /** Has the card's mailboxes served now, without waiting for the PF's interrupt. */
  serviceMailboxes(): void {
    this.#interrupts.handle();
  }

  /** Tells the network where a VF's addresses are. False: the link has been down for long, nothing more fits. */
  announce(vf: number): boolean {
    const { mac, macvlans, vlans, portVlan } = this.driver.vf(vf);
    const addresses = [...new Set([mac, ...macvlans])].filter((each) => each !== ZERO_MAC);
    const tags = portVlan !== 0 ? [portVlan] : [...new Set([0, ...vlans])];
    let sent = true;
    for (const address of addresses) {
      for (const vlan of tags) sent = this.#announcer.announce(address, vlan) && sent;
    }
    return sent;
  }

  /** Tells the network that a station is behind this card. */
  announceAddress(mac: string): boolean {
    return this.#announcer.announce(mac, 0);
  }

  // --- worker ---------------------------------------------------------------------------------------------------------

  stats(): Promise<NicCoreStats> {
    return this.#dialogue.stats();
  }

  /** Ends the worker and closes the wire. Idempotent. VFs must have been released. */
  async close(): Promise<void> {
    this.#closing = true;
    this.#interrupts.stop();
    await this.#dialogue.stop();
  }

  async #start(): Promise<void> {
    await this.#dialogue.ready;
    await this.#dialogue.ask((id) => ({
      kind: 'attach',
      id,
      pool: PF_POOL,
      domain: this.#announcer.domain,
      route: null,
    }));
    this.#announcer.bringUp();
    this.#interrupts.start();
  }
}

function errorOf(end: WorkerEnd): NicError {
  switch (end.kind) {
    case 'failed':
      return new NicError(end.message);
    case 'died':
      return new NicError(`the NIC's worker died: ${end.cause.message}`, { cause: end.cause });
    case 'ended':
      return new NicError("the NIC's worker ended");
  }
}

/** Locally administered, so that it cannot be a real card's. */
export function randomMac(random: Random): string {
  const digits = [random.nextU32(), random.nextU32()]
    .map((word) => word.toString(16).padStart(8, '0'))
    .join('');
  return `52${digits.slice(0, 10)}`.replace(/..(?!$)/g, '$&:');
}
