/**
 * A stopped VF's state, read by register class and without disturbing it: causes through VTEICS (a read of VTEICR would
 * clear them), the mailbox's flags through the PF driver (a read of VFMAILBOX would clear them).
 */
import type { DeviceContext } from '../definition.js';
import type { StateFields } from '../device-view.js';
import type { RunningQueues } from './queues.js';
import { QUEUES, REG, RX, rxRegister, SOFTWARE_FLUSH, TX, txRegister, VECTORS } from './registers.js';
import type { TxContext } from './tx-contexts.js';

export const MSIX_TABLE_WORDS = VECTORS * 4;
export const MSIX_PENDING = 0x2000;
export const MAILBOX_WORDS = 16;
export const IVAR_WORDS = 4;
/** The part of configuration space that a guest can have changed: header and capabilities. */
export const CONFIG_WORDS = 64;

export const STATE_VERSION = 1;

/** Contexts by queue, then by index. */
export type TxContexts = readonly (readonly TxContext[])[];
export const noTxContexts: TxContexts = Array.from({ length: QUEUES }, () => [null, null]);

export function saveVf(context: DeviceContext, running: RunningQueues, contexts: TxContexts): StateFields {
  const { bar0, bar3, config } = context;
  const words = (window: { read32(offset: number): number }, first: number, count: number): number[] =>
    Array.from({ length: count }, (_, i) => window.read32(first + 4 * i));
  return {
    version: STATE_VERSION,
    rx: running.rx.map((enabled, q) => saveRxQueue(context, q, enabled)),
    tx: running.tx.map((enabled, q) => ({
      ...saveTxQueue(context, q, enabled),
      contexts: (contexts[q] ?? [null, null]).map((descriptor) =>
        descriptor === null ? null : [...descriptor],
      ),
    })),
    interrupts: {
      causes: bar0.read32(REG.VTEICS),
      mask: bar0.read32(REG.VTEIMS),
      autoClear: bar0.read32(REG.VTEIAC),
      autoMask: bar0.read32(REG.VTEIAM),
      ivar: words(bar0, REG.VTIVAR, IVAR_WORDS),
      ivarMisc: bar0.read32(REG.VTIVAR_MISC),
      throttle: words(bar0, REG.VTEITR, VECTORS),
      rscThrottle: words(bar0, REG.VTRSCINT, VECTORS),
    },
    mailboxMemory: words(bar0, REG.VFMBMEM, MAILBOX_WORDS),
    splitReceiveType: bar0.read32(REG.VFPSRTYPE),
    msixTable: words(bar3, 0, MSIX_TABLE_WORDS),
    msixPending: bar3.read32(MSIX_PENDING),
    config: words(config, 0, CONFIG_WORDS),
    statistics: { ...context.statistics.read() },
    policy: context.policy.export(),
  };
}

function saveRxQueue(context: DeviceContext, queue: number, enabled: boolean): StateFields {
  const read = (offset: number): number => context.bar0.read32(rxRegister(queue, offset));
  return {
    enabled,
    baseLow: read(RX.RDBAL),
    baseHigh: read(RX.RDBAH),
    bytes: read(RX.RDLEN),
    dca: read(RX.DCA_RXCTRL),
    split: read(RX.SRRCTL),
    control: (read(RX.RXDCTL) & ~SOFTWARE_FLUSH) >>> 0,
    rsc: read(RX.RSCCTL),
    head: read(RX.RDH),
    tail: read(RX.RDT),
  };
}

function saveTxQueue(context: DeviceContext, queue: number, enabled: boolean): StateFields {
  const read = (offset: number): number => context.bar0.read32(txRegister(queue, offset));
  return {
    enabled,
    baseLow: read(TX.TDBAL),
    baseHigh: read(TX.TDBAH),
    bytes: read(TX.TDLEN),
    dca: read(TX.DCA_TXCTRL),
    control: (read(TX.TXDCTL) & ~SOFTWARE_FLUSH) >>> 0,
    headWriteBackLow: read(TX.TDWBAL),
    headWriteBackHigh: read(TX.TDWBAH),
    head: read(TX.TDH),
    tail: read(TX.TDT),
  };
}
