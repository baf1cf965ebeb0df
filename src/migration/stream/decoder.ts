/**
 * Takes frames out of bytes that arrive in any pieces. One buffer of fixed size: the link reads straight into it, frames
 * are handed out in place, what is left of an incomplete one moves to the front.
 *
 *   space() -> link reads into it -> filled(n) -> next() until null -> space() ...
 *
 * Its input is hostile: every header field is checked before it is used, and after the first error it takes nothing more.
 */
import { PAGE_BYTES } from '../../hardware/units.js';
import { StreamFormatError } from '../errors.js';
import { createHashedBuffer, type HashedBuffer } from '../page-helper.js';
import { checksum } from './encoder.js';
import {
  DEFAULT_LIMITS,
  FRAME,
  FRAME_HEADER_BYTES,
  FRAME_MAGIC,
  frameName,
  maxFrameBytes,
  maxPayloadBytes,
  PROTOCOL_VERSION,
  type StreamLimits,
} from './frame.js';

export interface Frame {
  readonly type: number;
  /** Valid until the next call of next() or space(): copy what must stay. */
  readonly payload: Buffer;
}

export class FrameDecoder {
  readonly #limits: StreamLimits;
  readonly #hashed: HashedBuffer;
  readonly #buffer: Buffer;
  #start = 0;
  #end = 0;
  #sequence = 0;
  #failed: StreamFormatError | null = null;

  constructor(limits: StreamLimits = DEFAULT_LIMITS) {
    this.#limits = limits;
    // one frame being completed, and as much again for what the link delivers behind it
    this.#hashed = createHashedBuffer(2 * maxFrameBytes(limits));
    this.#buffer = this.#hashed.bytes;
  }

  /** Where the link may put its next bytes; never empty. Invalidates payloads handed out before. */
  space(): Buffer {
    if (this.#start > 0) {
      this.#buffer.copyWithin(0, this.#start, this.#end);
      this.#end -= this.#start;
      this.#start = 0;
    }
    return this.#buffer.subarray(this.#end);
  }

  filled(bytes: number): void {
    this.#end += bytes;
  }

  /** The next whole frame, or null when more bytes are needed. Throws StreamFormatError, then always the same one. */
  next(): Frame | null {
    if (this.#failed) throw this.#failed;
    const have = this.#end - this.#start;
    if (have < FRAME_HEADER_BYTES) return null;
    const payloadBytes = this.#checkHeader();
    const frameBytes = FRAME_HEADER_BYTES + payloadBytes;
    if (have < frameBytes) return null;
    const at = this.#start;
    const buffer = this.#buffer;
    this.#checkSums(frameBytes);
    this.#sequence = (this.#sequence + 1) >>> 0;
    this.#start += frameBytes;
    return { type: buffer[at + 9]!, payload: buffer.subarray(at + FRAME_HEADER_BYTES, at + frameBytes) };
  }

  /** Call when the link has ended: bytes of half a frame are an error, nothing left is not. */
  ended(): void {
    const left = this.#end - this.#start;
    if (left > 0 && !this.#failed)
      this.#fail(`the stream ends in the middle of a frame, ${left} bytes after its start`);
  }

  #checkHeader(): number {
    const buffer = this.#buffer;
    const at = this.#start;
    if (buffer.readUInt32LE(at) !== FRAME_MAGIC) this.#fail('no frame here: the magic number is wrong');
    const version = buffer[at + 8]!;
    if (version !== PROTOCOL_VERSION) {
      this.#fail(
        `protocol version ${version}; this end speaks ${PROTOCOL_VERSION}: use the same srvm on both ends`,
      );
    }
    const type = buffer[at + 9]!;
    const limitBytes = maxPayloadBytes(type, this.#limits);
    if (limitBytes < 0) this.#fail(`unknown frame type ${type}`);
    const lengthBytes = buffer.readUInt32LE(at + 12);
    if (lengthBytes > limitBytes) {
      this.#fail(`a ${frameName(type)} frame of ${lengthBytes} bytes; the limit is ${limitBytes}`);
    }
    const sequence = buffer.readUInt32LE(at + 16);
    if (sequence !== this.#sequence) {
      this.#fail(
        `${frameName(type)} frame number ${sequence} where ${this.#sequence} was due: lost, repeated or moved`,
      );
    }
    if (buffer.readUInt16LE(at + 10) !== 0) this.#fail('reserved header bytes are not zero');
    const bulkBytes = buffer.readUInt32LE(at + 28);
    if (bulkBytes > (type === FRAME.pages ? lengthBytes : 0) || bulkBytes % PAGE_BYTES !== 0) {
      this.#fail(`${bulkBytes} bytes of page data in a ${frameName(type)} frame of ${lengthBytes} bytes`);
    }
    return lengthBytes;
  }

  #checkSums(frameBytes: number): void {
    const at = this.#start;
    const buffer = this.#buffer;
    const bulkBytes = buffer.readUInt32LE(at + 28);
    const frame = buffer.subarray(at, at + frameBytes);
    const bulkAt = at + FRAME_HEADER_BYTES;
    const bulkIsRight =
      bulkBytes === 0 ||
      (this.#hashed.hash(bulkAt, bulkAt + bulkBytes) === buffer.readUInt32LE(at + 20) &&
        this.#hashed.hashHigh() === buffer.readUInt32LE(at + 24));
    if (checksum(frame, frameBytes, bulkBytes) !== buffer.readUInt32LE(at + 4) || !bulkIsRight) {
      this.#fail(`checksum of the ${frameName(frame[9]!)} frame is wrong: the stream was damaged on its way`);
    }
  }

  #fail(message: string): never {
    this.#failed = new StreamFormatError(`migration stream: ${message}`);
    throw this.#failed;
  }
}
