/** A link between two Unix sockets that can be cut, or held so that answers do not come back. */
import { connect, createServer, type Server, type Socket } from 'node:net';

export class SeverableLink {
  readonly uri: string;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  /** Answers of the destination are kept back. */
  holdAnswers = false;
  /** By the source, so far. */
  bytesSent = 0;

  private constructor(uri: string, server: Server) {
    this.uri = uri;
    this.#server = server;
  }

  /** @param target unix:PATH of the destination */
  static open(path: string, target: string): Promise<SeverableLink> {
    const server = createServer();
    const link = new SeverableLink(`unix:${path}`, server);
    server.on('connection', (near) => link.#join(near, connect(target.slice('unix:'.length))));
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
        if (!to.write(chunk)) {
          from.pause();
          to.once('drain', () => from.resume());
        }
      });
    }
  }
}
