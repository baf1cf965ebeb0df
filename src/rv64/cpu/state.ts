/**
 * A hart that stands still, as data: what a migration or a saved file carries of it. It may come from anybody, so decoding
 * looks at every field: its type, and that it holds nothing that the hart itself could not.
 *
 *   saveCpu(memory) -> CpuState -> (CBOR) -> decodeCpuState -> restoreCpu(memory), then core.flush()
 *
 * Left out on purpose: the LR reservation (an SC may fail), TLBs and decoded code.
 */
import type { Rv64Layout } from './layout.js';
import * as AT from './wasm/offsets.js';

export const CPU_STATE_VERSION = 2;
const REGISTERS = 32;
const IMSIC_WORDS = AT.IMSIC_BYTES / 4;
const ALL = (1n << 64n) - 1n;
const SATP_MODE_SHIFT = 60n;
const SV39 = 8n;

export interface CpuState {
  readonly version: number;
  /** x1 to x31. */
  readonly x: readonly bigint[];
  readonly f: readonly bigint[];
  readonly pc: bigint;
  /** 0 user, 1 supervisor. */
  readonly privilege: number;
  readonly fs: number;
  readonly fflags: number;
  readonly frm: number;
  readonly sstatus: bigint;
  readonly stvec: bigint;
  readonly sscratch: bigint;
  readonly sepc: bigint;
  readonly scause: bigint;
  readonly stval: bigint;
  readonly satp: bigint;
  readonly sie: bigint;
  readonly sip: bigint;
  readonly scounteren: bigint;
  readonly senvcfg: bigint;
  readonly stimecmp: bigint;
  readonly instret: bigint;
  readonly siselect: bigint;
  readonly eidelivery: number;
  readonly eithreshold: number;
  /** Pending and enabled interrupt identities, 32 a word. */
  readonly eip: readonly number[];
  readonly eie: readonly number[];
}

/** A hart's state that cannot be. */
export class CpuStateError extends Error {
  constructor(what: string) {
    super(`the hart's state cannot be restored: ${what}`);
    this.name = 'CpuStateError';
  }
}

/** 64-bit registers: where they lie, and the bits that can be set. */
const LONGS = {
  pc: { at: AT.PC, bits: ALL - 1n },
  sstatus: { at: AT.SSTATUS, bits: 0xc0122n },
  stvec: { at: AT.STVEC, bits: ALL - 2n },
  sscratch: { at: AT.SSCRATCH, bits: ALL },
  sepc: { at: AT.SEPC, bits: ALL - 1n },
  scause: { at: AT.SCAUSE, bits: (1n << 63n) | 0x3fn },
  stval: { at: AT.STVAL, bits: ALL },
  satp: { at: AT.SATP, bits: (SV39 << SATP_MODE_SHIFT) | ((1n << 44n) - 1n) },
  sie: { at: AT.SIE, bits: 0x222n },
  sip: { at: AT.SIP, bits: 2n },
  scounteren: { at: AT.SCOUNTEREN, bits: 7n },
  senvcfg: { at: AT.SENVCFG, bits: 0x81n },
  stimecmp: { at: AT.STIMECMP, bits: ALL },
  instret: { at: AT.INSTRET, bits: ALL },
  siselect: { at: AT.SISELECT, bits: 0xffn },
} as const;
type LongName = keyof typeof LONGS;
const LONG_NAMES = Object.keys(LONGS) as LongName[];

const WORDS = {
  privilege: { at: AT.PRIVILEGE, most: AT.PRIVILEGE_S },
  fs: { at: AT.FS, most: 3 },
  fflags: { at: AT.FFLAGS, most: 31 },
  frm: { at: AT.FRM, most: 7 },
  eidelivery: { at: AT.EIDELIVERY, most: 1 },
  eithreshold: { at: AT.EITHRESHOLD, most: AT.IMSIC_IDS },
} as const;
type WordName = keyof typeof WORDS;
const WORD_NAMES = Object.keys(WORDS) as WordName[];

function views(memory: WebAssembly.Memory, layout: Rv64Layout) {
  return {
    longs: new BigUint64Array(memory.buffer, layout.cpuOffset, AT.PAGE / 8),
    words: new Int32Array(memory.buffer, layout.cpuOffset, AT.PAGE / 4),
  };
}

