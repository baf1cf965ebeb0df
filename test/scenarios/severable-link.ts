/** A link between source and destination that can be cut, slowed, or held so that answers do not come back. */
import { connect, createServer, type Server, type Socket } from 'node:net';

export class SeverableLink {
  readonly uri: string;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  /** Answers of the destination are kept back. */
  holdAnswers = false;
  /** Answers of the destination come after this. */
  answersAfter: Promise<unknown> | null = null;
  /** Answers of the destination take this long: time to see what the source does with one before the next comes. */
  answerDelayMs = 0;
  /** By the source, so far. */
  bytesSent = 0;

  private constructor(uri: string, server: Server) {
    this.uri = uri;
    this.#server = server;
  }

  /** @param target unix:PATH or tcp:HOST:PORT of the destination */
  static open(path: string, target: string): Promise<SeverableLink> {
    const server = createServer();
    const link = new SeverableLink(`unix:${path}`, server);
    server.on('connection', (near) => link.#join(near, connectTo(target)));
    return new Promise((resolve, reject) => {
      server.once('error', reject);
      server.listen(path, () => resolve(link));
    });
  }

  /** Both ends see their connection break. */
  cut(): void {
    for (const socket of this.#sockets) socket.destroy();
    this.#sockets.clear();
  }

  async close(): Promise<void> {
    this.cut();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #join(near: Socket, far: Socket): void {
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const) {
      this.#sockets.add(from);
      from.on('error', () => from.destroy());
      from.on('close', () => to.destroy());
      from.on('end', () => to.end());
      from.on('data', (chunk) => {
        if (from === near) this.bytesSent += chunk.length;
        else if (this.holdAnswers) return;
        else if (this.answersAfter !== null) {
          void this.answersAfter.then(() => to.writable && to.write(chunk));
          return;
        } else if (this.answerDelayMs > 0) {
          setTimeout(() => to.writable && to.write(chunk), this.answerDelayMs);
          return;
        }
        if (!to.write(chunk)) {
          from.pause();
          to.once('drain', () => from.resume());
        }
      });
    }
  }
}

function connectTo(target: string): Socket {
  const [kind, host, port] = target.split(':') as [string, string, string?];
  return kind === 'unix' ? connect(target.slice('unix:'.length)) : connect(Number(port), host);
}
