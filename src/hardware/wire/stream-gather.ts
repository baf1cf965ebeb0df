/**
 * The sending half of a stream wire: frames are gathered behind their lengths and handed to the socket in one write.
 * Two buffers take turns: while the socket holds one, the other fills; when that is full too, frames are lost.
 * The buffers are private memory (never shared with another thread), because the socket reads them later.
 */
import type { Socket } from 'node:net';
import { copyBytes } from './copy-bytes.js';
import type { WireStats } from './wire.js';
import { MAX_FRAME_BYTES } from './wire.js';

const LENGTH_BYTES = 4;
const GATHER_BYTES = 512 * 1024;
/** Handed over without waiting for flush(): the kernel's side can work on it while the next ones are gathered. */
const EAGER_BYTES = 64 * 1024;
/** While the socket is behind, more than this is not asked for: it keeps the next write large, and room for what cannot wait. */
const FULL_BYTES = 192 * 1024;

export class StreamGather {
  private readonly stats: WireStats;
  private readonly onRoom: () => void;
  private socket: Socket | null = null;
  private filling = Buffer.allocUnsafeSlow(GATHER_BYTES);
  private spare = Buffer.allocUnsafeSlow(GATHER_BYTES);
  private used = 0;
  private frames = 0;
  /** The socket still reads `spare`. */
  private writing = false;
  private flushWanted = false;

  /** Somebody saw that it was full, and waits. */
  private awaited = false;

  /** `onRoom`: it was seen to be full, and is no longer. */
  constructor(stats: WireStats, onRoom: () => void) {
    this.stats = stats;
    this.onRoom = onRoom;
  }

  /**
   * The socket is behind, and the next write is large enough. Long before it could not take more: the rest of a large segment
   * has room, and less of what a station sent last from here is overtaken when it has moved to another host.
   */
  get isFull(): boolean {
    const full = this.writing && this.used >= FULL_BYTES;
    if (full) this.awaited = true;
    return full;
  }

  attach(socket: Socket): void {
    this.socket = socket;
  }

  /** Forgets what was gathered and the socket: its buffer may still be read by the kernel, so it is not used again. */
  detach(): void {
    this.stats.txDropped += this.frames;
    this.socket = null;
    this.used = 0;
    this.frames = 0;
    this.flushWanted = false;
    this.awaited = false;
    if (this.writing) this.spare = Buffer.allocUnsafeSlow(GATHER_BYTES);
    this.writing = false;
  }

  add(bytes: Uint8Array, offset: number, length: number): boolean {
    const stats = this.stats;
    if (length > MAX_FRAME_BYTES) {
      stats.txDropped++;
      return false;
    }
    if (this.used + LENGTH_BYTES + length > GATHER_BYTES) {
      this.flush();
      if (this.used !== 0) {
        stats.txDropped++;
        return false;
      }
    }
    const buffer = this.filling;
    const at = this.used;
    buffer[at] = 0;
    buffer[at + 1] = 0;
    buffer[at + 2] = length >>> 8;
    buffer[at + 3] = length & 0xff;
    copyBytes(buffer, at + LENGTH_BYTES, bytes, offset, length);
    this.used = at + LENGTH_BYTES + length;
    this.frames++;
    stats.txFrames++;
    stats.txBytes += length;
    if (this.used >= EAGER_BYTES && !this.writing) this.flush();
    return true;
  }

  flush(): void {
    const socket = this.socket;
    if (this.used === 0 || socket === null) return;
    if (this.writing) {
      this.flushWanted = true;
      return;
    }
    this.flushWanted = false;
    const full = this.filling;
    const used = this.used;
    this.filling = this.spare;
    this.spare = full;
    this.used = 0;
    this.frames = 0;
    this.writing = true;
    socket.write(full.subarray(0, used), () => this.written(socket));
    // Usually the kernel took it all at once, and the buffer is free before the callback says so.
    if (socket.writableLength === 0) this.writing = false;
  }

  private written(socket: Socket): void {
    if (socket !== this.socket || socket.writableLength !== 0) return;
    this.writing = false;
    if (this.flushWanted) this.flush();
    if (!this.awaited) return;
    this.awaited = false;
    this.onRoom();
  }
}
