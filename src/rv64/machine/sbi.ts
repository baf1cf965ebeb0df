/**
 * The supervisor binary interface: what the hypervisor, in the place of M mode, does for the guest's kernel.
 *
 *   ecall: a7 extension, a6 function, a0.. arguments   ->   a0 error, a1 value
 *
 * Addresses and sizes here are below 2^53: a larger one is outside RAM, which is what it is answered with.
 */
import type { GuestRam } from './guest-ram.js';
import { HART_ID } from './memory-map.js';

/** What the SBI asks of the hart. */
export interface SbiHart {
  x(register: number): bigint;
  setX(register: number, value: bigint): void;
  setStimecmp(ticks: bigint): void;
  /** Supervisor software interrupt. */
  raiseSoftwareInterrupt(): void;
  /** Forgets translations and decoded code. */
  flush(): void;
}

export interface SbiConsole {
  write(bytes: Uint8Array): void;
  /** At most so many bytes that came in; empty: none. */
  read(most: number): Uint8Array;
}

export interface SbiParts {
  readonly hart: SbiHart;
  readonly ram: GuestRam;
  readonly console: SbiConsole;
}

/** How a machine ends itself. */
export type SystemReset = { readonly kind: 'poweroff' | 'reboot'; readonly failed: boolean };

const ERROR = { failed: -1n, notSupported: -2n, invalidParameter: -3n, alreadyAvailable: -6n } as const;
const REGISTER = { a0: 10, a1: 11, a6: 16, a7: 17 } as const;
const SPECIFICATION = 0x0200_0000n;
/** Of nobody in the list of implementations. */
const IMPLEMENTATION = 0x5352_564dn;
const MOST_CONSOLE_BYTES = 4096n;

interface Result {
  readonly error?: bigint;
  readonly value?: bigint;
  readonly reset?: SystemReset;
}
type SbiFunction = (args: readonly bigint[]) => Result;
type Extension = Readonly<Record<number, SbiFunction>>;

const DONE: Result = {};
const refused = (error: bigint): Result => ({ error });
const value = (number: bigint): Result => ({ value: number });

export class Sbi {
  readonly #hart: SbiHart;
  readonly #extensions: ReadonlyMap<bigint, Extension>;

  constructor({ hart, ram, console }: SbiParts) {
    this.#hart = hart;
    this.#extensions = new Map<bigint, Extension>([
      [0x10n, this.#base()],
      [0x5449_4d45n, timer(hart)],
      [0x73_5049n, interProcessor(hart)],
      [0x5246_4e43n, remoteFence(hart)],
      [0x48_534dn, hartState],
      [0x5352_5354n, systemReset],
      [0x4442_434en, debugConsole(ram, console)],
    ]);
  }

  /** Answers the ecall that the hart stands at. Returns how the machine is to end, or null. */
  call(): SystemReset | null {
    const hart = this.#hart;
    const unsigned = (register: number): bigint => BigInt.asUintN(64, hart.x(register));
    const extension = this.#extensions.get(unsigned(REGISTER.a7));
    const id = unsigned(REGISTER.a6);
    const call = id < 64n ? extension?.[Number(id)] : undefined;
    const args = Array.from({ length: 6 }, (_, i) => unsigned(REGISTER.a0 + i));
    const result = call?.(args) ?? refused(ERROR.notSupported);
    hart.setX(REGISTER.a0, result.error ?? 0n);
    hart.setX(REGISTER.a1, result.value ?? 0n);
    return result.reset ?? null;
  }

  #base(): Extension {
    return {
      0: () => value(SPECIFICATION),
      1: () => value(IMPLEMENTATION),
      2: () => value(1n),
      3: ([id]) => value(this.#extensions.has(id!) ? 1n : 0n),
      // vendor, architecture, implementation of the hart: none
      4: () => DONE,
      5: () => DONE,
      6: () => DONE,
    };
  }
}

const timer = (hart: SbiHart): Extension => ({
  0: ([ticks]) => {
    hart.setStimecmp(ticks!);
    return DONE;
  },
});

/** A hart mask with its base: which harts are meant. All ones as the base means every hart. */
function meansThisHart(mask: bigint, base: bigint): boolean {
  if (base === 0xffff_ffff_ffff_ffffn) return true;
  const bit = BigInt(HART_ID) - base;
  return bit >= 0n && bit < 64n && ((mask >> bit) & 1n) === 1n;
}

const interProcessor = (hart: SbiHart): Extension => ({
  0: ([mask, base]) => {
    if (!meansThisHart(mask!, base!)) return refused(ERROR.invalidParameter);
    hart.raiseSoftwareInterrupt();
    return DONE;
  },
});

/** fence.i, sfence.vma and sfence.vma with an address space: with one hart each is a flush of this one. */
const remoteFence = (hart: SbiHart): Extension => {
  const flush: SbiFunction = ([mask, base]) => {
    if (!meansThisHart(mask!, base!)) return refused(ERROR.invalidParameter);
    hart.flush();
    return DONE;
  };
  return { 0: flush, 1: flush, 2: flush };
};

const isHart = (id: bigint): boolean => id === BigInt(HART_ID);

const hartState: Extension = {
  // start: the only hart runs already
  0: ([id]) => refused(isHart(id!) ? ERROR.alreadyAvailable : ERROR.invalidParameter),
  // stop: nobody could start it again
  1: () => refused(ERROR.failed),
  2: ([id]) => (isHart(id!) ? value(0n) : refused(ERROR.invalidParameter)),
  // a retentive suspend may end at once
  3: ([type]) => (type === 0n ? DONE : refused(ERROR.notSupported)),
};

const systemReset: Extension = {
  0: ([type, reason]) => {
    if (type! > 2n) return refused(ERROR.invalidParameter);
    return { reset: { kind: type === 0n ? 'poweroff' : 'reboot', failed: reason === 1n } };
  },
};

function debugConsole(ram: GuestRam, console: SbiConsole): Extension {
  /** The call's buffer, cut to what one call moves; null when it is not in RAM. */
  const buffer = (bytes: bigint, low: bigint, high: bigint): { address: number; length: number } | null => {
    const address = high === 0n ? Number(low) : Number.MAX_SAFE_INTEGER;
    const length = Number(bytes < MOST_CONSOLE_BYTES ? bytes : MOST_CONSOLE_BYTES);
    return ram.holds(address, length) ? { address, length } : null;
  };
  return {
    0: ([bytes, low, high]) => {
      const found = buffer(bytes!, low!, high!);
      if (found === null) return refused(ERROR.invalidParameter);
      console.write(ram.read(found.address, found.length));
      return value(BigInt(found.length));
    },
    1: ([bytes, low, high]) => {
      const found = buffer(bytes!, low!, high!);
      if (found === null) return refused(ERROR.invalidParameter);
      const read = console.read(found.length);
      ram.write(found.address, read);
      return value(BigInt(read.length));
    },
    2: ([byte]) => {
      console.write(Uint8Array.of(Number(byte! & 0xffn)));
      return DONE;
    },
  };
}
