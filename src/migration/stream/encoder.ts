/**
 * Puts headers on frames, in the order in which they go out. A batch is built in place behind room left for its header,
 * so that page data is copied once.
 */
import { crc32 } from 'node:zlib';
import {
  type Bulk,
  CRC_START_BYTES,
  FRAME_HEADER_BYTES,
  FRAME_MAGIC,
  type FrameType,
  PROTOCOL_VERSION,
} from './frame.js';

const NO_BULK: Bulk = { bytes: 0, hashLow: 0, hashHigh: 0 };

export class FrameEncoder {
  #sequence = 0;
  readonly #version: number;

  /** @param version for tests of the handshake: what this end claims to speak. */
  constructor(version: number = PROTOCOL_VERSION) {
    this.#version = version;
  }

  /**
   * Completes the frame at the start of `buffer`, whose payload is in place at FRAME_HEADER_BYTES. Returns its length.
   * Frames must be sent in the order in which they are sealed.
   */
  seal(buffer: Buffer, type: FrameType, payloadBytes: number, bulk: Bulk = NO_BULK): number {
    const frameBytes = FRAME_HEADER_BYTES + payloadBytes;
    buffer.fill(0, 0, FRAME_HEADER_BYTES);
    buffer.writeUInt32LE(FRAME_MAGIC, 0);
    buffer[8] = this.#version;
    buffer[9] = type;
    buffer.writeUInt32LE(payloadBytes, 12);
    buffer.writeUInt32LE(this.#sequence, 16);
    this.#sequence = (this.#sequence + 1) >>> 0;
    buffer.writeUInt32LE(bulk.hashLow, 20);
    buffer.writeUInt32LE(bulk.hashHigh, 24);
    buffer.writeUInt32LE(bulk.bytes, 28);
    buffer.writeUInt32LE(checksum(buffer, frameBytes, bulk.bytes), 4);
    return frameBytes;
  }

  /** A whole frame in a buffer of its own: for records, not for pages. */
  frame(type: FrameType, payload: Uint8Array): Buffer {
    const buffer = Buffer.allocUnsafe(FRAME_HEADER_BYTES + payload.length);
    buffer.set(payload, FRAME_HEADER_BYTES);
    this.seal(buffer, type, payload.length);
    return buffer;
  }
}

/** Over the header from `version` on and what follows the bulk. */
export function checksum(frame: Buffer, frameBytes: number, bulkBytes: number): number {
  const head = crc32(frame.subarray(CRC_START_BYTES, FRAME_HEADER_BYTES));
  return crc32(frame.subarray(FRAME_HEADER_BYTES + bulkBytes, frameBytes), head);
}
