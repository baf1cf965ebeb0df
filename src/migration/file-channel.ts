/**
 * A file as a channel: saving writes the stream to it, restoring reads it back. Nobody answers.
 */
// taken from here it is loaded when a file is opened: most migrations have none
import { promises as files } from 'node:fs';
import type { FileHandle } from 'node:fs/promises';
import type { ByteSink, Channel } from './channel.js';
import { ChannelError, messageOf } from './errors.js';

class FileChannel implements Channel {
  readonly #file: FileHandle;
  readonly #path: string;
  #last: Promise<void> = Promise.resolve();
  #closed: Promise<void> | null = null;

  constructor(file: FileHandle, path: string) {
    this.#file = file;
    this.#path = path;
  }

  send(bytes: Uint8Array): Promise<void> {
    if (this.#closed) return Promise.reject(new ChannelError(`${this.#path} is closed`));
    // in the order of calls: each write waits for the one before
    const sent = this.#last.then(async () => {
      for (let at = 0; at < bytes.length; ) {
        const { bytesWritten } = await this.#file.write(bytes, at, bytes.length - at);
        at += bytesWritten;
      }
    });
    this.#last = sent.catch(() => {});
    return sent.catch((error) => {
      throw new ChannelError(`cannot write ${this.#path}: ${messageOf(error)}`);
    });
  }

  receive(sink: ByteSink): void {
    const read = async (): Promise<void> => {
      while (!this.#closed) {
        const space = sink.space();
        const { bytesRead } = await this.#file.read(space, 0, space.length, null);
        if (bytesRead === 0) break;
        await sink.filled(bytesRead);
      }
    };
    read().then(
      () => sink.ended(null),
      (error) => sink.ended(new ChannelError(`cannot read ${this.#path}: ${messageOf(error)}`)),
    );
  }

  close(): Promise<void> {
    this.#closed ??= this.#last.then(() => this.#file.close()).catch(() => {});
    return this.#closed;
  }
}

export async function openFileChannel(path: string, mode: 'save' | 'restore'): Promise<Channel> {
  try {
    return new FileChannel(await files.open(path, mode === 'save' ? 'w' : 'r'), path);
  } catch (error) {
    throw new ChannelError(`cannot open ${path}: ${messageOf(error)}`);
  }
}
