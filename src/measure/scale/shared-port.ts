/**
 * Many guests, a VF each, on one port: what they get together, how evenly, and what each costs.
 *
 *     NIC's thread:  generator -> 10 Gb/s port -> switch -> VF 0 .. VF n-1
 *     n vCPUs:       packet-sink, which verifies every packet
 *
 * All guests are booted once, and get traffic until their code is compiled for good: each vCPU's thread has a runtime of its
 * own, which compiles what it finds hot, and sixty compilers at work are no part of what a port carries. Then the generator
 * sends to the first one, to ten, to all, in turn, so that one guest alone and many together are measured within seconds
 * of one another.
 *
 * A card of silicon does not wait until a guest has had its turn on a core. So one guest alone and all together are measured
 * once more in each round with the card's thread before the vCPUs', where the process may ask for that.
 */
import { setPriority } from 'node:os';
import type { LoadedImage } from '../../guest/loaded-image.js';
import { GeneratorControl } from '../../hardware/wire/generator-wire.js';
import type { ItrPolicy } from '../../hypervisor/coalescing.js';
import { Nic } from '../../hypervisor/nic.js';
import { VirtualMachine } from '../../hypervisor/vm.js';
import { coreOf, listThreads } from '../threads.js';

export interface SharedPortOptions {
  /** packet-sink, of 16 MiB. */
  readonly image: LoadedImage;
  /** How many guests get traffic, point by point; the largest is how many are booted. */
  readonly guests: readonly number[];
  readonly rounds: number;
  readonly windowMs: number;
  /** The port's speed; 10 Gb/s when left out. */
  readonly linkMbps?: number;
  readonly frameBytes?: number;
  /** Frames a second for all guests together; as many as the port takes when left out. */
  readonly framesPerS?: number;
  /** Who sets the VFs' interrupt intervals; their drivers when left out. */
  readonly itr?: ItrPolicy;
}

export interface SharedPortSample {
  readonly guests: number;
  /** Received by all guests, without Ethernet's own overhead on the wire. */
  readonly gbps: number;
  /** Jain's index of what each guest received: 1 when all are equal, 1/n when one has it all. */
  readonly fairness: number;
  /** Cores' worth of CPU that the process took. */
  readonly cores: number;
  /** Of that: the share of the runtime's compilers and collectors. */
  readonly runtimeShare: number;
}

export interface CardAheadSample {
  readonly fewest: SharedPortSample;
  readonly most: SharedPortSample;
}

export interface SharedPortResult {
  readonly samples: readonly SharedPortSample[];
  /** Fewest and most guests, a pair for each round, with the card's thread before the others; empty where that is not allowed. */
  readonly cardAhead: readonly CardAheadSample[];
  /** Resident memory of the process for each guest that was added, its touched RAM included, under traffic. */
  readonly megabytesPerGuest: number;
}

/** What is on the wire for a frame beside its bytes is the card's to account. */
const DEFAULT_LINK_MBPS = 10_000;
const DEFAULT_FRAME_BYTES = 1518;
const SETTLE_MS = 400;
/** The code counts as compiled when the runtime's own threads took no more than this of the CPU, so often in a row. */
const QUIET_SHARE = 0.06;
const QUIET_LOOKS = 3;
const LOOK_MS = 1000;
const WARM_UP_LIMIT_MS = 40_000;
const CARD_NICE = -10;
const BOOT_LIMIT_MS = 120_000;
const HOST = { mac: '52:54:00:00:00:99', ip: '10.0.255.254' } as const;

export async function measureSharedPort(options: SharedPortOptions): Promise<SharedPortResult> {
  const port = await SharedPort.open(options);
  try {
    const samples: SharedPortSample[] = [];
    const cardAhead: CardAheadSample[] = [];
    await port.warmUp();
    const megabytesPerGuest = port.megabytesPerGuest();
    for (let round = 0; round < options.rounds; round++) {
      for (const guests of options.guests) samples.push(await port.sample(guests));
      if (!setCardNice(CARD_NICE)) continue;
      const fewest = await port.sample(Math.min(...options.guests));
      const most = await port.sample(port.guests);
      setCardNice(0);
      cardAhead.push({ fewest, most });
    }
    return { samples, cardAhead, megabytesPerGuest };
  } finally {
    await port.close();
  }
}

/** 1 when all are equal. */
export function jainIndex(shares: readonly number[]): number {
  const sum = shares.reduce((total, each) => total + each, 0);
  const squares = shares.reduce((total, each) => total + each * each, 0);
  return squares === 0 ? 0 : (sum * sum) / (shares.length * squares);
}

/** Sets the nice value of the card's thread. False: a value below 0 needs a privilege that the process does not have. */
function setCardNice(nice: number): boolean {
  const card = listThreads().find((thread) => coreOf(thread) === 'nic');
  if (card === undefined) return false;
  try {
    setPriority(card.tid, nice);
    return true;
  } catch {
    return false;
  }
}

interface CpuMs {
  readonly all: number;
  readonly runtime: number;
}

