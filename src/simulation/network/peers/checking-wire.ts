/**
 * A wire whose holder is told of each frame that arrived with a wrong checksum. No fault of the simulated Ethernet changes
 * a byte, so such a frame left the guest's card that way.
 */
import {
  ETHERTYPE_IPV4,
  FrameReader,
  internetChecksum,
  PROTOCOL_ICMP,
  PROTOCOL_UDP,
  readU16,
  readU32,
} from '../../../hardware/wire/frames.js';
import type { FrameSink, Wire, WireStats } from '../../../hardware/wire/wire.js';

/** In the IPv4 header, and in UDP's. */
const SOURCE_AT = 12;
const TARGET_AT = 16;
const UDP_CHECKSUM_AT = 6;

export class CheckingWire implements Wire {
  /** UDP datagrams that arrived and were right. */
  datagrams = 0;
  readonly #wire: Wire;
  readonly #wrong: (sentence: string) => void;
  readonly #reader = new FrameReader();

  constructor(wire: Wire, wrong: (sentence: string) => void) {
    this.#wire = wire;
    this.#wrong = wrong;
  }

  receive(sink: FrameSink, budget: number): number {
    return this.#wire.receive((bytes, offset, length) => {
      if (!sink(bytes, offset, length)) return false;
      const wrong = this.#whatIsWrong(bytes, offset, length);
      if (wrong !== null) this.#wrong(`a frame of ${length} bytes from the guest: ${wrong}`);
      else if (this.#reader.protocol === PROTOCOL_UDP) this.datagrams++;
      return true;
    }, budget);
  }

  transmit(bytes: Uint8Array, offset: number, length: number): boolean {
    return this.#wire.transmit(bytes, offset, length);
  }

  flush(): void {
    this.#wire.flush();
  }

  get linkUp(): boolean {
    return this.#wire.linkUp;
  }

  get onWake(): (() => void) | null {
    return this.#wire.onWake;
  }

  set onWake(wake: (() => void) | null) {
    this.#wire.onWake = wake;
  }

  get stats(): WireStats {
    return this.#wire.stats;
  }

  close(): Promise<void> {
    return this.#wire.close();
  }

  #whatIsWrong(bytes: Uint8Array, offset: number, length: number): string | null {
    const reader = this.#reader;
    if (!reader.parse(bytes, offset, length)) return 'its lengths do not fit each other';
    if (reader.etherType !== ETHERTYPE_IPV4) return null;
    const ip = reader.networkOffset;
    if (internetChecksum(bytes, ip, reader.transportOffset - ip) !== 0) return 'its IPv4 checksum is wrong';
    const at = reader.transportOffset;
    if (reader.protocol === PROTOCOL_ICMP && internetChecksum(bytes, at, reader.transportBytes) !== 0) {
      return 'its ICMP checksum is wrong';
    }
    if (reader.protocol !== PROTOCOL_UDP || readU16(bytes, at + UDP_CHECKSUM_AT) === 0) return null;
    return udpIsGood(bytes, ip, at, reader.transportBytes) ? null : 'its UDP checksum is wrong';
  }
}

/** Over the pseudo-header too: the ones' complement sums of both parts make all ones. */
function udpIsGood(bytes: Uint8Array, ip: number, udp: number, udpBytes: number): boolean {
  const source = readU32(bytes, ip + SOURCE_AT);
  const target = readU32(bytes, ip + TARGET_AT);
  const payload = ~internetChecksum(bytes, udp, udpBytes) & 0xffff;
  let sum = payload + PROTOCOL_UDP + udpBytes;
  for (const word of [source, target]) sum += (word >>> 16) + (word & 0xffff);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return sum === 0xffff;
}
