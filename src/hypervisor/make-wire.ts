/** A card's wire, made in the thread that serves it. */
import { openWire } from '../hardware/wire/open.js';
import type { Wire } from '../hardware/wire/wire.js';
import type { WireSpec } from './nic-messages.js';

/** @throws whatever the wire or its module finds wrong */
export async function makeWire(spec: WireSpec): Promise<Wire> {
  if (typeof spec === 'string') {
    const wire = openWire(spec);
    await wire.ready;
    return wire;
  }
  const module = (await import(spec.module)) as Record<string, (data: unknown) => Wire | Promise<Wire>>;
  return module[spec.make]!(spec.data);
}
