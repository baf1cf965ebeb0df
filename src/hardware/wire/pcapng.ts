/**
 * A tap: wraps any wire and records what passes, both ways, as a pcapng file with nanosecond timestamps. Writing is
 * buffered and synchronous at block boundaries of the buffer, so that nothing per frame is allocated and a killed
 * process leaves whole blocks behind.
 *
 *     Section Header | Interface Description (Ethernet, if_tsresol 9) | Enhanced Packet ... Enhanced Packet
 */
import { closeSync, openSync, writeSync } from 'node:fs';
import type { Clock } from '../clock.js';
import { copyBytes } from './copy-bytes.js';
import type { FrameSink, Wire } from './wire.js';
import { WireError } from './wire-error.js';

export interface PcapngTapOptions {
  readonly path: string;
  readonly clock: Clock;
  /** The interface's name in the file. */
  readonly name?: string;
  /** Milliseconds of the Unix epoch at this moment; by default the system's. */
  readonly epochMs?: number;
}

const BUFFER_BYTES = 256 * 1024;
/** A quiet wire's frames reach the file after this long. */
const FLUSH_INTERVAL_MS = 200;
const SECTION_HEADER = 0x0a0d0d0a;
const INTERFACE_DESCRIPTION = 1;
const ENHANCED_PACKET = 6;
const BYTE_ORDER_MAGIC = 0x1a2b3c4d;
const LINKTYPE_ETHERNET = 1;
const OPTION_IF_NAME = 2;
const OPTION_IF_TSRESOL = 9;
const OPTION_EPB_FLAGS = 2;
const TSRESOL_NANOSECONDS = 9;
const FLAG_INBOUND = 1;
const FLAG_OUTBOUND = 2;
const PACKET_OVERHEAD_BYTES = 44;
const TWO_32 = 2 ** 32;

export class PcapngTap implements Wire {
  readonly ready: Promise<void>;
  private readonly inner: Wire;
  private readonly clock: Clock;
  private readonly startNs: number;
  /** The Unix time of `startNs` in nanoseconds, in two halves: a double has no room for it. */
  private readonly epochHigh: number;
  private readonly epochLow: number;
  private readonly buffer = Buffer.allocUnsafeSlow(BUFFER_BYTES);
  private used = 0;
  private file: number | null;
  private timer: NodeJS.Timeout | null = null;
  private recording: FrameSink | null = null;
  private readonly tapSink: FrameSink;

  /** @throws WireError when the file cannot be created. */
  constructor(inner: Wire & { readonly ready?: Promise<void> }, options: PcapngTapOptions) {
    this.inner = inner;
    this.clock = options.clock;
    this.startNs = options.clock.nowNs();
    const epochNs = BigInt(Math.round(options.epochMs ?? Date.now())) * 1_000_000n;
    this.epochHigh = Number(epochNs >> 32n);
    this.epochLow = Number(epochNs & 0xffffffffn);
    this.ready = inner.ready ?? Promise.resolve();
    try {
      this.file = openSync(options.path, 'w');
    } catch (error) {
      throw new WireError(`wire pcap:${options.path}: cannot create the file: ${(error as Error).message}`);
    }
    this.tapSink = (bytes, offset, length) => {
      // Recorded first, so that what the frame causes comes after it; taken back when the frame is refused.
      this.record(bytes, offset, length, FLAG_INBOUND);
      const end = this.used;
      const taken = this.recording!(bytes, offset, length);
      if (!taken && this.used === end) this.used -= blockBytesOf(length);
      return taken;
    };
    this.sectionHeader();
    this.interfaceDescription(options.name ?? 'wire');
    this.writeOut();
  }

  get linkUp(): boolean {
    return this.inner.linkUp;
  }

  get stats(): Wire['stats'] {
    return this.inner.stats;
  }

  get onWake(): (() => void) | null {
    return this.inner.onWake;
  }

  set onWake(wake: (() => void) | null) {
    this.inner.onWake = wake;
  }

  get paused(): boolean {
    return this.inner.paused === true;
  }

  receive(sink: FrameSink, budget: number): number {
    this.recording = sink;
    return this.inner.receive(this.tapSink, budget);
  }

