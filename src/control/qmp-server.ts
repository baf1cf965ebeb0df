/**
 * The control socket of a VMM process: a QMP server over a table of commands. Knows the protocol and nothing of VMs.
 */
import { chmodSync, rmSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import {
  isJsonObject,
  type JsonObject,
  LineSplitter,
  QMP_LIMITS,
  QmpError,
  type QmpGreeting,
  timestampOf,
} from './qmp-protocol.js';

export type QmpHandler = (args: JsonObject) => unknown | Promise<unknown>;

interface Client {
  readonly socket: Socket;
  readonly lines: LineSplitter;
  negotiated: boolean;
  /** Commands of one client run one after the other, in order. */
  tail: Promise<void>;
}

export class QmpServer {
  readonly #server: Server;
  readonly #clients = new Set<Client>();
  readonly #commands: ReadonlyMap<string, QmpHandler>;
  readonly #greeting: QmpGreeting;
  readonly path: string;

  /** @param path Unix socket path; a stale one is replaced. */
  constructor(path: string, commands: ReadonlyMap<string, QmpHandler>, packageName: string) {
    this.path = path;
    this.#commands = commands;
    this.#greeting = {
      QMP: { version: { qemu: { major: 0, minor: 1, micro: 0 }, package: packageName }, capabilities: [] },
    };
    this.#server = createServer((socket) => this.#accept(socket));
  }

  listen(): Promise<void> {
    rmSync(this.path, { force: true });
    return new Promise((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen(this.path, () => {
        chmodSync(this.path, 0o600);
        resolve();
      });
    });
  }

  emit(event: string, data?: JsonObject): void {
    const line = { event, ...(data ? { data } : {}), timestamp: timestampOf(Date.now()) };
    for (const client of this.#clients) if (client.negotiated) this.#send(client, line);
  }

  async close(): Promise<void> {
    for (const client of this.#clients) client.socket.end();
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
    rmSync(this.path, { force: true });
  }

  #accept(socket: Socket): void {
    if (this.#clients.size >= QMP_LIMITS.maxClients) {
      socket.destroy();
      return;
    }
    const client: Client = { socket, lines: new LineSplitter(), negotiated: false, tail: Promise.resolve() };
    this.#clients.add(client);
    const drop = () => this.#clients.delete(client);
    socket.on('close', drop);
    socket.on('error', drop);
    socket.on('data', (chunk: Buffer) => {
      const lines = client.lines.push(chunk);
      if (lines === null) {
        socket.destroy();
        return;
      }
      for (const line of lines) client.tail = client.tail.then(() => this.#serve(client, line));
    });
    this.#send(client, this.#greeting);
  }

  async #serve(client: Client, line: string): Promise<void> {
    let id: unknown;
    try {
      const request = parseRequest(line);
      id = request.id;
      const result = await this.#execute(client, request.execute, request.args);
      this.#send(client, { return: result ?? {}, ...(id === undefined ? {} : { id }) });
    } catch (error) {
      const errorClass = error instanceof QmpError ? error.errorClass : 'GenericError';
      const desc = error instanceof Error ? error.message : String(error);
      this.#send(client, { error: { class: errorClass, desc }, ...(id === undefined ? {} : { id }) });
    }
  }

  #execute(client: Client, name: string, args: JsonObject): unknown | Promise<unknown> {
    if (name === 'qmp_capabilities') {
      client.negotiated = true;
      return {};
    }
    if (!client.negotiated) {
      throw new QmpError('CommandNotFound', 'Expecting capabilities negotiation with qmp_capabilities');
    }
    if (name === 'query-commands') return [...this.#commands.keys()].map((command) => ({ name: command }));
    const handler = this.#commands.get(name);
    if (!handler) throw new QmpError('CommandNotFound', `The command ${name} has not been found`);
    return handler(args);
  }

  #send(client: Client, object: object): void {
    if (client.socket.destroyed) return;
    client.socket.write(JSON.stringify(object) + '\r\n');
    if (client.socket.writableLength > QMP_LIMITS.maxBacklogBytes) client.socket.destroy();
  }
}

function parseRequest(line: string): { execute: string; args: JsonObject; id: unknown } {
  let request: unknown;
  try {
    request = JSON.parse(line);
  } catch {
    throw new QmpError('GenericError', 'Invalid JSON syntax');
  }
  if (!isJsonObject(request)) throw new QmpError('GenericError', 'QMP input must be a JSON object');
  const { execute, arguments: args = {}, id, ...rest } = request;
  const extra = Object.keys(rest)[0];
  if (extra !== undefined) throw new QmpError('GenericError', `QMP input member '${extra}' is unexpected`);
  if (typeof execute !== 'string') throw new QmpError('GenericError', "QMP input lacks member 'execute'");
  if (!isJsonObject(args))
    throw new QmpError('GenericError', "QMP input member 'arguments' must be an object");
  return { execute, args, id };
}
