/**
 * A guest image on the bench, in one thread and virtual time: its core module as built, a real card behind it (register
 * model, DMA engine, PF driver), and a test script at the other end of the cable.
 *
 *   guest --import--> wait-for-interrupt / clock-ns --> PF driver, engine, script take their turns --> time goes on
 *
 * The guest calls out, never back: so the script is a generator that is resumed inside the guest's calls, and yields
 * what it waits for. When the script ends, the guest is abandoned where it stands.
 */
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Clock } from '../../src/hardware/clock.js';
import { createDomainHandle } from '../../src/hardware/iommu/domain.js';
import { DOMAIN_WORD } from '../../src/hardware/iommu/handle.js';
import { NicEngine } from '../../src/hardware/nic/engine.js';
import { PfBar } from '../../src/hardware/nic/pf-bar.js';
import { createNicHandle, resetNic } from '../../src/hardware/nic/reset.js';
import { NicShared } from '../../src/hardware/nic/shared.js';
import { VfBar } from '../../src/hardware/nic/vf-bar.js';
import { ConfigSpace } from '../../src/hardware/pci/config-space.js';
import type { MsiSink } from '../../src/hardware/pci/msi.js';
import { PF_FUNCTION } from '../../src/hardware/pci/offsets.js';
import type { Wire } from '../../src/hardware/wire/wire.js';
import { MailboxService } from '../../src/hypervisor/mailbox-service.js';
import { PfDriver } from '../../src/hypervisor/pf-driver.js';

export const GUEST_MAC = '52:54:00:00:00:01';
export const VF_SLOT = 1;
const IMAGES = join(dirname(fileURLToPath(import.meta.url)), '../../../guest-images');
const NOTHING_THERE = 0xffffffff;
const RAM_BYTES = 32 * 1024 * 1024;
/** Virtual time that looking at the clock takes. */
const CLOCK_READ_NS = 100;
/** How often card and PF driver get a turn while the guest only looks at the clock. */
const TURN_NS = 2000;
const TURNS_A_WAIT = 8;

/** One access of the guest to the VF, for tests that check the order of things. */
export interface Access {
  readonly kind: 'read' | 'write';
  readonly register: number;
  readonly value: number;
}

export interface MachineOptions {
  readonly commandLine?: string;
  readonly ramBytes?: number;
  /** Longest frame of the port with CRC. */
  readonly maxFrameBytes?: number;
  /** False: the slot is empty. */
  readonly vf?: boolean;
  /** Keeps every BAR0 access. */
  readonly trace?: boolean;
  /** What the guest calls in place of an import: for measuring. */
  readonly around?: (call: Import) => Import;
}

export type Import = (...values: number[]) => number | bigint | undefined;

/** Thrown through the guest when the script is over. */
class ScriptEnded extends Error {}

/** Waits until it returns true. */
export type Condition = () => boolean;
export type Script = Generator<Condition, void, void>;

export class GuestMachine {
  timeNs = 1e9;
  console = '';
  readonly trace: Access[] = [];
  readonly clock: Clock = { nowNs: () => this.timeNs };
  readonly shared = new NicShared(createNicHandle(2));
  readonly engine: NicEngine;
  readonly vf: VfBar;
  readonly pf: PfDriver;
  readonly mailboxes: MailboxService;
  readonly config: ConfigSpace;
  readonly truth: Uint8Array;
  readonly domainControl: Int32Array;
  readonly memory: Uint8Array;
  /** False: the VF is unplugged. */
  plugged: boolean;
  readonly #exports: { run(): number };
  readonly #commandLine: string;
  readonly #traced: boolean;
  #pendingLines = 0;
  #pfAttention = false;
  #lastTurnNs = 0;
  #script: Script | null = null;
  #condition: Condition = () => true;
  #deadlineNs = Infinity;
  #inScript = false;

