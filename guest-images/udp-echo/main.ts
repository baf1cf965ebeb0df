/** udp-echo: answers ARP, ICMP echo and UDP on port 7, and the counters' query. All of it is the library's. */
import { make } from '../lib/memory';
import { Network } from '../lib/network';
import { NEVER, serve } from '../lib/serve';

@unmanaged class Echo {
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
  return serve<Echo>(make<Echo>());
}
