/**
 * Channels over TCP and Unix sockets. The socket reads straight into the sink's own buffer, so that received pages are
 * copied once, into guest memory.
 */
import net from 'node:net';
import type { Address, ByteSink, Channel } from './channel.js';
import { ChannelError } from './errors.js';

type SocketAddress = Exclude<Address, { kind: 'file' }>;

/** How long close() lets queued bytes go out before it cuts the link. */
const CLOSE_LIMIT_MS = 1000;

const where = (address: SocketAddress): net.TcpNetConnectOpts | net.IpcNetConnectOpts =>
  address.kind === 'unix' ? { path: address.path } : { host: address.host, port: address.port };

/** Between socket and sink. What comes before there is a sink (no more than a few frames of a handshake) is kept. */
class Inlet {
  #sink: ByteSink | null = null;
  readonly #early = Buffer.allocUnsafeSlow(64 * 1024);
  #earlyBytes = 0;
  #ended: { error: ChannelError | null } | null = null;

  /** What the socket fills next. */
  space(): Buffer {
    return this.#sink ? this.#sink.space() : this.#early.subarray(this.#earlyBytes);
  }

  /** The socket put bytes into `buffer`. Returns false when it should stop reading. */
  filled(bytes: number, buffer: Uint8Array): boolean {
    if (this.#sink === null) {
      this.#earlyBytes += bytes;
      return this.#earlyBytes < this.#early.length;
    }
    // the socket asked for this buffer one read ago: maybe before the sink came
    if (buffer.buffer === this.#early.buffer) this.copied(buffer.subarray(0, bytes));
    else void this.#sink.filled(bytes);
    return true;
  }

  /** For bytes that lie in another buffer. */
  copied(chunk: Uint8Array): void {
    for (let at = 0; at < chunk.length; ) {
      const space = this.space();
      const bytes = Math.min(space.length, chunk.length - at);
      space.set(chunk.subarray(at, at + bytes));
      this.filled(bytes, space);
      at += bytes;
    }
  }

  ended(error: ChannelError | null): void {
    if (this.#ended) return;
    this.#ended = { error };
    this.#sink?.ended(error);
  }

  connect(sink: ByteSink): void {
    this.#sink = sink;
    if (this.#earlyBytes > 0) this.copied(this.#early.subarray(0, this.#earlyBytes));
    this.#earlyBytes = 0;
    if (this.#ended) sink.ended(this.#ended.error);
  }
}

class SocketChannel implements Channel {
  readonly #socket: net.Socket;
  readonly #inlet: Inlet;
  readonly #peer: string;
  #failure: ChannelError | null = null;
  #closing = false;

  constructor(socket: net.Socket, inlet: Inlet, peer: string) {
    this.#socket = socket;
    this.#inlet = inlet;
    this.#peer = peer;
    socket.setNoDelay(true);
    socket.on('error', (error) => {
      this.#failure ??= new ChannelError(`migration link to ${peer}: ${error.message}`);
    });
    socket.on('end', () => inlet.ended(null));
    socket.on('close', () => {
      this.#failure ??= new ChannelError(`migration link to ${peer} is closed`);
      inlet.ended(this.#closing ? null : this.#failure);
    });
  }

  send(bytes: Uint8Array): Promise<void> {
    if (this.#failure) return Promise.reject(this.#failure);
    return new Promise((resolve, reject) => {
      this.#socket.write(bytes, (error) => {
        if (error)
          reject(this.#failure ?? new ChannelError(`migration link to ${this.#peer}: ${error.message}`));
        else resolve();
      });
    });
  }

  receive(sink: ByteSink): void {
    this.#inlet.connect(sink);
    this.#socket.resume();
  }

  close(): Promise<void> {
    this.#closing = true;
    const socket = this.#socket;
    if (socket.closed) return Promise.resolve();
    return new Promise((resolve) => {
      const limit = setTimeout(() => socket.destroy(), CLOSE_LIMIT_MS);
      socket.once('close', () => {
        clearTimeout(limit);
        resolve();
      });
      socket.destroySoon();
    });
  }
}

const onreadOf = (inlet: Inlet): net.OnReadOpts => ({
  buffer: () => inlet.space(),
  callback: (bytes, buffer) => inlet.filled(bytes, buffer),
});

export function connectSocket(address: SocketAddress, peer: string): Promise<Channel> {
  return new Promise((resolve, reject) => {
    const inlet = new Inlet();
    // `onread` belongs to Socket options; connect() takes it too
    const socket = net.connect({ ...where(address), onread: onreadOf(inlet) } as net.NetConnectOpts);
    const failed = (error: Error): void => {
      reject(
        new ChannelError(`cannot reach ${peer}: ${error.message}; is \`srvm receive\` listening there?`),
      );
    };
    socket.once('error', failed);
    socket.once('connect', () => {
      socket.off('error', failed);
      resolve(new SocketChannel(socket, inlet, peer));
    });
  });
}

/** Wraps an accepted socket so that it reads into the sink's buffer, where this Node lets us. */
function acceptedChannel(accepted: net.Socket, peer: string): Channel {
  const inlet = new Inlet();
  const bare = accepted as unknown as { _handle: unknown };
  if (bare._handle) {
    // a server cannot be given `onread`; taking over the accepted handle is the way to the same fast path
    const options = { handle: bare._handle, onread: onreadOf(inlet) } as unknown as net.SocketConstructorOpts;
    bare._handle = null;
    return new SocketChannel(new net.Socket(options), inlet, peer);
  }
  accepted.on('data', (chunk: Buffer) => inlet.copied(chunk));
  return new SocketChannel(accepted, inlet, peer);
}

export interface ChannelListener {
  /** Where it really listens: the port, when 0 was asked for. */
  readonly address: SocketAddress;
  /** The first connection; later ones are turned away. Rejects when closed before. */
  accept(): Promise<Channel>;
  close(): Promise<void>;
}

export function listenSocket(address: SocketAddress): Promise<ChannelListener> {
  return new Promise((resolve, reject) => {
    let give: (channel: Channel) => void = () => {};
    let refuse: (error: Error) => void = () => {};
    const first = new Promise<Channel>((yes, no) => {
      give = yes;
      refuse = no;
    });
    first.catch(() => {}); // nobody need wait for it
    const server = net.createServer({ pauseOnConnect: true, noDelay: true }, (socket) => {
      if (taken) {
        socket.destroy();
        return;
      }
      taken = true;
      give(acceptedChannel(socket, socket.remoteAddress ?? 'the source'));
    });
    let taken = false;
    server.once('error', (error) => reject(new ChannelError(`cannot listen: ${error.message}`)));
    server.listen(where(address), () => {
      const bound = server.address();
      resolve({
        address:
          address.kind === 'tcp' && typeof bound === 'object' && bound
            ? { ...address, port: bound.port }
            : address,
        accept: () => first,
        async close() {
          refuse(new ChannelError('stopped listening before a migration came'));
          // not awaited: a server waits for connections whose handles were taken over, and would wait for ever
          server.close();
        },
      });
    });
  });
}
