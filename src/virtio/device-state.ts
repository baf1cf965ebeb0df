/**
 * A network device's state as data that moves with its guest: named fields under a version. It comes from a stream that
 * nobody vouches for: everything is looked at before anything is changed, and what this host does not offer is refused.
 *
 *   what a guest can write through its BARs can be restored, nothing else; where the queues lie is looked at when they are
 *   served, as it is for a driver that wrote it
 */
import { PCI } from '../hardware/pci/offsets.js';
import { highFeaturesFit, resetFunction } from './common-registers.js';
import { writableBits } from './config-image.js';
import { CONFIG_DWORDS, type DeviceWords, QUEUE_WORD, WORD } from './device-words.js';
import { MAX_QUEUE_SIZE, NO_VECTOR, QUEUES, STATUS, VECTORS } from './spec.js';

export const NET_STATE_VERSION = 1;

/** A state that is not one, or that this host cannot serve. */
export class NetStateError extends Error {
  override readonly name = 'NetStateError';
  constructor(what: string) {
    super(`the state of the paravirtual NIC cannot be restored: ${what}`);
  }
}

export interface QueueState {
  readonly size: number;
  readonly vector: number;
  readonly enabled: boolean;
  /** Low and high word each. */
  readonly descriptors: readonly number[];
  readonly available: readonly number[];
  readonly used: readonly number[];
  readonly taken: number;
  readonly returned: number;
}

export interface NetState {
  readonly version: number;
  /** Two words. */
  readonly mac: readonly number[];
  readonly mtu: number;
  readonly linkUp: boolean;
  readonly config: readonly number[];
  readonly msixTable: readonly number[];
  readonly msixPending: number;
  readonly status: number;
  readonly features: readonly number[];
  readonly featureSelect: number;
  readonly driverFeatureSelect: number;
  readonly configVector: number;
  readonly queueSelect: number;
  readonly isr: number;
  readonly configGeneration: number;
  readonly queues: readonly QueueState[];
}

const list = (words: DeviceWords, first: number, count: number): number[] =>
  Array.from({ length: count }, (_, index) => words.get(first + index));

/** The vCPU must stand still and nobody serve the queues. */
export function saveNetState(words: DeviceWords): NetState {
  const queue = (index: number, field: number): number => words.queueWord(index, field);
  return {
    version: NET_STATE_VERSION,
    mac: list(words, WORD.macLow, 2),
    mtu: words.get(WORD.mtu),
    linkUp: words.get(WORD.linkUp) !== 0,
    config: list(words, WORD.config, CONFIG_DWORDS),
    msixTable: list(words, WORD.msixTable, VECTORS * 4),
    msixPending: words.get(WORD.msixPending),
    status: words.get(WORD.status),
    features: list(words, WORD.driverFeatures, 2),
    featureSelect: words.get(WORD.featureSelect),
    driverFeatureSelect: words.get(WORD.driverFeatureSelect),
    configVector: words.get(WORD.configVector),
    queueSelect: words.get(WORD.queueSelect),
    isr: words.get(WORD.isr),
    configGeneration: words.get(WORD.configGeneration),
    queues: Array.from({ length: QUEUES }, (_, index) => ({
      size: words.get(queue(index, QUEUE_WORD.size)),
      vector: words.get(queue(index, QUEUE_WORD.vector)),
      enabled: words.get(queue(index, QUEUE_WORD.enabled)) !== 0,
      descriptors: list(words, queue(index, QUEUE_WORD.descriptors), 2),
      available: list(words, queue(index, QUEUE_WORD.available), 2),
      used: list(words, queue(index, QUEUE_WORD.used), 2),
      taken: words.get(queue(index, QUEUE_WORD.taken)),
      returned: words.get(queue(index, QUEUE_WORD.returned)),
    })),
  };
}

/** @throws NetStateError before anything was changed */
export function restoreNetState(words: DeviceWords, value: unknown): void {
  const state = decodeNetState(value);
  const unknown = state.features[0]! & ~words.get(WORD.offered);
  const settled = (state.status & STATUS.featuresOk) !== 0;
  if (settled && (unknown !== 0 || !highFeaturesFit(state.features[1]!))) {
    throw new NetStateError(
      `its driver uses features 0x${(unknown >>> 0).toString(16)} that this host does not offer`,
    );
  }
  const portMtu = words.get(WORD.portMtu);
  if (state.mtu > portMtu) {
    throw new NetStateError(`its packets have up to ${state.mtu} bytes, this port's at most ${portMtu}`);
  }
  resetFunction(words);
  for (const [dword, word] of state.config.entries()) {
    const mask = writableBits(dword);
    words.set(WORD.config + dword, (words.get(WORD.config + dword) & ~mask) | (word & mask));
  }
  put(words, WORD.macLow, state.mac);
  put(words, WORD.msixTable, state.msixTable);
  put(words, WORD.driverFeatures, state.features);
  put(words, WORD.mtu, [state.mtu]);
  put(words, WORD.linkUp, [state.linkUp ? 1 : 0]);
  put(words, WORD.msixPending, [state.msixPending]);
  put(words, WORD.status, [state.status]);
  put(words, WORD.featureSelect, [state.featureSelect]);
  put(words, WORD.driverFeatureSelect, [state.driverFeatureSelect]);
  put(words, WORD.configVector, [state.configVector]);
  put(words, WORD.queueSelect, [state.queueSelect]);
  put(words, WORD.isr, [state.isr]);
  put(words, WORD.configGeneration, [state.configGeneration]);
  for (const [index, queue] of state.queues.entries()) restoreQueue(words, index, queue);
}

