/** udp-echo over the driver that carries the guest's half of CompSC. */
import { Echo } from '../lib/echo';
import { make } from '../lib/memory';
import { serve } from '../lib/serve';

export function run(): u32 {
  return serve<Echo>(make<Echo>());
}
