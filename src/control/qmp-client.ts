/**
 * A QMP client: what the CLI uses to steer a running VMM process. Works against QEMU's own sockets too.
 */
import { connect, type Socket } from 'node:net';
import {
  isJsonObject,
  type JsonObject,
  LineSplitter,
  QmpError,
  type QmpErrorClass,
  type QmpEvent,
} from './qmp-protocol.js';

/** Nothing answers at the socket: no such VM, or its process is gone. */
export class QmpConnectError extends Error {
  override readonly name = 'QmpConnectError';
}

interface Waiting {
  resolve(value: unknown): void;
  reject(error: Error): void;
}

export class QmpClient {
  readonly #socket: Socket;
  readonly #lines = new LineSplitter(64 * 1024 * 1024);
  readonly #waiting = new Map<number, Waiting>();
  #nextId = 1;
  /** Called for every event, in order. */
  onEvent: ((event: QmpEvent) => void) | null = null;
  onClose: (() => void) | null = null;

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.on('data', (chunk: Buffer) => {
      for (const line of this.#lines.push(chunk) ?? []) this.#take(line);
    });
    socket.on('error', () => socket.destroy());
    socket.on('close', () => {
      for (const { reject } of this.#waiting.values()) {
        reject(new QmpConnectError('the VMM process closed its control socket'));
      }
      this.#waiting.clear();
      this.onClose?.();
    });
  }

  /** Connects and negotiates. @throws QmpConnectError */
  static async connect(path: string): Promise<QmpClient> {
    const socket = await new Promise<Socket>((resolve, reject) => {
      const opening = connect(path, () => {
        opening.removeAllListeners('error');
        resolve(opening);
      });
      opening.once('error', (error) =>
        reject(new QmpConnectError(`no VMM answers at ${path}: ${error.message}`)),
      );
    });
    const client = new QmpClient(socket);
    await client.execute('qmp_capabilities');
    return client;
  }

  /** @throws QmpError when the other side refuses, QmpConnectError when it goes away. */
  execute<T = unknown>(command: string, args?: JsonObject): Promise<T> {
    const id = this.#nextId++;
    return new Promise<T>((resolve, reject) => {
      if (this.#socket.destroyed) {
        reject(new QmpConnectError('the VMM process closed its control socket'));
        return;
      }
      this.#waiting.set(id, { resolve: resolve as (value: unknown) => void, reject });
      this.#socket.write(
        JSON.stringify({ execute: command, ...(args ? { arguments: args } : {}), id }) + '\n',
      );
    });
  }

  close(): void {
    this.#socket.end();
    this.#socket.unref();
  }

  #take(line: string): void {
    const message: unknown = JSON.parse(line);
    if (!isJsonObject(message)) return;
    if (typeof message['event'] === 'string') {
      this.onEvent?.(message as unknown as QmpEvent);
      return;
    }
    const id = message['id'];
    const waiting = typeof id === 'number' ? this.#waiting.get(id) : undefined;
    if (!waiting) return;
    this.#waiting.delete(id as number);
    const error = message['error'];
    if (isJsonObject(error)) {
      waiting.reject(new QmpError(error['class'] as QmpErrorClass, String(error['desc'])));
    } else waiting.resolve(message['return']);
  }
}
