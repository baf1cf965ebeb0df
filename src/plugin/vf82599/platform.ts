/**
 * What a hypervisor keeps of any function that it passes through, whatever the method: its configuration space and MSI-X table
 * as the guest programmed them, and what the PF driver holds for it. For methods whose guest restores the rest of the card.
 */
import type { DeviceContext } from '../definition.js';
import type { StateFields } from '../device-view.js';
import type { FieldReader } from './fields.js';
import { restoreConfig } from './restore.js';
import { CONFIG_WORDS, MSIX_PENDING, MSIX_TABLE_WORDS } from './save.js';

/** The vCPU must stand still. */
export function savePlatform(context: DeviceContext): StateFields {
  const words = (window: { read32(offset: number): number }, count: number): number[] =>
    Array.from({ length: count }, (_, i) => window.read32(4 * i));
  return {
    config: words(context.config, CONFIG_WORDS),
    msixTable: words(context.bar3, MSIX_TABLE_WORDS),
    msixPending: context.bar3.read32(MSIX_PENDING),
    policy: context.policy.export(),
  };
}

/** On a VF as reset. Returns the vectors that were pending, a bit each: for the caller to raise when the card is whole. */
export function restorePlatform(context: DeviceContext, state: FieldReader): number {
  restoreConfig(context, state.u32s('config', CONFIG_WORDS));
  context.policy.import(state.value('policy'));
  state.u32s('msixTable', MSIX_TABLE_WORDS).forEach((word, i) => {
    context.bar3.write32(4 * i, word);
  });
  return state.u32('msixPending');
}
