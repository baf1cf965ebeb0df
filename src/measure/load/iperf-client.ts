/**
 * A client of the guest's iperf3 server, on a traffic peer: TCP into the guest, or out of it. The client's own program is not
 * needed for it, nor a network stack of the host's.
 *
 *   control: cookie -> parameters wanted -> parameters -> streams wanted       data: cookie -> zeros, one way or the other
 *            -> started -> running ... both connections are reset: the server waits for its next client
 */
import { ipNumber } from '../../hardware/wire/frames.js';
import { TcpConnection } from './tcp-connection.js';
import type { Load, TrafficPeer } from './traffic-peer.js';

export interface IperfClientOptions {
  readonly peer: TrafficPeer;
  readonly targetIp: string;
  readonly targetPort?: number;
  /** Out of the guest. */
  readonly reverse: boolean;
}

/** The server did not do what was asked of it in time. */
export class IperfError extends Error {
  override readonly name = 'IperfError';
}

/** States of the protocol, as its control connection names them. */
const STATE = { running: 2, exchangeParameters: 9, createStreams: 10, accessDenied: 255 } as const;
const IPERF_PORT = 5201;
const COOKIE_BYTES = 37;
/** The server gives up a client that has not ended by then. */
const LONGEST_S = 600;
const TRY_MS = 20_000;
const LOOK_EVERY_MS = 10;
const BETWEEN_TRIES_MS = 300;
const DRAIN_MS = 3_000;
const RESETS = 5;
const BETWEEN_RESETS_MS = 40;

const later = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

export class IperfClient implements Load {
  readonly #o: IperfClientOptions;
  readonly #targetIp: number;
  readonly #cookie: Uint8Array;
  #control: TcpConnection | null = null;
  #data: TcpConnection | null = null;
  #running = false;
  #stopListening: (() => void) | null = null;

  constructor(options: IperfClientOptions) {
    this.#o = options;
    this.#targetIp = ipNumber(options.targetIp);
    this.#cookie = Buffer.from(`srvm${String(options.peer.freePort()).padStart(COOKIE_BYTES - 5, '0')}\0`);
  }

  /** Resolves when data flows. A server that is busy or still starting is asked again until then. */
  async start(limitMs = 120_000): Promise<void> {
    const { peer } = this.#o;
    const endMs = performance.now() + limitMs;
    this.#stopListening = peer.onSegment((bytes, at, length, nowNs) => {
      const port = (bytes[at + 2]! << 8) | bytes[at + 3]!;
      for (const connection of [this.#control, this.#data]) {
        if (connection?.flow.sourcePort === port) connection.take(bytes, at, length, nowNs);
      }
    });
    peer.addLoad(this);
    while (!this.#running) {
      if (performance.now() > endMs) {
        await this.stop();
        throw new IperfError(`the guest's iperf3 server has not begun a test within ${limitMs} ms`);
      }
      this.#abort();
      await this.#attempt();
      if (!this.#running) await later(BETWEEN_TRIES_MS);
    }
  }

  /** Data bytes that have arrived at the end they were sent to. */
  get bytes(): number {
    const data = this.#data;
    return data === null ? 0 : this.#o.reverse ? data.receivedBytes : data.acknowledgedBytes;
  }

  get retransmissions(): number {
    return this.#data?.retransmissions ?? 0;
  }

  /** False when the guest has ended the connection: nothing flows any more. */
  get isOpen(): boolean {
    return this.#data?.state === 'open';
  }

  /** Resolves when the server has been told, as well as can be told to one that may not hear. */
  async stop(): Promise<void> {
    const [data, control] = [this.#data, this.#control];
    if (data !== null) data.flooding = false;
    for (let waitedMs = 0; data?.isDrained === false && waitedMs < DRAIN_MS; waitedMs += LOOK_EVERY_MS) {
      await later(LOOK_EVERY_MS);
    }
    for (let told = 0; told < RESETS; told++) {
      data?.abort();
      control?.abort();
      await later(BETWEEN_RESETS_MS);
    }
    this.#stopListening?.();
    this.#o.peer.removeLoad(this);
  }

  step(nowNs: number): number {
    return (this.#control?.step(nowNs) ?? 0) + (this.#data?.step(nowNs) ?? 0);
  }

  nextDueNs(): number {
    const none = Number.POSITIVE_INFINITY;
    return Math.min(this.#control?.nextDueNs() ?? none, this.#data?.nextDueNs() ?? none);
  }

  async #attempt(): Promise<void> {
    const endMs = performance.now() + TRY_MS;
    const inTime = () => performance.now() < endMs;
    while (this.#o.peer.resolve(this.#targetIp) === null && inTime()) await later(LOOK_EVERY_MS);
    const control = this.#connect();
    if (control === null) return;
    this.#control = control;
    control.onData = (bytes) => {
      for (const state of bytes) this.#follow(state, control);
    };
    control.write(this.#cookie);
    while (!this.#running && control.state !== 'closed' && inTime()) await later(LOOK_EVERY_MS);
  }

  #follow(state: number, control: TcpConnection): void {
    if (state === STATE.exchangeParameters) control.write(parameters(this.#o.reverse));
    else if (state === STATE.createStreams) {
      this.#data = this.#connect();
      this.#data?.write(this.#cookie);
    } else if (state === STATE.running && this.#data !== null) {
      this.#running = true;
      this.#data.flooding = !this.#o.reverse;
    } else if (state === STATE.accessDenied) control.abort();
  }

  #connect(): TcpConnection | null {
    const { peer, targetPort = IPERF_PORT } = this.#o;
    const targetMac = peer.resolve(this.#targetIp);
    if (targetMac === null) return null;
    const sourcePort = peer.freePort();
    // taken, so that the next connection has another
    peer.bindUdp(sourcePort, () => {});
    const ends = { sourceMac: peer.mac, targetMac, sourceIp: peer.ip, targetIp: this.#targetIp };
    const nowNs = peer.clock.nowNs();
    return new TcpConnection(
      { ...ends, sourcePort, targetPort },
      Math.floor(nowNs / 1000) % 2 ** 32,
      (bytes, offset, length) => peer.transmit(bytes, offset, length),
      nowNs,
    );
  }

  #abort(): void {
    this.#data?.abort();
    this.#control?.abort();
    this.#data = null;
    this.#control = null;
  }
}

function parameters(reverse: boolean): Uint8Array {
  const text = JSON.stringify({
    ...{ tcp: true, omit: 0, time: LONGEST_S, num: 0, blockcount: 0, parallel: 1, len: 128 * 1024 },
    ...(reverse ? { reverse: true } : {}),
    pacing_timer: 1000,
    client_version: '3.18',
  });
  const message = Buffer.alloc(4 + text.length);
  message.writeUInt32BE(text.length);
  message.write(text, 4);
  return message;
}
