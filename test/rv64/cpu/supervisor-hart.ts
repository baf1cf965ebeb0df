/**
 * A hart with a trap handler that only notes what came and stops: for programs that fault, in S or U mode, with or without
 * page tables.
 */

import { type CorePorts, RUN } from '../../../src/rv64/cpu/core.js';
import * as AT from '../../../src/rv64/cpu/wasm/offsets.js';
import { I } from './assembler.js';
import { BASE, TestHart } from './test-hart.js';

export const CSR = {
  fflags: 0x001,
  fcsr: 0x003,
  sstatus: 0x100,
  sie: 0x104,
  stvec: 0x105,
  scounteren: 0x106,
  senvcfg: 0x10a,
  sscratch: 0x140,
  sepc: 0x141,
  scause: 0x142,
  stval: 0x143,
  sip: 0x144,
  stimecmp: 0x14d,
  siselect: 0x150,
  sireg: 0x151,
  stopei: 0x15c,
  satp: 0x180,
  cycle: 0xc00,
  time: 0xc01,
  instret: 0xc02,
  stopi: 0xdb0,
} as const;

export const PTE = { V: 1, R: 2, W: 4, X: 8, U: 16, G: 32, A: 64, D: 128 } as const;
/** What an ordinary page has. */
export const RWX = PTE.V | PTE.R | PTE.W | PTE.X | PTE.A | PTE.D;

const HANDLER = 0x8000;
const ROOT = 0x100000;
const TABLES = 0x101000;

export interface Trap {
  readonly cause: bigint;
  readonly value: bigint;
  readonly pc: bigint;
}

export class SupervisorHart extends TestHart {
  readonly #words = new Int32Array(this.memory.buffer, this.layout.cpuOffset, AT.PAGE / 4);
  readonly #longs = new BigUint64Array(this.memory.buffer, this.layout.cpuOffset, AT.PAGE / 8);
  #tables = TABLES;

  constructor(ports: Partial<CorePorts> = {}) {
    super(ports);
    this.put([I.ecall()], HANDLER);
    this.#longs[AT.STVEC / 8] = BASE + BigInt(HANDLER);
  }

  /** A CSR's place in the state, for setting up and looking. */
  get status(): bigint {
    return this.#longs[AT.SSTATUS / 8]!;
  }

  set status(value: bigint) {
    this.#longs[AT.SSTATUS / 8] = value;
    this.core.flush();
  }

  set fs(value: number) {
    this.#words[AT.FS / 4] = value;
  }

  get fs(): number {
    return this.#words[AT.FS / 4]!;
  }

  set user(on: boolean) {
    this.#words[AT.PRIVILEGE / 4] = on ? 0 : 1;
  }

  /** Puts a program at an offset and runs it at the virtual address; what trap it came to, or null for an ECALL of S mode. */
  trapOf(
    words: readonly number[],
    { at = 0x2000, virtual = BASE + BigInt(at), user = false } = {},
  ): Trap | null {
    this.put([...words, I.ecall()], at);
    this.core.flush();
    return this.trapFrom(virtual, user);
  }

  trapFrom(virtual: bigint, user = false): Trap | null {
    this.user = user;
    this.#longs[AT.SCAUSE / 8] = NO_CAUSE;
    this.core.pc = virtual;
    const reason = this.core.run(10_000);
    if (reason !== RUN.ecall) throw new Error(`ended with ${reason} at ${this.core.pc.toString(16)}`);
    const cause = this.#longs[AT.SCAUSE / 8]!;
    if (cause === NO_CAUSE) return null;
    return { cause, value: this.#longs[AT.STVAL / 8]!, pc: this.#longs[AT.SEPC / 8]! };
  }

  /** The value of a CSR, as S mode reads it. */
  read(csr: number): bigint {
    this.user = false;
    this.execute([I.csrrs(3, csr, 0)], 0x1000);
    return this.core.x(3);
  }

  write(csr: number, value: bigint): void {
    this.user = false;
    this.core.setX(3, BigInt.asUintN(64, value));
    this.execute([I.csrrw(0, csr, 3)], 0x1000);
  }

  /** Sv39 on, with RAM mapped where it is (without U), and the handler so that S mode runs it. */
  enablePaging(): void {
    this.ram.fill(0, ROOT, ROOT + 0x20000);
    this.#tables = TABLES;
    // two superpages of 2 MiB each
    for (let offset = 0; offset < this.ram.length; offset += 0x200000) {
      this.map(BASE + BigInt(offset), BASE + BigInt(offset), RWX, 1);
    }
    this.#longs[AT.SATP / 8] = (8n << 60n) | ((BASE + BigInt(ROOT)) >> 12n);
    this.core.flush();
  }

  disablePaging(): void {
    this.#longs[AT.SATP / 8] = 0n;
    this.core.flush();
  }

  /** Maps a page (level 0), or a superpage; gives the offset of its entry in RAM. */
  map(virtual: bigint, physical: bigint, flags: number, level = 0): number {
    let table = ROOT;
    for (let depth = 2; depth > level; depth--) {
      const at = table + Number((virtual >> BigInt(12 + 9 * depth)) & 0x1ffn) * 8;
      let entry = this.view.getBigUint64(at, true);
      if ((entry & 1n) === 0n) {
        entry = (((BASE + BigInt(this.#tables)) >> 12n) << 10n) | 1n;
        this.#tables += AT.PAGE;
        this.view.setBigUint64(at, entry, true);
      }
      table = Number(((entry >> 10n) << 12n) - BASE);
    }
    const at = table + Number((virtual >> BigInt(12 + 9 * level)) & 0x1ffn) * 8;
    this.view.setBigUint64(at, ((physical >> 12n) << 10n) | BigInt(flags), true);
    this.core.flush();
    return at;
  }
}

const NO_CAUSE = 0x3fn;
