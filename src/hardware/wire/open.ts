/**
 * Opens a wire from its text:
 *
 *     unix:PATH[,server]   tcp:HOST:PORT[,server]   udp:HOST:PORT[,local=HOST:PORT]   null   pcap:FILE,INNER
 */
import { realClock } from '../clock.js';
import { NullWire } from './null-wire.js';
import { PcapngTap } from './pcapng.js';
import { StreamWire } from './stream.js';
import type { UdpEndpoint } from './udp.js';
import { UdpWire } from './udp.js';
import type { Wire } from './wire.js';
import { WireError } from './wire-error.js';

export interface OpenedWire extends Wire {
  /**
   * Resolves when a listening or bound socket is there; rejects with a {@link WireError} when it cannot be. A connecting
   * wire is ready at once: it goes on trying, and `linkUp` says whether it succeeded.
   */
  readonly ready: Promise<void>;
}

const KINDS =
  'unix:PATH[,server], tcp:HOST:PORT[,server], udp:HOST:PORT[,local=HOST:PORT], null, pcap:FILE,WIRE';
/** What the kernel's socket address has room for. */
const MAX_UNIX_PATH_BYTES = 107;

/** @throws WireError when the text is not understood. */
export function openWire(spec: string): OpenedWire {
  const colon = spec.indexOf(':');
  const kind = colon < 0 ? spec : spec.slice(0, colon);
  const rest = colon < 0 ? '' : spec.slice(colon + 1);
  switch (kind) {
    case 'null':
      return Object.assign(new NullWire(), { ready: Promise.resolve() });
    case 'unix': {
      const { target, server } = splitServer(spec, rest);
      return new StreamWire({ address: { kind: 'unix', path: unixPath(spec, target) }, server });
    }
    case 'tcp': {
      const { target, server } = splitServer(spec, rest);
      return new StreamWire({ address: { kind: 'tcp', ...hostPort(spec, target, server ? 0 : 1) }, server });
    }
    case 'udp':
      return openUdp(spec, rest);
    case 'pcap': {
      const comma = rest.indexOf(',');
      if (comma < 1)
        throw new WireError(`wire '${spec}': write pcap:FILE,WIRE, for example pcap:a.pcapng,unix:p0.sock`);
      const inner = openWire(rest.slice(comma + 1));
      return new PcapngTap(inner, {
        path: rest.slice(0, comma),
        clock: realClock,
        name: rest.slice(comma + 1),
      });
    }
    default:
      throw new WireError(`wire '${spec}': '${kind}' is no kind of wire; there are ${KINDS}`);
  }
}

function openUdp(spec: string, rest: string): UdpWire {
  const [target, ...others] = rest.split(',');
  let local: UdpEndpoint | undefined;
  for (const option of others) {
    if (!option.startsWith('local=')) {
      throw new WireError(`wire '${spec}': '${option}' is not understood; udp knows local=HOST:PORT`);
    }
    local = hostPort(spec, option.slice('local='.length), 0);
  }
  const remote = hostPort(spec, target!, 1);
  return new UdpWire(local === undefined ? { remote } : { remote, local });
}

function splitServer(spec: string, rest: string): { target: string; server: boolean } {
  const [target, ...others] = rest.split(',');
  const unknown = others.find((option) => option !== 'server');
  if (unknown !== undefined) {
    throw new WireError(`wire '${spec}': '${unknown}' is not understood; the only option here is 'server'`);
  }
  return { target: target!, server: others.length > 0 };
}

function unixPath(spec: string, path: string): string {
  const pathBytes = Buffer.byteLength(path);
  if (pathBytes === 0) throw new WireError(`wire '${spec}': the path of the socket is missing`);
  if (pathBytes > MAX_UNIX_PATH_BYTES) {
    throw new WireError(
      `wire '${spec}': the path has ${pathBytes} bytes, a Unix socket's at most ${MAX_UNIX_PATH_BYTES}; use a shorter one`,
    );
  }
  return path;
}

/** `127.0.0.1:9000` or `[::1]:9000`. */
function hostPort(spec: string, text: string, minPort: number): UdpEndpoint {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([^:[\]]+)):(\d{1,5})$/.exec(text);
  const port = match ? Number(match[3]) : Number.NaN;
  if (match === null || !(port >= minPort && port <= 65535)) {
    throw new WireError(`wire '${spec}': '${text}' is not HOST:PORT, for example 127.0.0.1:9000`);
  }
  return { host: match[1] ?? match[2]!, port };
}
