/** The driver library and udp-echo against the real card. */
import { describe, expect, it } from 'vitest';
import { createCable } from '../../src/hardware/wire/cable.js';
import { COUNTER, Host, readCounters } from './frames.js';
import { GuestMachine, type MachineOptions } from './guest-machine.js';

function boot(options: MachineOptions = {}): { machine: GuestMachine; host: Host } {
  const [near, far] = createCable();
  const machine = new GuestMachine('udp-echo', near, { commandLine: 'ip=10.0.0.2', ...options });
  return { machine, host: new Host(far) };
}

const isUp = (machine: GuestMachine) => () => machine.console.includes('link up');
const bytes = (length: number, seed: number) => Uint8Array.from({ length }, (_, i) => (i * 7 + seed) & 0xff);

describe('udp-echo', () => {
  it('comes up and answers ARP, ping and echo', () => {
    const { machine, host } = boot();
    machine.run(
      (function* () {
        yield* machine.until(isUp(machine), 'link up');
        host.sendArpRequest();
        host.sendPing(bytes(56, 1), 0x10001);
        host.sendUdp(7, bytes(18, 2));
        host.sendUdp(7, bytes(1472, 3), 20_001);
        yield* machine.until(() => {
          host.receive();
          return host.datagrams.length === 2;
        }, 'two echoes');
        expect(host.datagrams[0]).toEqual({ sourcePort: 7, targetPort: 20_000, payload: bytes(18, 2) });
        expect(host.datagrams[1]).toEqual({ sourcePort: 7, targetPort: 20_001, payload: bytes(1472, 3) });
        expect(machine.dmaFaults).toBe(0);
      })(),
    );
  });
});

export { COUNTER, readCounters };
