/**
 * Device state on the stream: one CBOR map { format, plugin, version, state }. Decoding treats the bytes as hostile:
 * bounded size before anything is parsed, and only plain data of bounded depth and count afterwards.
 */
import { Decoder, Encoder } from 'cbor-x';
import { checkCbor } from '../migration/stream/cbor-guard.js';
import type { StateFields, StateValue } from './device-view.js';
import { DeviceStateError } from './errors.js';

const FORMAT = 1;
export const MAX_STATE_BYTES = 1 << 20;
const MAX_DEPTH = 16;
const MAX_VALUES = 50_000;

/** Which plugin saved it. */
export interface StateOrigin {
  readonly plugin: string;
  readonly version: string;
}

const encoder = new Encoder({ useRecords: false, tagUint8Array: false, mapsAsObjects: true });
const decoder = new Decoder({ useRecords: false, mapsAsObjects: true });

export function encodeState(origin: StateOrigin, state: StateFields): Uint8Array {
  checkValue(state, 'state', { left: MAX_VALUES }, 0);
  const bytes = encoder.encode({ format: FORMAT, plugin: origin.plugin, version: origin.version, state });
  if (bytes.length > MAX_STATE_BYTES) {
    throw new DeviceStateError(
      `device state of ${bytes.length} bytes: at most ${MAX_STATE_BYTES} are carried`,
    );
  }
  return new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength).slice();
}

export function decodeState(origin: StateOrigin, bytes: Uint8Array): StateFields {
  if (bytes.length === 0 || bytes.length > MAX_STATE_BYTES) {
    throw new DeviceStateError(`device state of ${bytes.length} bytes: 1 to ${MAX_STATE_BYTES} are expected`);
  }
  let outer: unknown;
  try {
    checkCbor(bytes, { maxDepth: MAX_DEPTH + 2, maxItems: MAX_VALUES * 2 });
    outer = decoder.decode(bytes);
  } catch (cause) {
    throw new DeviceStateError(`device state is damaged: ${(cause as Error).message}`, { cause });
  }
  if (!isRecord(outer)) throw new DeviceStateError('device state is not a CBOR map: the stream is damaged');
  if (outer['format'] !== FORMAT) {
    throw new DeviceStateError(
      `device state in format ${String(outer['format'])}: this side reads ${FORMAT}`,
    );
  }
  if (outer['plugin'] !== origin.plugin || outer['version'] !== origin.version) {
    const said = `${String(outer['plugin'])} ${String(outer['version'])}`.slice(0, 100);
    throw new DeviceStateError(`device state is ${said}'s, not ${origin.plugin} ${origin.version}'s`);
  }
  const state = outer['state'];
  if (!isRecord(state)) throw new DeviceStateError('device state carries no fields');
  checkValue(state, 'state', { left: MAX_VALUES }, 0);
  return state as StateFields;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && Object.getPrototypeOf(value) === Object.prototype;
}

function checkValue(
  value: unknown,
  path: string,
  budget: { left: number },
  depth: number,
): asserts value is StateValue {
  if (--budget.left < 0) throw new DeviceStateError(`device state has more than ${MAX_VALUES} values`);
  if (depth > MAX_DEPTH)
    throw new DeviceStateError(`device state is nested deeper than ${MAX_DEPTH} at ${path}`);
  if (value === null || typeof value === 'boolean' || typeof value === 'string') return;
  if (typeof value === 'number' && Number.isFinite(value)) return;
  if (value instanceof Uint8Array) return;
  if (Array.isArray(value)) {
    for (let i = 0; i < value.length; i++) checkValue(value[i], `${path}[${i}]`, budget, depth + 1);
    return;
  }
  if (isRecord(value)) {
    for (const name of Object.keys(value)) checkValue(value[name], `${path}.${name}`, budget, depth + 1);
    return;
  }
  throw new DeviceStateError(`device state: ${path} is neither a number, flag, text, bytes, list nor record`);
}
