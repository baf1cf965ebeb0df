/** udp-echo with a bonding driver: its VF is active, a virtio NIC stands by; the VF may be unplugged and plugged in. */
import { Echo } from '../lib/echo';
import { make } from '../lib/memory';
import { serveBonded } from '../lib/serve-bonded';

export function run(): u32 {
  return serveBonded<Echo>(make<Echo>());
}