  constructor(image: string, wire: Wire, options: MachineOptions = {}) {
    this.#commandLine = options.commandLine ?? '';
    this.#traced = options.trace === true;
    this.plugged = options.vf !== false;
    const msi: MsiSink = {
      deliver: (requester, _low, _high, data) => {
        if (requester === 0) this.#pfAttention = true;
        else this.#pendingLines |= 1 << data;
      },
    };
    const { shared, clock } = this;
    resetNic(shared, { vfCount: 2, linkSpeedMbps: 0 });
    this.vf = new VfBar(shared, 0, msi, clock);
    this.config = new ConfigSpace(shared, 0, msi, clock);
    this.pf = new PfDriver(new PfBar(shared, msi, clock), new ConfigSpace(shared, PF_FUNCTION, msi, clock), {
      vfCount: 2,
      mac: '52:54:00:00:ff:01',
      maxFrameBytes: options.maxFrameBytes ?? 1518,
      linkSpeedMbps: 10_000,
      msiAddress: 0xfee0_0000,
    });
    this.mailboxes = new MailboxService(this.pf);
    this.engine = new NicEngine({ shared, wire, msi, clock });
    this.engine.step();
    this.pf.bringUp();
    this.pf.assignMac(0, GUEST_MAC, false);

    const core = new WebAssembly.Module(readFileSync(join(IMAGES, image, `build/${image}.core.wasm`)));
    const around = options.around ?? ((call) => call);
    const imports = Object.entries(this.#imports()).map(([name, call]) => [name, around(call)]);
    const instance = new WebAssembly.Instance(core, {
      'srvm:guest/machine@0.1.0': Object.fromEntries(imports),
    });
    const exports = instance.exports as unknown as { run(): number; memory: WebAssembly.Memory };
    this.#exports = exports;
    // all of the RAM at once: the buffer must stay the one that the card writes to
    const ramBytes = options.ramBytes ?? RAM_BYTES;
    exports.memory.grow(ramBytes / 65536 - exports.memory.buffer.byteLength / 65536);
    const buffer = exports.memory.buffer as unknown as SharedArrayBuffer;
    this.memory = new Uint8Array(buffer);
    const domain = createDomainHandle(buffer, [
      { iovaStart: 0, memoryOffset: 0, bytes: ramBytes, writable: true },
    ]);
    this.truth = new Uint8Array(domain.truth);
    this.domainControl = new Int32Array(domain.control);
    this.engine.attach(0, domain);
  }

  get dmaFaults(): number {
    return this.domainControl[DOMAIN_WORD.readFaults]! + this.domainControl[DOMAIN_WORD.writeFaults]!;
  }

  /** Runs the guest until the script has ended. */
  run(script: Script): void {
    this.#script = script;
    try {
      this.#exports.run();
      throw new Error(`the guest returned; console:\n${this.console}`);
    } catch (error) {
      if (!(error instanceof ScriptEnded)) throw error;
    }
  }

  /** For scripts: `yield* machine.until(() => ...)`; fails when it takes more than `limitMs` of virtual time. */
  *until(condition: Condition, what: string, limitMs = 20_000): Script {
    this.#deadlineNs = this.timeNs + limitMs * 1e6;
    let met = false;
    yield () => {
      met = condition();
      return met || this.timeNs >= this.#deadlineNs;
    };
    if (!met) throw new Error(`not within ${limitMs} ms: ${what}; console:\n${this.console}`);
    this.#deadlineNs = Infinity;
  }

  *sleepMs(ms: number): Script {
    const untilNs = this.timeNs + ms * 1e6;
    yield () => this.timeNs >= untilNs;
  }

  /** Everything but the guest takes a turn. Returns how much the card had to do. */
  turn(): number {
    if (this.#pfAttention) {
      this.#pfAttention = false;
      this.mailboxes.service();
    }
    const work = this.engine.step();
    this.#lastTurnNs = this.timeNs;
    this.#resume();
    return work;
  }

  #resume(): void {
    // the script itself may look at the card
    if (this.#inScript || this.#script === null) return;
    this.#inScript = true;
    try {
      while (this.#condition()) {
        const next = this.#script.next();
        if (next.done) throw new ScriptEnded();
        this.#condition = next.value;
      }
    } finally {
      this.#inScript = false;
    }
  }

  #imports(): Record<string, Import> {
    return {
      'pci-read': (slot, offset) => (this.#answers(slot!) ? this.config.read32(offset!) : NOTHING_THERE),
      'pci-write': (slot, offset, value) => {
        if (this.#answers(slot!)) this.config.write32(offset!, value!);
        return undefined;
      },
      'bar-read': (slot, bar, offset) => this.#barRead(slot!, bar!, offset!),
      'bar-write': (slot, bar, offset, value) => this.#barWrite(slot!, bar!, offset!, value!),
      'wait-for-interrupt': (timeoutUs) => this.#wait(timeoutUs! >>> 0),
      'clock-ns': () => this.#readClock(),
      'console-write': (byte) => {
        this.console += String.fromCharCode(byte!);
        return undefined;
      },
      'command-line': (index) =>
        index! < this.#commandLine.length ? this.#commandLine.charCodeAt(index!) : -1,
    };
  }

  #answers(slot: number): boolean {
    return this.plugged && slot === VF_SLOT;
  }

  #barRead(slot: number, bar: number, offset: number): number {
    if (!this.#answers(slot)) return NOTHING_THERE;
    const value = this.vf.read32(bar as 0 | 3, offset);
    if (this.#traced && bar === 0) this.trace.push({ kind: 'read', register: offset, value });
    return value;
  }

  #barWrite(slot: number, bar: number, offset: number, value: number): undefined {
    if (!this.#answers(slot)) return;
    if (this.#traced && bar === 0) this.trace.push({ kind: 'write', register: offset, value: value >>> 0 });
    this.vf.write32(bar as 0 | 3, offset, value);
  }

  #readClock(): bigint {
    this.timeNs += CLOCK_READ_NS;
    if (this.timeNs - this.#lastTurnNs >= TURN_NS) this.turn();
    return BigInt(this.timeNs);
  }

  #wait(timeoutUs: number): number {
    const untilNs = timeoutUs === 0xffffffff ? Infinity : this.timeNs + timeoutUs * 1000;
    // a wire that always has more would keep the card busy for ever
    for (let turns = timeoutUs === 0 ? 1 : TURNS_A_WAIT; turns > 0 && this.#pendingLines === 0; turns--) {
      if (this.turn() === 0) break;
    }
    while (this.#pendingLines === 0 && this.timeNs < untilNs) {
      const due = Math.min(untilNs, this.engine.nextDueNs(), this.timeNs + 20_000);
      this.timeNs = Math.max(this.timeNs + 1000, due);
      this.turn();
    }
    const lines = this.#pendingLines;
    this.#pendingLines = 0;
    return lines;
  }
}