  transmit(bytes: Uint8Array, offset: number, length: number): boolean {
    if (!this.inner.transmit(bytes, offset, length)) return false;
    this.record(bytes, offset, length, FLAG_OUTBOUND);
    return true;
  }

  flush(): void {
    this.inner.flush();
  }

  async close(): Promise<void> {
    await this.inner.close();
    if (this.file === null) return;
    this.writeOut();
    closeSync(this.file);
    this.file = null;
  }

  private record(bytes: Uint8Array, offset: number, length: number, flags: number): void {
    if (this.file === null) return;
    const paddedBytes = (length + 3) & ~3;
    const blockBytes = blockBytesOf(length);
    if (this.used + blockBytes > BUFFER_BYTES) this.writeOut();
    const { buffer } = this;
    const sinceNs = this.epochLow + Math.round(this.clock.nowNs() - this.startNs);
    const carry = Math.floor(sinceNs / TWO_32);
    let at = this.used;
    at = buffer.writeUInt32LE(ENHANCED_PACKET, at);
    at = buffer.writeUInt32LE(blockBytes, at);
    at = buffer.writeUInt32LE(0, at);
    at = buffer.writeUInt32LE(this.epochHigh + carry, at);
    at = buffer.writeUInt32LE(sinceNs - carry * TWO_32, at);
    at = buffer.writeUInt32LE(length, at);
    at = buffer.writeUInt32LE(length, at);
    copyBytes(buffer, at, bytes, offset, length);
    buffer.fill(0, at + length, at + paddedBytes);
    at += paddedBytes;
    at = buffer.writeUInt16LE(OPTION_EPB_FLAGS, at);
    at = buffer.writeUInt16LE(4, at);
    at = buffer.writeUInt32LE(flags, at);
    at = buffer.writeUInt32LE(0, at);
    this.used = buffer.writeUInt32LE(blockBytes, at);
    this.timer ??= setTimeout(() => this.writeOut(), FLUSH_INTERVAL_MS).unref();
  }

  private sectionHeader(): void {
    const { buffer } = this;
    let at = buffer.writeUInt32LE(SECTION_HEADER, this.used);
    at = buffer.writeUInt32LE(28, at);
    at = buffer.writeUInt32LE(BYTE_ORDER_MAGIC, at);
    at = buffer.writeUInt16LE(1, at);
    at = buffer.writeUInt16LE(0, at);
    // Section length: not given.
    at = buffer.writeUInt32LE(0xffffffff, at);
    at = buffer.writeUInt32LE(0xffffffff, at);
    this.used = buffer.writeUInt32LE(28, at);
  }

  private interfaceDescription(name: string): void {
    const { buffer } = this;
    const nameBytes = Buffer.from(name.slice(0, 255));
    const paddedNameBytes = (nameBytes.length + 3) & ~3;
    const blockBytes = 16 + 4 + paddedNameBytes + 8 + 4 + 4;
    let at = buffer.writeUInt32LE(INTERFACE_DESCRIPTION, this.used);
    at = buffer.writeUInt32LE(blockBytes, at);
    at = buffer.writeUInt16LE(LINKTYPE_ETHERNET, at);
    at = buffer.writeUInt16LE(0, at);
    // Snap length: none.
    at = buffer.writeUInt32LE(0, at);
    at = buffer.writeUInt16LE(OPTION_IF_NAME, at);
    at = buffer.writeUInt16LE(nameBytes.length, at);
    buffer.fill(0, at, at + paddedNameBytes);
    nameBytes.copy(buffer, at);
    at += paddedNameBytes;
    at = buffer.writeUInt16LE(OPTION_IF_TSRESOL, at);
    at = buffer.writeUInt16LE(1, at);
    at = buffer.writeUInt32LE(TSRESOL_NANOSECONDS, at);
    at = buffer.writeUInt32LE(0, at);
    this.used = buffer.writeUInt32LE(blockBytes, at);
  }

  private writeOut(): void {
    if (this.timer !== null) clearTimeout(this.timer);
    this.timer = null;
    if (this.file === null) return;
    writeSync(this.file, this.buffer, 0, this.used);
    this.used = 0;
  }
}

function blockBytesOf(frameLength: number): number {
  return PACKET_OVERHEAD_BYTES + ((frameLength + 3) & ~3);
}