function put(words: DeviceWords, first: number, values: readonly number[]): void {
  for (const [index, value] of values.entries()) words.set(first + index, value);
}

function restoreQueue(words: DeviceWords, index: number, queue: QueueState): void {
  const at = (field: number): number => words.queueWord(index, field);
  put(words, at(QUEUE_WORD.size), [queue.size]);
  put(words, at(QUEUE_WORD.vector), [queue.vector]);
  put(words, at(QUEUE_WORD.enabled), [queue.enabled ? 1 : 0]);
  put(words, at(QUEUE_WORD.descriptors), queue.descriptors);
  put(words, at(QUEUE_WORD.available), queue.available);
  put(words, at(QUEUE_WORD.used), queue.used);
  put(words, at(QUEUE_WORD.taken), [queue.taken]);
  put(words, at(QUEUE_WORD.returned), [queue.returned]);
}

// --- hostile input --------------------------------------------------------------------------------------------------

const WORD_MAX = 0xffff_ffff;
/** virtio 1.x, 5.1.4.1: a device never says less. */
const MIN_MTU = 68;

/** @throws NetStateError */
export function decodeNetState(value: unknown): NetState {
  const fields = recordOf(value, 'it');
  const version = whole(fields, 'version', WORD_MAX);
  if (version !== NET_STATE_VERSION)
    throw new NetStateError(`it is of version ${version}, this host reads version ${NET_STATE_VERSION}`);
  const mac = numbers(fields, 'mac', 2);
  if ((mac[0]! & 1) !== 0 || mac[1]! > 0xffff || (mac[0] === 0 && mac[1] === 0))
    throw new NetStateError("mac is not a station's address");
  const config = numbers(fields, 'config', CONFIG_DWORDS);
  if ((config[PCI.ID >> 2] ?? 0) === 0) throw new NetStateError('config is empty');
  return {
    version,
    mac,
    mtu: mtuOf(fields),
    linkUp: flag(fields, 'linkUp'),
    config,
    msixTable: numbers(fields, 'msixTable', VECTORS * 4),
    msixPending: whole(fields, 'msixPending', (1 << VECTORS) - 1),
    status: whole(fields, 'status', 0xff),
    features: numbers(fields, 'features', 2),
    featureSelect: whole(fields, 'featureSelect', WORD_MAX),
    driverFeatureSelect: whole(fields, 'driverFeatureSelect', WORD_MAX),
    configVector: vector(fields, 'configVector'),
    queueSelect: whole(fields, 'queueSelect', 0xffff),
    isr: whole(fields, 'isr', 3),
    configGeneration: whole(fields, 'configGeneration', 0xff),
    queues: itemsOf(fields, 'queues', QUEUES).map(decodeQueue),
  };
}

function decodeQueue(value: unknown, index: number): QueueState {
  const fields = recordOf(value, `queue ${index}`);
  const size = whole(fields, 'size', MAX_QUEUE_SIZE);
  if (size === 0 || (size & (size - 1)) !== 0) throw new NetStateError(`size ${size} is not a power of two`);
  return {
    size,
    vector: vector(fields, 'vector'),
    enabled: flag(fields, 'enabled'),
    descriptors: numbers(fields, 'descriptors', 2),
    available: numbers(fields, 'available', 2),
    used: numbers(fields, 'used', 2),
    taken: whole(fields, 'taken', 0xffff),
    returned: whole(fields, 'returned', 0xffff),
  };
}

function recordOf(value: unknown, what: string): Record<string, unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new NetStateError(`${what} is not a record`);
  return value as Record<string, unknown>;
}

function isWhole(value: unknown, max: number): value is number {
  return typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= max;
}

function whole(fields: Record<string, unknown>, name: string, max: number): number {
  const value = fields[name];
  if (!isWhole(value, max)) throw new NetStateError(`${name} is not a whole number from 0 to ${max}`);
  return value;
}

function mtuOf(fields: Record<string, unknown>): number {
  const value = whole(fields, 'mtu', 0xffff);
  if (value < MIN_MTU) throw new NetStateError(`an mtu of ${value} is below ${MIN_MTU}`);
  return value;
}

function vector(fields: Record<string, unknown>, name: string): number {
  const value = whole(fields, name, NO_VECTOR);
  if (value >= VECTORS && value !== NO_VECTOR) throw new NetStateError(`${name} ${value} is no vector`);
  return value;
}

function flag(fields: Record<string, unknown>, name: string): boolean {
  const value = fields[name];
  if (typeof value !== 'boolean') throw new NetStateError(`${name} is neither true nor false`);
  return value;
}

function itemsOf(fields: Record<string, unknown>, name: string, count: number): unknown[] {
  const value = fields[name];
  if (!Array.isArray(value) || value.length !== count)
    throw new NetStateError(`${name} is not a list of ${count}`);
  return value;
}

function numbers(fields: Record<string, unknown>, name: string, count: number): number[] {
  const items = itemsOf(fields, name, count);
  if (!items.every((item) => isWhole(item, WORD_MAX)))
    throw new NetStateError(`${name} is not a list of words`);
  return items as number[];
}
