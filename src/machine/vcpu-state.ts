/**
 * A stopped vCPU as data: what a migration carries besides memory pages. Comes from the network or a file, so decoding
 * takes nothing for granted: every field's type, every length, every number's range.
 */
import type { LoadedImage } from '../guest/loaded-image.js';
import { ASYNCIFY_BYTES, ASYNCIFY_HEADER_BYTES, MAX_COMMAND_LINE_BYTES } from './layout.js';
import type { CommonVcpuState, VcpuExit } from './vcpu-kind.js';

export const VCPU_STATE_VERSION = 1;
const GLOBAL_BYTES = 8;

export interface VcpuState extends CommonVcpuState {
  readonly version: number;
  /** memory.size, 64 KiB pages. */
  readonly guestPages: number;
  /** The mutable globals, 8 raw bytes each. */
  readonly globals: Uint8Array;
  /** Asyncify's saved frames; empty for a guest that has not begun, or has ended. */
  readonly frames: Uint8Array;
  /** Interrupt lines that the guest has not taken yet, one bit each. */
  readonly irqPending: number;
  readonly commandLine: Uint8Array;
}

/** A vCPU state that cannot be. */
export class VcpuStateError extends Error {
  constructor(what: string) {
    super(`the vCPU state cannot be restored: ${what}`);
    this.name = 'VcpuStateError';
  }
}

/** Checks a decoded value and returns a copy of exactly the fields that belong. */
export function decodeVcpuState(value: unknown, image: LoadedImage): VcpuState {
  if (typeof value !== 'object' || value === null) throw new VcpuStateError('it is not a record');
  const record = value as Record<string, unknown>;
  const version = integer(record, 'version', 0, 0xffff);
  if (version !== VCPU_STATE_VERSION) {
    throw new VcpuStateError(`it is of version ${version}, this host reads version ${VCPU_STATE_VERSION}`);
  }
  const globals = byteArray(record, 'globals', image.globalTypes.length * GLOBAL_BYTES);
  if (globals.length !== image.globalTypes.length * GLOBAL_BYTES) {
    throw new VcpuStateError(
      `it has ${globals.length} bytes of globals, the image ${image.globalTypes.length} globals`,
    );
  }
  return {
    version,
    guestPages: integer(
      record,
      'guestPages',
      image.initialPages,
      Math.max(image.initialPages, image.maxPages),
    ),
    globals,
    frames: byteArray(record, 'frames', ASYNCIFY_BYTES - ASYNCIFY_HEADER_BYTES),
    irqPending: integer(record, 'irqPending', -(2 ** 31), 2 ** 32 - 1),
    clockNs: finite(record, 'clockNs'),
    commandLine: byteArray(record, 'commandLine', MAX_COMMAND_LINE_BYTES),
    exit: exitOf(record['exit']),
  };
}

function integer(record: Record<string, unknown>, field: string, min: number, max: number): number {
  const value = record[field];
  if (typeof value !== 'number' || !Number.isInteger(value) || value < min || value > max) {
    throw new VcpuStateError(`${field} is not a whole number from ${min} to ${max}`);
  }
  return value;
}

function finite(record: Record<string, unknown>, field: string): number {
  const value = record[field];
  if (typeof value !== 'number' || !(value >= 0) || value > Number.MAX_SAFE_INTEGER) {
    throw new VcpuStateError(`${field} is not a time`);
  }
  return value;
}

function byteArray(record: Record<string, unknown>, field: string, maxBytes: number): Uint8Array {
  const value = record[field];
  if (!(value instanceof Uint8Array)) throw new VcpuStateError(`${field} is not a byte string`);
  if (value.length > maxBytes) {
    throw new VcpuStateError(
      `${field} has ${value.length} bytes, more than the ${maxBytes} there is room for`,
    );
  }
  return new Uint8Array(value);
}

function exitOf(value: unknown): VcpuExit {
  const record = value as { kind?: unknown; exitCode?: unknown } | null | undefined;
  if (record?.kind === 'none') return { kind: 'none' };
  if (record?.kind !== 'halted') throw new VcpuStateError('exit is neither "none" nor "halted"');
  return { kind: 'halted', exitCode: integer(record as Record<string, unknown>, 'exitCode', 0, 2 ** 32 - 1) };
}
