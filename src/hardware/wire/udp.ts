/**
 * A wire over UDP: one Ethernet frame a datagram, as QEMU's `-netdev dgram` and `socat` send them. Arrivals wait in a
 * bounded ring; UDP has no link, so it counts as up once the socket is bound.
 */
import type { Socket } from 'node:dgram';
import { createSocket } from 'node:dgram';
import type { LookupOneOptions } from 'node:dns';
import { lookup } from 'node:dns';
import { lookup as resolve } from 'node:dns/promises';
import { isIP } from 'node:net';
import { copyBytes } from './copy-bytes.js';
import { FrameRing } from './frame-ring.js';
import type { FrameSink, Wire } from './wire.js';
import { MAX_FRAME_BYTES } from './wire.js';
import { WireError } from './wire-error.js';
import { zeroWireStats } from './wire-stats.js';

export interface UdpEndpoint {
  readonly host: string;
  readonly port: number;
}

export interface UdpWireOptions {
  /** Where frames go. */
  readonly remote: UdpEndpoint;
  /** Where frames are expected; any free port if not given. */
  readonly local?: UdpEndpoint;
}

const RING_BYTES = 1 << 20;
const SOCKET_BUFFER_BYTES = 1 << 20;
/** Datagrams handed to the kernel and not yet confirmed; each has its own copy. */
const MAX_IN_FLIGHT = 256;
const MIN_FRAME_BYTES = 14;

export class UdpWire implements Wire {
  readonly stats = zeroWireStats();
  onWake: (() => void) | null = null;
  /** Resolves when the socket is bound; rejects when it cannot be. */
  readonly ready: Promise<void>;
  private remote: UdpEndpoint;
  private readonly socket: Socket;
  private readonly arrivals = new FrameRing(new Uint8Array(RING_BYTES));
  private readonly freeCopies: Buffer[] = [];
  private inFlight = 0;
  private state: 'binding' | 'up' | 'closed' = 'binding';

  constructor(options: UdpWireOptions) {
    this.remote = options.remote;
    const family = options.remote.host.includes(':') ? 'udp6' : 'udp4';
    this.socket = createSocket({ type: family, lookup: lookupUnlessAddress });
    const local = options.local ?? { host: family === 'udp6' ? '::' : '0.0.0.0', port: 0 };
    this.ready = this.bind(local);
    this.ready.catch(() => {});
    this.socket.on('message', (message) => this.arrived(message));
    // An unreachable peer shows as an error of a later call; the frame counts as sent, as on any wire.
    this.socket.on('error', () => {});
  }

  get linkUp(): boolean {
    return this.state === 'up';
  }

  /** The port that frames are expected at. */
  get localPort(): number {
    return this.socket.address().port;
  }

  receive(sink: FrameSink, budget: number): number {
    return this.arrivals.drain(sink, budget, this.stats);
  }

  transmit(bytes: Uint8Array, offset: number, length: number): boolean {
    if (this.state !== 'up' || this.inFlight >= MAX_IN_FLIGHT || length > MAX_FRAME_BYTES) {
      this.stats.txDropped++;
      return false;
    }
    const copy = this.freeCopies.pop() ?? Buffer.allocUnsafeSlow(MAX_FRAME_BYTES);
    copyBytes(copy, 0, bytes, offset, length);
    this.inFlight++;
    this.socket.send(copy, 0, length, this.remote.port, this.remote.host, (error) => {
      this.inFlight--;
      this.freeCopies.push(copy);
      if (error) this.stats.txDropped++;
    });
    this.stats.txFrames++;
    this.stats.txBytes += length;
    return true;
  }

  flush(): void {}

  async close(): Promise<void> {
    if (this.state === 'closed') return;
    this.state = 'closed';
    await new Promise<void>((resolve) => this.socket.close(() => resolve()));
  }

  private arrived(message: Uint8Array): void {
    if (message.length < MIN_FRAME_BYTES || !this.arrivals.push(message, 0, message.length)) {
      this.stats.rxDropped++;
      return;
    }
    this.onWake?.();
  }

  private async bind(local: UdpEndpoint): Promise<void> {
    const { host, port } = this.remote;
    if (isIP(host) === 0) {
      const found = await resolve(host, 4).catch((error: Error) => {
        throw new WireError(`wire udp:${host}:${port}: the host is not known: ${error.message}`);
      });
      this.remote = { host: found.address, port };
    }
    await this.bindSocket(local);
  }

  private bindSocket(local: UdpEndpoint): Promise<void> {
    return new Promise((resolve, reject) => {
      const fail = (error: NodeJS.ErrnoException): void => {
        const why = error.code === 'EADDRINUSE' ? 'the port is in use' : error.message;
        reject(new WireError(`wire udp: cannot bind ${local.host}:${local.port}: ${why}`));
      };
      this.socket.once('error', fail);
      this.socket.bind({ address: local.host, port: local.port }, () => {
        this.socket.off('error', fail);
        if (this.state === 'closed') return;
        this.state = 'up';
        this.socket.setRecvBufferSize(SOCKET_BUFFER_BYTES);
        this.socket.setSendBufferSize(SOCKET_BUFFER_BYTES);
        resolve();
        this.onWake?.();
      });
    });
  }
}

/** Node asks this for every datagram: an address answers at once, so that sending stays synchronous. */
function lookupUnlessAddress(
  host: string,
  options: LookupOneOptions,
  callback: (error: NodeJS.ErrnoException | null, address: string, family: number) => void,
): void {
  const family = isIP(host);
  if (family !== 0) callback(null, host, family);
  else lookup(host, options, callback);
}
