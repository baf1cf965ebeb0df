/**
 * A wire over a Unix or TCP socket, in the framing of QEMU's `-netdev stream`: a 4-byte big-endian length, then the
 * frame; many frames in one write.
 *
 *     transmit() -> gather buffer --flush()--> socket ==> socket -> arrivals buffer -> receive()
 *
 * Both directions are bounded. While the socket does not take more, one further gather buffer fills, the wire says that it is
 * paused, and what is transmitted all the same is lost and counted; when the holder does not receive, the socket is paused and the peer feels it. The connecting
 * side tries again with a back-off for as long as the wire is open, so that a restarted switch heals the link; the
 * listening side takes one peer at a time.
 */
import { lstatSync, unlinkSync } from 'node:fs';
import type { Server, Socket } from 'node:net';
import { connect, createServer } from 'node:net';
import { READ_BYTES, StreamArrivals } from './stream-arrivals.js';
import { StreamGather } from './stream-gather.js';
import type { FrameSink, Wire, WireStats } from './wire.js';
import { WireError } from './wire-error.js';
import { zeroWireStats } from './wire-stats.js';

export type StreamAddress =
  | { readonly kind: 'unix'; readonly path: string }
  | { readonly kind: 'tcp'; readonly host: string; readonly port: number };

export interface StreamWireOptions {
  readonly address: StreamAddress;
  /** Listen and take one peer, instead of connecting to one. */
  readonly server: boolean;
  /** First and longest wait between two attempts to connect. */
  readonly retryMinMs?: number;
  readonly retryMaxMs?: number;
}

export interface StreamWireStats extends WireStats {
  /** Connections closed because the peer sent a length that no frame has. */
  framingErrors: number;
  connects: number;
  /** Peers turned away because another one was connected. */
  refusedPeers: number;
}

const RETRY_MIN_MS = 10;
const RETRY_MAX_MS = 500;

/** Where the wire is; `closed` is final. */
type Link =
  | { readonly kind: 'waiting'; readonly timer: NodeJS.Timeout | null }
  | { readonly kind: 'connecting'; readonly socket: Socket }
  | { readonly kind: 'up'; readonly socket: Socket }
  | { readonly kind: 'closed' };

export class StreamWire implements Wire {
  readonly stats: StreamWireStats = { ...zeroWireStats(), framingErrors: 0, connects: 0, refusedPeers: 0 };
  onWake: (() => void) | null = null;
  /** Resolves when the listening side listens (at once for a connecting one); rejects when it cannot. */
  readonly ready: Promise<void>;
  private readonly options: StreamWireOptions;
  private readonly arrivals: StreamArrivals;
  private readonly gather: StreamGather;
  private link: Link = { kind: 'waiting', timer: null };
  private server: Server | null = null;
  private retryMs: number;

  constructor(options: StreamWireOptions) {
    this.options = options;
    this.retryMs = options.retryMinMs ?? RETRY_MIN_MS;
    this.arrivals = new StreamArrivals(this.stats);
    this.gather = new StreamGather(this.stats, () => this.onWake?.());
    if (options.server) {
      this.ready = this.listen();
      // Whoever cares awaits it; an unheard rejection must not end the process.
      this.ready.catch(() => {});
    } else {
      this.ready = Promise.resolve();
      this.tryConnect();
    }
  }

  get linkUp(): boolean {
    return this.link.kind === 'up';
  }

  get paused(): boolean {
    return this.link.kind === 'up' && this.gather.isFull;
  }

  /** Where the listening side of a TCP wire listens: the system's choice when port 0 was asked for. Else null. */
  get listeningPort(): number | null {
    const address = this.server?.address();
    return typeof address === 'object' && address !== null ? address.port : null;
  }

  receive(sink: FrameSink, budget: number): number {
    const taken = this.arrivals.drain(sink, budget);
    if (this.arrivals.broken) this.dropPeer();
    return taken;
  }

  transmit(bytes: Uint8Array, offset: number, length: number): boolean {
    if (this.link.kind !== 'up') {
      this.stats.txDropped++;
      return false;
    }
    return this.gather.add(bytes, offset, length);
  }

  flush(): void {
    this.gather.flush();
  }

  async close(): Promise<void> {
    const link = this.link;
    if (link.kind === 'closed') return;
    this.link = { kind: 'closed' };
    this.gather.flush();
    this.gather.detach();
    if (link.kind === 'waiting' && link.timer !== null) clearTimeout(link.timer);
    if (link.kind === 'connecting') link.socket.destroy();
    if (link.kind === 'up') {
      // What was handed to the socket still goes out; the peer sees an orderly end.
      await new Promise<void>((resolve) => {
        link.socket.once('close', () => resolve());
        link.socket.end(() => link.socket.destroy());
        setTimeout(() => link.socket.destroy(), RETRY_MAX_MS).unref();
      });
    }
    const server = this.server;
    if (server !== null) await new Promise<void>((resolve) => server.close(() => resolve()));
  }

