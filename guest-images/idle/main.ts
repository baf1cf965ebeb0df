/** idle: brings its interface up and waits for interrupts. It answers as every image does, and does nothing of its own. */
import { make } from '../lib/memory';
import { Network } from '../lib/network';
import { NEVER, serve } from '../lib/serve';

@unmanaged class Idle {
  start(net: Network): void {}
  udp(net: Network, queue: u32, frame: usize, payload: usize, bytes: u32, port: u32): void {}
  tcp(net: Network, queue: u32, frame: usize, payload: usize, bytes: u32, port: u32): void {}
  neighbour(ip: u32, mac: usize): void {}
  work(net: Network, nowNs: u64): u64 {
    return NEVER;
  }
  refreshCounters(): void {}
  resetCounters(): void {}
}

export function run(): u32 {
  return serve<Idle>(make<Idle>());
}
