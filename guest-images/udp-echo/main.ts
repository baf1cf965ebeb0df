/** udp-echo: answers ARP, ICMP echo and UDP on port 7, and the counters' query. */
import { Echo } from '../lib/echo';
import { make } from '../lib/memory';
import { serve } from '../lib/serve';

export function run(): u32 {
  return serve<Echo>(make<Echo>());
}
