/**
 * A guest image, a card, its PF driver and a cable in one thread: the guest's own imports drive everything else.
 *
 *   guest --- wait-for-interrupt, clock-ns --> engine.step(), mailbox service, peer's turn
 *         <-- interrupt lines, time ----------
 *
 * Time is made: it moves on when the guest waits and a little with every look at the clock, so runs repeat exactly.
 */
import { buildImage } from '../../src/guest/build-image.js';
import type { ImageBuild } from '../../src/guest/loaded-image.js';
import { createDomainHandle } from '../../src/hardware/iommu/domain.js';
import { DOMAIN_WORD, type DomainHandle } from '../../src/hardware/iommu/handle.js';
import { NicEngine } from '../../src/hardware/nic/engine.js';
import { PfBar } from '../../src/hardware/nic/pf-bar.js';
import { createNicHandle } from '../../src/hardware/nic/reset.js';
import { NicShared } from '../../src/hardware/nic/shared.js';
import { VfBar } from '../../src/hardware/nic/vf-bar.js';
import { ConfigSpace } from '../../src/hardware/pci/config-space.js';
import type { MsiSink } from '../../src/hardware/pci/msi.js';
import { PF_FUNCTION } from '../../src/hardware/pci/offsets.js';
import { createCable } from '../../src/hardware/wire/cable.js';
import type { Wire } from '../../src/hardware/wire/wire.js';
import { MailboxService } from '../../src/hypervisor/mailbox-service.js';
import { PfDriver } from '../../src/hypervisor/pf-driver.js';
import { MIN_RAM_BYTES } from '../../src/machine/layout.js';
import { instantiateRewritten, machineOf, type RewrittenRun } from '../guest/direct-run.js';

export const GUEST_RAM_BYTES = MIN_RAM_BYTES;
export const MSI_ADDRESS = 0xfee0_0000;
const SLOT = 1;
const VF = 0;
const NOTHING = 0xffff_ffff;
const CLOCK_READ_NS = 200;
const LONGEST_IDLE_STEP_NS = 20_000;

/** Longer than any test takes, in made time. */
const PATIENCE_NS = 60e9;

/** Ends the guest from inside one of its imports. */
class EndOfTest extends Error {}

/** Called whenever the guest waits or reads the clock; true ends the guest. */
export type PeerTurn = () => boolean;

export class LoneGuest {
  readonly shared = new NicShared(createNicHandle(2));
  readonly peerWire: Wire;
  readonly pf: PfDriver;
  readonly mailboxes: MailboxService;
  readonly memory: Uint8Array;
  readonly view: DataView;
  readonly domain: DomainHandle;
  console = '';
  timeNs = 1_000_000;
  /** Times that the guest blocked, and what ended it. */
  readonly waits = { interrupts: 0, timeouts: 0 };
  readonly #clock = { nowNs: () => this.timeNs };
  readonly #engine: NicEngine;
  readonly #run: RewrittenRun;
  readonly #vf: VfBar;
  readonly #config: ConfigSpace;
  readonly #hasVf: boolean;
  #lines = 0;
  #turn: PeerTurn = () => true;

