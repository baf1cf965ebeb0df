/** udp-echo over a paravirtual NIC: the same application, the virtio driver below it. */
import { Echo } from '../lib/echo';
import { make } from '../lib/memory';
import { serveVirtio } from '../lib/serve-virtio';

export function run(): u32 {
  return serveVirtio<Echo>(make<Echo>());
}
