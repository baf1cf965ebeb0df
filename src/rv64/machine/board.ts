/**
 * Everything around the hart: devices on their addresses, and the wires between them.
 *
 *   hart --MMIO--> bus --> UART, RTC --line--> APLIC --.
 *                      --> PCIe host --> virtio, VFs --message--> IMSIC page --> hart's interrupt file
 *   hart --ecall-> SBI
 */
import type { GuestBus } from '../../machine/guest-bus.js';
import { Aplic } from './aplic.js';
import { ConsolePort } from './console-port.js';
import type { GuestRam } from './guest-ram.js';
import { hostBridgeFunction } from './host-bridge-function.js';
import { ImsicPage } from './imsic-page.js';
import { IMSIC_IDS, MAP, WIRED } from './memory-map.js';
import { MmioBus } from './mmio-bus.js';
import { PassedThroughFunction } from './passed-through-function.js';
import type { PciFunction } from './pci-function.js';
import { PciHost } from './pci-host.js';
import { Rtc } from './rtc.js';
import { Sbi, type SbiHart } from './sbi.js';
import { StateFields } from './state-fields.js';
import { Uart } from './uart.js';
import { VirtioConsole } from './virtio/console.js';
import { VirtioRng } from './virtio/rng.js';

const VERSION = 1;
/** Behind the slots that passed-through VFs take. */
export const DEVICE_NUMBER = { console: 16, rng: 17 } as const;

export interface BoardParts {
  readonly hart: SbiHart;
  readonly ram: GuestRam;
  /** Sets an identity of the hart's interrupt file pending. */
  readonly raise: (identity: number) => void;
  /** Where passed-through VFs answer, and their slots. */
  readonly bus: GuestBus;
  readonly vfSlots: readonly number[];
  readonly wallNs: () => bigint;
  readonly random: (bytes: Uint8Array) => void;
  /** What the guest writes to its terminal. */
  readonly consoleOut: (bytes: Uint8Array) => void;
}

export class Board {
  readonly sbi: Sbi;
  readonly console: ConsolePort;
  readonly bus: MmioBus;
  readonly #aplic: Aplic;
  readonly #uart: Uart;
  readonly #rtc: Rtc;
  readonly #virtioConsole: VirtioConsole;
  readonly #rng: VirtioRng;
  readonly #vfs: readonly PassedThroughFunction[];
  readonly #pci: PciHost;

  constructor(parts: BoardParts) {
    const { hart, ram, raise } = parts;
    this.console = new ConsolePort(parts.consoleOut, (name) =>
      name === 'uart' ? this.#uart : this.#virtioConsole,
    );
    this.#aplic = new Aplic(raise);
    const line = (source: number) => (high: boolean) => this.#aplic.setLine(source, high);
    this.#uart = new Uart({
      send: (byte) => this.console.write(Uint8Array.of(byte), 'uart'),
      setLine: line(WIRED.uart),
    });
    this.#rtc = new Rtc({ wallNs: parts.wallNs, setLine: line(WIRED.rtc) });
    const ports = { ram, sendMessage: messageTo(raise) };
    this.#virtioConsole = new VirtioConsole(ports, (bytes) => this.console.write(bytes, 'virtio'));
    this.#rng = new VirtioRng(ports, parts.random);
    const functions = new Map<number, PciFunction>([
      [0, hostBridgeFunction],
      [DEVICE_NUMBER.console, this.#virtioConsole.pci],
      [DEVICE_NUMBER.rng, this.#rng.pci],
    ]);
    this.#vfs = parts.vfSlots.map((slot) => new PassedThroughFunction(parts.bus, slot));
    for (const [index, slot] of parts.vfSlots.entries()) functions.set(slot, this.#vfs[index]!);
    this.#pci = new PciHost(functions);
    this.bus = new MmioBus([
      this.#pci.devices[1]!,
      this.#pci.devices[2]!,
      this.#pci.devices[0]!,
      new ImsicPage(raise),
      this.#aplic,
      this.#uart,
      this.#rtc,
    ]);
    this.sbi = new Sbi({
      hart,
      ram,
      console: {
        write: (bytes) => this.console.write(bytes, null),
        read: (most) => this.console.take(most),
      },
    });
  }

  /** What devices do by themselves: to be called now and then, and after every wait. */
  poll(): void {
    this.#rtc.poll();
    this.console.pump();
  }

  /** Function-level reset of every passed-through VF. */
  resetVfs(): void {
    for (const vf of this.#vfs) vf.reset();
  }

  save() {
    return {
      version: VERSION,
      aplic: this.#aplic.save(),
      uart: this.#uart.save(),
      rtc: this.#rtc.save(),
      console: this.#virtioConsole.save(),
      terminal: this.console.save(),
      rng: this.#rng.save(),
    };
  }

  /** @throws MachineStateError */
  restore(value: unknown): void {
    const fields = new StateFields('devices', value, VERSION);
    // lines first: what the devices then set is what the controller knows already
    this.#aplic.restore(fields.part('aplic'));
    this.#uart.restore(fields.part('uart'));
    this.#rtc.restore(fields.part('rtc'));
    this.#virtioConsole.restore(fields.part('console'));
    this.#rng.restore(fields.part('rng'));
    this.console.restore(fields.part('terminal'));
    this.#pci.refresh();
  }
}

/** A message write reaches the hart when it goes to the interrupt file's page; elsewhere it is dropped. */
function messageTo(raise: (identity: number) => void) {
  return (addressLow: number, addressHigh: number, data: number): void => {
    const address = addressHigh * 2 ** 32 + addressLow;
    if (address === MAP.imsic.base && data >= 1 && data <= IMSIC_IDS) raise(data);
  };
}
