/**
 * The application of udp-echo: it answers UDP on port 7, and the counters' query, which is all the library's. The images that
 * compare drivers (udp-echo-*) are this source over another driver each.
 */
import { Network } from './network';
import { NEVER } from './serve';

@unmanaged export class Echo {
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