  constructor(image: ImageBuild, commandLine: string, options: { mac?: string; hasVf?: boolean } = {}) {
    const msi: MsiSink = {
      deliver: (requester, addressLow, _addressHigh, data) => {
        if (requester === 1 + VF && addressLow >>> 0 === MSI_ADDRESS) this.#lines |= 1 << data;
      },
    };
    const { shared } = this;
    const clock = this.#clock;
    this.pf = new PfDriver(new PfBar(shared, msi, clock), new ConfigSpace(shared, PF_FUNCTION, msi, clock), {
      vfCount: 2,
      mac: '52:54:00:00:00:ff',
      maxFrameBytes: 1518,
      linkSpeedMbps: 10_000,
      msiAddress: MSI_ADDRESS,
    });
    this.pf.bringUp();
    if (options.mac !== undefined) this.pf.assignMac(VF, options.mac, true);
    this.mailboxes = new MailboxService(this.pf);
    this.#vf = new VfBar(shared, VF, msi, clock);
    this.#config = new ConfigSpace(shared, VF, msi, clock);
    this.#hasVf = options.hasVf ?? true;
    const [cardWire, peerWire] = createCable();
    this.peerWire = peerWire;
    this.#engine = new NicEngine({ shared, wire: cardWire, msi, clock });
    this.#run = instantiateRewritten(image, this.#machine(commandLine), () => {});
    const buffer = this.#run.memory.buffer as unknown as SharedArrayBuffer;
    this.memory = new Uint8Array(buffer);
    this.view = new DataView(buffer);
    this.domain = createDomainHandle(buffer, [
      { iovaStart: 0, memoryOffset: 0, bytes: GUEST_RAM_BYTES, writable: true },
    ]);
    this.#engine.attach(VF, this.domain);
  }

  /** Runs the guest until the turn says so. Returns its exit code, or null when it was ended. */
  run(turn: PeerTurn): number | null {
    this.#turn = turn;
    try {
      return this.#run.plain.run();
    } catch (error) {
      if (error instanceof EndOfTest) return null;
      throw error;
    }
  }

  /** A register of the VF's BAR0, as the guest would see it. */
  register(offset: number): number {
    return this.#vf.read32(0, offset);
  }

  get faults(): number {
    const words = new Int32Array(this.domain.control);
    return words[DOMAIN_WORD.readFaults]! + words[DOMAIN_WORD.writeFaults]!;
  }

  #machine(commandLine: string) {
    const line = new TextEncoder().encode(commandLine);
    const isVf = (slot: number) => this.#hasVf && slot === SLOT;
    return machineOf({
      'pci-read': (slot, offset) => (isVf(slot!) ? this.#config.read32(offset!) : NOTHING) | 0,
      'pci-write': (slot, offset, value) => {
        if (isVf(slot!)) this.#config.write32(offset!, value!);
        return undefined;
      },
      'bar-read': (slot, bar, offset) => (isVf(slot!) ? this.#vf.read32(bar!, offset!) : NOTHING) | 0,
      'bar-write': (slot, bar, offset, value) => {
        if (isVf(slot!)) this.#vf.write32(bar!, offset!, value! >>> 0);
        return undefined;
      },
      'wait-for-interrupt': (timeoutUs) => this.#wait(timeoutUs! >>> 0),
      'clock-ns': () => {
        this.timeNs += CLOCK_READ_NS;
        this.#others();
        return BigInt(Math.floor(this.timeNs));
      },
      'console-write': (byte) => {
        this.console += String.fromCharCode(byte!);
        return undefined;
      },
      'command-line': (index) => line[index! >>> 0] ?? -1,
    });
  }

  /** One turn of everything that is not the guest. */
  #others(): number {
    if (this.#turn()) throw new EndOfTest();
    if (this.timeNs > PATIENCE_NS)
      throw new Error(`the guest never got there; its console:\n${this.console}`);
    const work = this.#engine.step();
    this.mailboxes.service();
    return work;
  }

  #wait(timeoutUs: number): number {
    const untilNs = this.timeNs + timeoutUs * 1000;
    for (;;) {
      const work = this.#others();
      const lines = this.#lines;
      if (lines !== 0) {
        this.#lines = 0;
        this.waits.interrupts++;
        return lines;
      }
      if (this.timeNs >= untilNs) {
        this.waits.timeouts++;
        return 0;
      }
      this.timeNs = Math.min(untilNs, this.timeNs + (work === 0 ? LONGEST_IDLE_STEP_NS : CLOCK_READ_NS));
    }
  }
}

/** Builds a component as the machine would load it. */
export const buildForLoneGuest = (component: Uint8Array): Promise<ImageBuild> =>
  buildImage(component, GUEST_RAM_BYTES);
