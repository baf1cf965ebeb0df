/** An image, a cable and a host at its other end: what the images' tests begin with. */
import { createCable } from '../../src/hardware/wire/cable.js';
import { COUNTER, Host, readCounters } from './frames.js';
import { GuestMachine, type MachineOptions, type Script } from './guest-machine.js';

const STATS_PORT = 9001;

export interface Station {
  readonly machine: GuestMachine;
  readonly host: Host;
}

/** Boots an image, waits for its interface, then runs the script. The card stays as the script left it. */
export function withGuest(
  image: string,
  options: MachineOptions,
  script?: (station: Station) => Script,
): Station {
  const [near, far] = createCable({ ringBytes: 1 << 22 });
  const machine = new GuestMachine(image, near, { commandLine: 'ip=10.0.0.2', ...options });
  const host = new Host(far);
  machine.run(
    (function* () {
      if (options.vf !== false) yield* untilUp(machine);
      if (script !== undefined) yield* script({ machine, host });
    })(),
  );
  return { machine, host };
}

export function* untilUp(machine: GuestMachine): Script {
  yield* machine.until(() => machine.console.includes('is up'), 'the interface is up');
}

/** Asks for the counters and waits for them. `reset`: the application's are set back first. */
export function* askCounters({ machine, host }: Station, into: number[], reset = false): Script {
  host.receive();
  const seen = host.datagrams.length;
  host.sendUdp(STATS_PORT, Uint8Array.of(reset ? 1 : 0, 0, 0, 0), 5001);
  yield* machine.until(() => {
    host.receive();
    return host.datagrams.slice(seen).some((each) => each.sourcePort === STATS_PORT);
  }, 'counters');
  const reply = host.datagrams.findLast((each) => each.sourcePort === STATS_PORT)!;
  into.splice(0, into.length, ...readCounters(reply.payload));
}

/** Waits until the guest has received as many packets as the card gave it. */
export function* settle({ machine }: Station): Script {
  yield* machine.sleepMs(1);
}

export const pattern = (length: number, seed: number): Uint8Array =>
  Uint8Array.from({ length }, (_, i) => (i * 7 + seed) & 0xff);

export { COUNTER };
