/**
 * The receiving half of a stream wire: bytes as they came from the socket, parsed in place. The buffer is linear: what
 * is left moves to its start when the end is reached, so that every frame lies in one piece. When there is no room for
 * another chunk the socket is paused until the holder has taken frames. Lengths come from outside: one that no frame
 * has means that the stream is lost, and the wire closes the connection.
 */
import type { Socket } from 'node:net';
import type { StreamWireStats } from './stream.js';
import type { FrameSink } from './wire.js';
import { MAX_FRAME_BYTES } from './wire.js';

const LENGTH_BYTES = 4;
const MIN_FRAME_BYTES = 14;
/** The most that one read of a socket brings. */
export const READ_BYTES = 64 * 1024;
const BUFFER_BYTES = 1 << 20;
/** Paused with less room than this: the chunk that is under way must fit too. */
const PAUSE_ROOM_BYTES = 2 * READ_BYTES;

export class StreamArrivals {
  /** The peer sent an impossible length; nothing more is parsed until reset(). */
  broken = false;
  private readonly stats: StreamWireStats;
  private readonly bytes = new Uint8Array(BUFFER_BYTES);
  private socket: Socket | null = null;
  private start = 0;
  private end = 0;
  private paused = false;

  constructor(stats: StreamWireStats) {
    this.stats = stats;
  }

  /** How much more fits. */
  get room(): number {
    return BUFFER_BYTES - (this.end - this.start);
  }

  attach(socket: Socket): void {
    this.reset();
    this.socket = socket;
  }

  /** The peer is gone: whole frames that arrived are still offered, half a frame never becomes whole. */
  detach(): void {
    this.socket = null;
    this.paused = false;
  }

  reset(): void {
    this.start = 0;
    this.end = 0;
    this.broken = false;
    this.paused = false;
  }

  /** Takes what the socket read: the first `readBytes` of a buffer that it will use again. */
  add(buffer: Uint8Array, readBytes: number): void {
    if (this.broken) return;
    if (this.end + readBytes > BUFFER_BYTES) this.moveToStart();
    if (this.end + readBytes > BUFFER_BYTES) {
      // Cannot happen while the pause works; a bound all the same.
      this.fail();
      return;
    }
    this.bytes.set(readBytes === buffer.length ? buffer : buffer.subarray(0, readBytes), this.end);
    this.end += readBytes;
    if (this.room < PAUSE_ROOM_BYTES && this.socket !== null) {
      this.paused = true;
      this.socket.pause();
    }
  }

  /** Offers whole frames in order and in place, until the sink refuses, none is left or `budget` were taken. */
  drain(sink: FrameSink, budget: number): number {
    const { bytes, stats, end } = this;
    let start = this.start;
    let taken = 0;
    while (taken < budget && end - start >= LENGTH_BYTES && !this.broken) {
      const length =
        bytes[start]! * 0x1000000 +
        ((bytes[start + 1]! << 16) | (bytes[start + 2]! << 8) | bytes[start + 3]!);
      if (length > MAX_FRAME_BYTES) {
        this.fail();
        break;
      }
      if (end - start - LENGTH_BYTES < length) break;
      if (length < MIN_FRAME_BYTES) {
        stats.rxDropped++;
      } else {
        if (!sink(bytes, start + LENGTH_BYTES, length)) break;
        stats.rxFrames++;
        stats.rxBytes += length;
        taken++;
      }
      start += LENGTH_BYTES + length;
    }
    this.start = start;
    if (start === end) {
      this.start = 0;
      this.end = 0;
    }
    if (this.paused && this.room >= BUFFER_BYTES / 2) {
      this.paused = false;
      this.socket?.resume();
    }
    return taken;
  }

  private fail(): void {
    this.broken = true;
    this.stats.framingErrors++;
    this.stats.rxDropped++;
  }

  private moveToStart(): void {
    this.bytes.copyWithin(0, this.start, this.end);
    this.end -= this.start;
    this.start = 0;
  }
}