function readCpuMs(): CpuMs {
  let all = 0;
  let runtime = 0;
  for (const thread of listThreads()) {
    all += thread.cpuMs;
    if (coreOf(thread) === 'runtime') runtime += thread.cpuMs;
  }
  return { all, runtime };
}

const shareBetween = (from: CpuMs, to: CpuMs): number => (to.runtime - from.runtime) / (to.all - from.all);

class SharedPort {
  readonly #o: SharedPortOptions;
  readonly #generator: GeneratorControl;
  readonly #nic: Nic;
  readonly #vms: VirtualMachine[] = [];
  #rssBefore = 0;
  #up = 0;

  static async open(options: SharedPortOptions): Promise<SharedPort> {
    const count = Math.max(...options.guests);
    const targets = Array.from({ length: count }, (_, i) => addressOf(i));
    const generator = new GeneratorControl({
      sourceMac: HOST.mac,
      sourceIp: HOST.ip,
      targetMac: targets[0]!.mac,
      targetIp: targets[0]!.ip,
      frameBytes: options.frameBytes ?? DEFAULT_FRAME_BYTES,
      flows: count,
      targets,
    });
    const nic = await Nic.open({
      wire: generator.wire,
      linkSpeedMbps: options.linkMbps ?? DEFAULT_LINK_MBPS,
    });
    const port = new SharedPort(options, generator, nic);
    try {
      await port.#boot(targets);
    } catch (error) {
      await port.close();
      throw error;
    }
    return port;
  }

  private constructor(options: SharedPortOptions, generator: GeneratorControl, nic: Nic) {
    this.#o = options;
    this.#generator = generator;
    this.#nic = nic;
  }

  get guests(): number {
    return this.#vms.length;
  }

  async #boot(targets: readonly { readonly mac: string; readonly ip: string }[]): Promise<void> {
    this.#rssBefore = process.memoryUsage.rss();
    for (const [index, { mac, ip }] of targets.entries()) {
      const vm = await VirtualMachine.create({
        name: `guest-${index}`,
        image: this.#o.image,
        commandLine: `ip=${ip}`,
        vfs: [{ nic: this.#nic, assignment: { mac } }],
        ...(this.#o.itr === undefined ? {} : { interrupts: { itr: this.#o.itr } }),
        onEvent: (event) => {
          if (event.kind === 'console' && event.line.includes('is up')) this.#up++;
        },
      });
      this.#vms.push(vm);
      vm.start();
    }
    for (let waitedMs = 0; this.#up < targets.length; waitedMs += 20) {
      if (waitedMs > BOOT_LIMIT_MS)
        throw new Error(`shared port: ${this.#up} of ${targets.length} guests came up in time`);
      await sleep(20);
    }
  }

  megabytesPerGuest(): number {
    return (process.memoryUsage.rss() - this.#rssBefore) / this.guests / 1e6;
  }

  /** Sends to all guests until there is nothing left to compile. */
  async warmUp(): Promise<void> {
    this.#send(this.guests);
    let quiet = 0;
    for (let waitedMs = 0; quiet < QUIET_LOOKS && waitedMs < WARM_UP_LIMIT_MS; waitedMs += LOOK_MS) {
      const from = readCpuMs();
      await sleep(LOOK_MS);
      quiet = shareBetween(from, readCpuMs()) <= QUIET_SHARE ? quiet + 1 : 0;
    }
    await this.#silence();
  }

  #send(guests: number): void {
    this.#generator.setFlows(guests);
    this.#generator.setRate(this.#o.framesPerS ?? Number.POSITIVE_INFINITY);
  }

  async #silence(): Promise<void> {
    this.#generator.setRate(0);
    await sleep(20);
  }

  async sample(guests: number): Promise<SharedPortSample> {
    this.#send(guests);
    await sleep(SETTLE_MS);
    const from = this.#look(guests);
    await sleep(this.#o.windowMs);
    const to = this.#look(guests);
    await this.#silence();
    const seconds = (to.atMs - from.atMs) / 1e3;
    const octets = to.octets.map((each, index) => each - from.octets[index]!);
    const total = octets.reduce((sum, each) => sum + each, 0);
    return {
      guests,
      gbps: (total * 8) / seconds / 1e9,
      fairness: jainIndex(octets),
      cores: (to.cpuMs.all - from.cpuMs.all) / 1e3 / seconds,
      runtimeShare: shareBetween(from.cpuMs, to.cpuMs),
    };
  }

  #look(guests: number): { atMs: number; octets: number[]; cpuMs: CpuMs } {
    return {
      atMs: performance.now(),
      octets: this.#vms.slice(0, guests).map((vm) => vm.vfs[0]!.view.statistics.read().goodOctetsReceived),
      cpuMs: readCpuMs(),
    };
  }

  async close(): Promise<void> {
    this.#generator.setRate(0);
    await Promise.all(this.#vms.map((vm) => vm.destroy()));
    await this.#nic.close();
  }
}

const addressOf = (index: number): { mac: string; ip: string } => ({
  mac: `52:54:00:00:01:${index.toString(16).padStart(2, '0')}`,
  ip: `10.0.0.${index + 1}`,
});

const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