  // ---- the link -----------------------------------------------------------------------------------------------------

  private tryConnect(): void {
    const { address } = this.options;
    // Read into one buffer for good: half the cost of a fresh one per read, which is all an accepted socket offers.
    const onread = {
      buffer: Buffer.allocUnsafeSlow(READ_BYTES),
      callback: (readBytes: number, buffer: Uint8Array): boolean => {
        this.received(socket, buffer, readBytes);
        return true;
      },
    };
    const socket: Socket =
      address.kind === 'unix'
        ? connect({ path: address.path, onread })
        : connect({ host: address.host, port: address.port, noDelay: true, onread });
    this.link = { kind: 'connecting', socket };
    socket.once('connect', () => this.adopt(socket));
    // An attempt that fails ends in 'close'; 'error' only says why.
    socket.on('error', () => {});
    socket.once('close', () => this.lost(socket));
  }

  private adopt(socket: Socket): void {
    if (this.link.kind === 'closed') {
      socket.destroy();
      return;
    }
    this.link = { kind: 'up', socket };
    this.stats.connects++;
    this.retryMs = this.options.retryMinMs ?? RETRY_MIN_MS;
    this.gather.attach(socket);
    this.arrivals.attach(socket);
    this.onWake?.();
  }

  private received(socket: Socket, bytes: Uint8Array, readBytes: number): void {
    if (this.link.kind !== 'up' || this.link.socket !== socket) return;
    this.arrivals.add(bytes, readBytes);
    this.onWake?.();
  }

  private dropPeer(): void {
    if (this.link.kind === 'up') this.link.socket.destroy();
    this.arrivals.reset();
  }

  private lost(socket: Socket): void {
    const link = this.link;
    if ((link.kind !== 'up' && link.kind !== 'connecting') || link.socket !== socket) return;
    this.gather.detach();
    this.arrivals.detach();
    if (this.options.server) {
      this.link = { kind: 'waiting', timer: null };
    } else {
      const timer = setTimeout(() => this.tryConnect(), this.retryMs);
      this.link = { kind: 'waiting', timer };
      this.retryMs = Math.min(this.retryMs * 2, this.options.retryMaxMs ?? RETRY_MAX_MS);
    }
    if (link.kind === 'up') this.onWake?.();
  }

  // ---- the listening side -------------------------------------------------------------------------------------------

  private async listen(): Promise<void> {
    const { address } = this.options;
    try {
      this.server = await this.listenOnce();
    } catch (error) {
      if (!(address.kind === 'unix' && isInUse(error) && (await isStale(address.path)))) {
        throw this.cannotListen(error);
      }
      unlinkSync(address.path);
      this.server = await this.listenOnce().catch((again: unknown) => {
        throw this.cannotListen(again);
      });
    }
    if (this.link.kind === 'closed') this.server.close();
  }

  private listenOnce(): Promise<Server> {
    const { address } = this.options;
    const server = createServer({ noDelay: true }, (socket) => {
      socket.on('error', () => {});
      if (this.link.kind !== 'waiting') {
        this.stats.refusedPeers++;
        socket.destroy();
        return;
      }
      socket.once('close', () => this.lost(socket));
      socket.on('data', (chunk) => this.received(socket, chunk, chunk.length));
      this.adopt(socket);
    });
    return new Promise((resolve, reject) => {
      server.once('error', reject);
      server.listen(
        address.kind === 'unix' ? { path: address.path } : { host: address.host, port: address.port },
        () => {
          server.off('error', reject);
          resolve(server);
        },
      );
    });
  }

  private cannotListen(error: unknown): WireError {
    const { address } = this.options;
    const where = address.kind === 'unix' ? `unix:${address.path}` : `tcp:${address.host}:${address.port}`;
    const why = isInUse(error)
      ? 'it is taken (somebody listens there, or a file is in the way)'
      : String((error as Error).message);
    return new WireError(`wire ${where},server: cannot listen: ${why}`);
  }
}

function isInUse(error: unknown): boolean {
  return (error as NodeJS.ErrnoException).code === 'EADDRINUSE';
}

/** A socket file that nobody listens on any more. Never a file of another kind: that one is somebody's. */
async function isStale(path: string): Promise<boolean> {
  if (!lstatSync(path).isSocket()) return false;
  return new Promise((resolve) => {
    const probe = connect({ path });
    probe.once('connect', () => {
      probe.destroy();
      resolve(false);
    });
    probe.once('error', (error: NodeJS.ErrnoException) => resolve(error.code === 'ECONNREFUSED'));
  });
}
