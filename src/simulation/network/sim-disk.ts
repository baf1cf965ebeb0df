/**
 * A disk for `file:` migrations, in memory: written at its speed until it is full, read back in pieces. What it says when
 * it fails is what the file channel says.
 *
 *   save(path, host) -> Channel --write, write, ...--> files     full: ENOSPC, and part of the last write is there
 *   restore(path, host) -> ListeningChannel --accept()--> Channel <--read, read, ... end
 */
import type { ByteSink, Channel } from '../../migration/channel.js';
import type { ListeningChannel } from '../../migration/destination-stream.js';
import { ChannelError } from '../../migration/errors.js';
import type { Choices } from '../clockwork/choices.js';
import type { HostTime } from '../clockwork/host-time.js';
import type { Scheduler } from '../clockwork/scheduler.js';

export interface DiskOptions {
  readonly capacityBytes: number;
  readonly bytesPerSecond: number;
  /** Of each write and read, at most; seeded. */
  readonly maxLatencyNs: number;
}

/** A fast local disk with room. */
export const FAST_DISK: DiskOptions = {
  capacityBytes: Number.POSITIVE_INFINITY,
  bytesPerSecond: 2e9,
  maxLatencyNs: 100_000,
};

interface SimFile {
  readonly path: string;
  readonly writes: Uint8Array[];
}

export class SimDisk {
  /** Files of living hosts that nobody closed. */
  openFiles = 0;
  capacityBytes: number;
  readonly #scheduler: Scheduler;
  readonly #choices: Choices;
  readonly #options: DiskOptions;
  readonly #files = new Map<string, SimFile>();
  #usedBytes = 0;

  constructor(scheduler: Scheduler, choices: Choices, options: Partial<DiskOptions> = {}) {
    this.#scheduler = scheduler;
    this.#choices = choices;
    this.#options = { ...FAST_DISK, ...options };
    this.capacityBytes = this.#options.capacityBytes;
  }

  /** Begins a file anew. */
  save(path: string, host: HostTime): Promise<Channel> {
    const old = this.#files.get(path);
    if (old !== undefined) for (const bytes of old.writes) this.#usedBytes -= bytes.length;
    const file: SimFile = { path, writes: [] };
    this.#files.set(path, file);
    return this.#open(file, host);
  }

  /** Opens a file to be read: what the destination listens to. */
  async restore(path: string, host: HostTime): Promise<ListeningChannel> {
    const file = this.#files.get(path);
    if (file === undefined) {
      throw new ChannelError(`cannot open ${path}: ENOENT: no such file or directory, open '${path}'`);
    }
    const channel = await this.#open(file, host);
    return { address: `file:${path}`, accept: async () => channel, close: () => channel.close() };
  }

  /** Puts bytes behind the others, as many as there is room for. Returns how many. */
  append(file: SimFile, bytes: Uint8Array): number {
    const fits = Math.max(0, Math.min(bytes.length, this.capacityBytes - this.#usedBytes));
    file.writes.push(bytes.slice(0, fits));
    this.#usedBytes += fits;
    return fits;
  }

  /** Calls when the disk has moved so many bytes. */
  after(bytes: number, what: string, call: () => void, host: HostTime): void {
    const latencyNs = this.#choices.int(this.#options.maxLatencyNs + 1);
    this.#scheduler.at((bytes * 1e9) / this.#options.bytesPerSecond + latencyNs, what, call, host);
  }

  /** How much one read brings. */
  drawReadBytes(most: number): number {
    return this.#choices.between(1, most);
  }

  #open(file: SimFile, host: HostTime): Promise<Channel> {
    this.openFiles++;
    let isOpen = true;
    const letGo = (): void => {
      if (isOpen) this.openFiles--;
      isOpen = false;
    };
    host.onCrash(letGo);
    return new Promise((resolve) => {
      this.after(0, 'open', () => resolve(new SimFileChannel(this, file, host, letGo)), host);
    });
  }
}

class SimFileChannel implements Channel {
  readonly #disk: SimDisk;
  readonly #file: SimFile;
  readonly #host: HostTime;
  readonly #letGo: () => void;
  #last: Promise<void> = Promise.resolve();
  #closed: Promise<void> | null = null;

  constructor(disk: SimDisk, file: SimFile, host: HostTime, letGo: () => void) {
    this.#disk = disk;
    this.#file = file;
    this.#host = host;
    this.#letGo = letGo;
  }

  send(bytes: Uint8Array): Promise<void> {
    const { path } = this.#file;
    if (this.#closed) return Promise.reject(new ChannelError(`${path} is closed`));
    // in the order of calls: each write waits for the one before
    const sent = this.#last.then(() => this.#write(bytes));
    this.#last = sent.catch(() => {});
    return sent;
  }

  receive(sink: ByteSink): void {
    const whole = Buffer.concat(this.#file.writes);
    const read = async (): Promise<void> => {
      for (let at = 0; at < whole.length && !this.#closed; ) {
        const space = sink.space();
        const bytes = this.#disk.drawReadBytes(Math.min(space.length, whole.length - at));
        await this.#moved(bytes, 'read');
        whole.copy(space, 0, at, at + bytes);
        at += bytes;
        await sink.filled(bytes);
      }
    };
    void read().then(() => sink.ended(null));
  }

  close(): Promise<void> {
    this.#closed ??= this.#last.then(() => this.#letGo());
    return this.#closed;
  }

  async #write(bytes: Uint8Array): Promise<void> {
    await this.#moved(bytes.length, 'write');
    if (this.#disk.append(this.#file, bytes) < bytes.length) {
      throw new ChannelError(`cannot write ${this.#file.path}: ENOSPC: no space left on device, write`);
    }
  }

  #moved(bytes: number, what: string): Promise<void> {
    return new Promise((resolve) => {
      this.#disk.after(bytes, what, resolve, this.#host);
    });
  }
}
