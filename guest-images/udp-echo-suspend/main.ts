/** udp-echo over the driver that suspends and resumes its VF when the PF says so. */
import { Echo } from '../lib/echo';
import { make } from '../lib/memory';
import { serve } from '../lib/serve';

export function run(): u32 {
  return serve<Echo>(make<Echo>());
}