/** The hart must not be running. */
export function saveCpu(memory: WebAssembly.Memory, layout: Rv64Layout): CpuState {
  const { longs, words } = views(memory, layout);
  const list = <T>(count: number, item: (index: number) => T) =>
    Array.from({ length: count }, (_, i) => item(i));
  const imsic = (at: number) => list(IMSIC_WORDS, (i) => Atomics.load(words, at / 4 + i) >>> 0);
  return {
    version: CPU_STATE_VERSION,
    x: list(REGISTERS - 1, (i) => longs[AT.X / 8 + 1 + i]!),
    f: list(REGISTERS, (i) => longs[AT.F / 8 + i]!),
    ...(Object.fromEntries(LONG_NAMES.map((name) => [name, longs[LONGS[name].at / 8]!])) as Record<
      LongName,
      bigint
    >),
    ...(Object.fromEntries(WORD_NAMES.map((name) => [name, words[WORDS[name].at / 4]!])) as Record<
      WordName,
      number
    >),
    eip: imsic(AT.IMSIC_EIP),
    eie: imsic(AT.IMSIC_EIE),
  };
}

/** Puts a state (of decodeCpuState) into a hart that is not running. Its core must be flushed before it runs. */
export function restoreCpu(memory: WebAssembly.Memory, layout: Rv64Layout, state: CpuState): void {
  const { longs, words } = views(memory, layout);
  state.x.forEach((value, i) => {
    longs[AT.X / 8 + 1 + i] = value;
  });
  state.f.forEach((value, i) => {
    longs[AT.F / 8 + i] = value;
  });
  for (const name of LONG_NAMES) longs[LONGS[name].at / 8] = state[name];
  for (const name of WORD_NAMES) words[WORDS[name].at / 4] = state[name];
  // added to: a restored device may have raised its interrupt already
  state.eip.forEach((bits, i) => {
    Atomics.or(words, AT.IMSIC_EIP / 4 + i, bits | 0);
  });
  state.eie.forEach((bits, i) => {
    words[AT.IMSIC_EIE / 4 + i] = bits;
  });
}

/** Checks a decoded value and returns a copy of exactly the fields that belong. */
export function decodeCpuState(value: unknown): CpuState {
  if (typeof value !== 'object' || value === null) throw new CpuStateError('it is not a record');
  const record = value as Record<string, unknown>;
  const version = word('version', record['version'], 0xffff);
  if (version !== CPU_STATE_VERSION) {
    throw new CpuStateError(`it is of version ${version}, this host reads version ${CPU_STATE_VERSION}`);
  }
  const longs = Object.fromEntries(
    LONG_NAMES.map((name) => [name, long(name, record[name], LONGS[name].bits)]),
  );
  const words = Object.fromEntries(
    WORD_NAMES.map((name) => [name, word(name, record[name], WORDS[name].most)]),
  );
  const state = {
    version,
    x: list(record, 'x', REGISTERS - 1, (name, item) => long(name, item, ALL)),
    f: list(record, 'f', REGISTERS, (name, item) => long(name, item, ALL)),
    ...(longs as Record<LongName, bigint>),
    ...(words as Record<WordName, number>),
    eip: list(record, 'eip', IMSIC_WORDS, (name, item) => word(name, item, 0xffff_ffff)),
    eie: list(record, 'eie', IMSIC_WORDS, (name, item) => word(name, item, 0xffff_ffff)),
  };
  if (state.satp !== 0n && state.satp >> SATP_MODE_SHIFT !== SV39) {
    throw new CpuStateError('satp names no mode of translation');
  }
  if (((state.eip[0]! | state.eie[0]!) & 1) !== 0) throw new CpuStateError('interrupt identity 0 is set');
  return state;
}

function word(name: string, value: unknown, most: number): number {
  if (typeof value !== 'number' || !Number.isInteger(value) || value < 0 || value > most) {
    throw new CpuStateError(`${name} is not a whole number from 0 to ${most}`);
  }
  return value;
}

/** Small ones come as plain numbers from some decoders. */
function long(name: string, value: unknown, bits: bigint): bigint {
  const whole = typeof value === 'number' && Number.isSafeInteger(value) ? BigInt(value) : value;
  if (typeof whole !== 'bigint' || whole < 0n || (whole & ~bits) !== 0n) {
    throw new CpuStateError(`${name} is no value that this register can have`);
  }
  return whole;
}

function list<T>(
  record: Record<string, unknown>,
  field: string,
  count: number,
  item: (name: string, value: unknown) => T,
): T[] {
  const value = record[field];
  if (!Array.isArray(value) || value.length !== count) {
    throw new CpuStateError(`${field} is not a list of ${count} numbers`);
  }
  // not map: it would pass over holes
  return Array.from(value, (each, i) => item(`${field}[${i}]`, each));
}
