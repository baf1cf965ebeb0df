/**
 * What is copied by value from the old card to the new one: registers that the driver lists, as far as they are read-write and
 * without side effects; and the statistics that it lists, for self-emulation. A list comes from the guest, or from the stream:
 * it cannot name a register that would start, reset or acknowledge something.
 */
import { type DeviceContext, type StateFields, type StateValue, vf82599 } from 'srvm/plugin';
import { type Counter, GuestHelpError, MAX_COUNTERS, MAX_REGISTERS, type SharedPage } from './shared-page.js';

const { FieldReader, QUEUES, REG, RX, rxRegister, TX, txRegister, VECTORS } = vf82599;

const PLAIN: ReadonlySet<number> = new Set([
  REG.VFPSRTYPE,
  REG.VTIVAR_MISC,
  REG.VTEIAC,
  REG.VTEIAM,
  ...Array.from({ length: 4 }, (_, i) => REG.VTIVAR + 4 * i),
  ...Array.from({ length: VECTORS }, (_, v) => REG.VTEITR + 4 * v),
  ...Array.from({ length: QUEUES }, (_, q) => [
    ...[RX.RDBAL, RX.RDBAH, RX.RDLEN, RX.DCA_RXCTRL, RX.SRRCTL, RX.RSCCTL].map((o) => rxRegister(q, o)),
    ...[TX.TDBAL, TX.TDBAH, TX.TDLEN, TX.DCA_TXCTRL, TX.TDWBAL, TX.TDWBAH].map((o) => txRegister(q, o)),
  ]).flat(),
]);
const OCTETS_HIGH: ReadonlyMap<number, number> = new Map([
  [REG.VFGORC_LSB, REG.VFGORC_MSB],
  [REG.VFGOTC_LSB, REG.VFGOTC_MSB],
]);
const PACKETS: ReadonlySet<number> = new Set([REG.VFGPRC, REG.VFGPTC, REG.VFMPRC]);

const checkPlain = (offset: number): number => {
  if (!PLAIN.has(offset)) {
    throw new GuestHelpError(
      `register 0x${offset.toString(16)} is listed for migration: it has side effects, or is none of the VF's`,
    );
  }
  return offset;
};

const checkCounter = (counter: Counter): Counter => {
  const isKnown =
    counter.high === 0 ? PACKETS.has(counter.low) : OCTETS_HIGH.get(counter.low) === counter.high;
  if (!isKnown) {
    throw new GuestHelpError(`register 0x${counter.low.toString(16)} is listed as a counter, and is none`);
  }
  return counter;
};

const modulusOf = (counter: Counter): number => (counter.high === 0 ? 2 ** 32 : 2 ** 36);

const counted = (context: DeviceContext, { low, high }: Counter): number =>
  context.bar0.read32(low) + (high === 0 ? 0 : (context.bar0.read32(high) & 0xf) * 2 ** 32);

export function saveRegisters(context: DeviceContext, page: SharedPage): StateValue[] {
  return page.registers().map((offset) => [checkPlain(offset), context.bar0.read32(offset)]);
}

/** On a VF whose queues are off. */
export function restoreRegisters(context: DeviceContext, state: StateValue): void {
  for (const [offset, value] of pairs(state, 'registers', MAX_REGISTERS)) {
    context.bar0.write32(checkPlain(offset), value);
  }
}

/** n before + m since, of each counter of the list. */
export function saveCounters(context: DeviceContext, page: SharedPage): StateValue[] {
  return page.counters().map((counter, i) => {
    checkCounter(counter);
    return (page.before(i) + counted(context, counter)) % modulusOf(counter);
  });
}

/** What this card has counted for others is taken off: the driver reports "before" plus what the card shows. */
export function restoreCounters(context: DeviceContext, page: SharedPage, state: StateValue): void {
  const counters = page.counters();
  if (!Array.isArray(state) || state.length !== counters.length || state.length > MAX_COUNTERS) {
    throw new GuestHelpError(`device state: counters is not a list of ${counters.length}`);
  }
  state.forEach((value, i) => {
    const counter = checkCounter(counters[i]!);
    const modulus = modulusOf(counter);
    const total = new FieldReader({ value } as StateFields, `counters[${i}]`).integer('value', modulus - 1);
    page.setBefore(i, (((total - counted(context, counter)) % modulus) + modulus) % modulus);
  });
}

function pairs(state: StateValue, name: string, most: number): [number, number][] {
  if (!Array.isArray(state) || state.length > most) {
    throw new GuestHelpError(`device state: ${name} is not a list of at most ${most}`);
  }
  return state.map((pair, i) => {
    const [offset, value] = new FieldReader({ pair } as StateFields, `${name}[${i}]`).u32s('pair', 2);
    return [offset!, value!];
  });
}
