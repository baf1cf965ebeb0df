/**
 * A saved VF's state put into a fresh one, in the order that keeps it quiet until it is whole:
 *
 *   queues off, interrupts masked -> config, policy, mailbox, MSI-X -> Tx contexts -> rings -> heads (through the PF)
 *   -> interrupt routing -> statistics -> ENABLE and wait -> tails -> causes -> mask
 */
import type { DeviceContext } from '../definition.js';
import type { StateValue } from '../device-view.js';
import { DeviceStateError } from '../errors.js';
import { FieldReader } from './fields.js';
import { startQueues, stopQueues } from './queues.js';
import {
  DESCRIPTOR_BYTES,
  ENABLE,
  pfRxHead,
  pfTxHead,
  QUEUES,
  REG,
  RX,
  rxRegister,
  TX,
  txRegister,
  VECTORS,
} from './registers.js';
import { CONFIG_WORDS, IVAR_WORDS, MAILBOX_WORDS, MSIX_TABLE_WORDS, STATE_VERSION } from './save.js';
import { CONTEXT_WORDS, loadTxContexts, setsContext, type TxContext } from './tx-contexts.js';

/** What fits the length register. */
const LONGEST_RING_BYTES = 0xf_ff80;
const PCI_COMMAND = 0x04;
const PCI_COMMAND_BITS = 0xffff;
const PCI_BAR0 = 0x10;
const PCI_BAR_WORDS = 6;
const PCI_CAPABILITIES = 0x34;
const PCI_INTERRUPT_LINE = 0x3c;
const CAP_MSIX = 0x11;
const CAP_PCIE = 0x10;
/** Offset of the device control word in the PCI Express capability; its upper half is status. */
const PCIE_DEVICE_CONTROL = 8;
const PCIE_INITIATE_FLR = 1 << 15;

export async function restoreVf(context: DeviceContext, state: StateValue): Promise<void> {
  const fields = new FieldReader(state);
  fields.requireVersion(STATE_VERSION);
  const rx = fields.records('rx', QUEUES);
  const tx = fields.records('tx', QUEUES);
  const interrupts = fields.record('interrupts');
  const { bar0 } = context;
  bar0.write32(REG.VTEIMC, 0xffff_ffff);
  await stopQueues(context);
  restoreConfig(context, fields.u32s('config', CONFIG_WORDS));
  context.policy.import(fields.value('policy'));
  const mailbox = fields.u32s('mailboxMemory', MAILBOX_WORDS);
  for (let i = 0; i < MAILBOX_WORDS; i++) bar0.write32(REG.VFMBMEM + 4 * i, mailbox[i]!);
  const table = fields.u32s('msixTable', MSIX_TABLE_WORDS);
  for (let i = 0; i < MSIX_TABLE_WORDS; i++) context.bar3.write32(4 * i, table[i]!);

  for (let q = 0; q < QUEUES; q++) {
    await loadTxContexts(context, q, readContexts(tx[q]!));
    restoreTxRing(context, q, tx[q]!);
    restoreRxRing(context, q, rx[q]!);
  }
  bar0.write32(REG.VFPSRTYPE, fields.u32('splitReceiveType'));
  restoreRouting(context, interrupts);
  restoreStatistics(context, fields.record('statistics'));
  await startQueues(context, { rx: rx.map((q) => q.flag('enabled')), tx: tx.map((q) => q.flag('enabled')) });
  for (let q = 0; q < QUEUES; q++) {
    bar0.write32(rxRegister(q, RX.RDT), rx[q]!.integer('tail', 0xffff));
    bar0.write32(txRegister(q, TX.TDT), tx[q]!.integer('tail', 0xffff));
  }
  reraise(context, interrupts, fields.u32('msixPending'));
}

/** Only what software can write: command, BARs, interrupt line, MSI-X control, PCI Express device control. */
export function restoreConfig(context: DeviceContext, words: readonly number[]): void {
  const { config } = context;
  for (let i = 0; i < PCI_BAR_WORDS; i++) config.write32(PCI_BAR0 + 4 * i, words[PCI_BAR0 / 4 + i]!);
  config.write32(PCI_INTERRUPT_LINE, words[PCI_INTERRUPT_LINE / 4]!);
  config.write32(PCI_COMMAND, words[PCI_COMMAND / 4]! & PCI_COMMAND_BITS);
  let at = words[PCI_CAPABILITIES / 4]! & 0xfc;
  // a hostile list may be circular: it cannot have more members than words
  for (let hops = 0; at >= 0x40 && at < CONFIG_WORDS * 4 && hops < CONFIG_WORDS; hops++) {
    const header = words[at / 4]!;
    // the destination's own capability must be there too: offsets are never taken from the stream alone
    if ((config.read32(at) & 0xff) === (header & 0xff)) {
      if ((header & 0xff) === CAP_MSIX) config.write32(at, header);
      const control = at + PCIE_DEVICE_CONTROL;
      if ((header & 0xff) === CAP_PCIE && control < CONFIG_WORDS * 4) {
        config.write32(control, words[control / 4]! & PCI_COMMAND_BITS & ~PCIE_INITIATE_FLR);
      }
    }
    at = (header >>> 8) & 0xfc;
  }
}

function readContexts(queue: FieldReader): TxContext[] {
  return queue.list('contexts', 2).map((value, index) => {
    if (value === null) return null;
    const words = new FieldReader({ words: value }, `${queue.path}.contexts[${index}]`).u32s(
      'words',
      CONTEXT_WORDS,
    );
    // anything else on the ring of the hypervisor's own would send a packet past the guest, or hang the queue
    if (!setsContext(words, index)) {
      throw new DeviceStateError(
        `device state: ${queue.path}.contexts[${index}] is not a descriptor that sets context ${index}`,
      );
    }
    return words.map((word) => word | 0);
  });
}

/**
 * A head survives a reset that clears the ring's length, and a shorter ring may be programmed before the head is: a queue
 * that does not run may have a head that its ring has no slot for. In one that runs it would be a hostile state.
 */
function checkedHead(queue: FieldReader): number {
  const slots = Math.floor(queue.u32('bytes') / DESCRIPTOR_BYTES);
  const head = queue.integer('head', 0xffff);
  if (queue.flag('enabled') && slots > 0 && head >= slots) {
    throw new DeviceStateError(`device state: ${queue.path}.head is ${head} in a ring of ${slots} slots`);
  }
  return head;
}

function restoreTxRing(context: DeviceContext, queue: number, state: FieldReader): void {
  const head = checkedHead(state);
  const write = (offset: number, value: number): void =>
    context.bar0.write32(txRegister(queue, offset), value);
  // set while the ring is the longest there is: any head that may be
  write(TX.TDLEN, LONGEST_RING_BYTES);
  context.pf.write32(pfTxHead(context.vf * QUEUES + queue), head);
  write(TX.TDBAL, state.u32('baseLow'));
  write(TX.TDBAH, state.u32('baseHigh'));
  write(TX.TDLEN, state.u32('bytes'));
  write(TX.DCA_TXCTRL, state.u32('dca'));
  write(TX.TDWBAH, state.u32('headWriteBackHigh'));
  write(TX.TDWBAL, state.u32('headWriteBackLow'));
  write(TX.TXDCTL, (state.u32('control') & ~ENABLE) >>> 0);
  // tail = head: an empty ring until the queue runs
  write(TX.TDT, head);
}

function restoreRxRing(context: DeviceContext, queue: number, state: FieldReader): void {
  const head = checkedHead(state);
  const write = (offset: number, value: number): void =>
    context.bar0.write32(rxRegister(queue, offset), value);
  write(RX.RDLEN, LONGEST_RING_BYTES);
  context.pf.write32(pfRxHead(context.vf * QUEUES + queue), head);
  write(RX.RDBAL, state.u32('baseLow'));
  write(RX.RDBAH, state.u32('baseHigh'));
  write(RX.RDLEN, state.u32('bytes'));
  write(RX.DCA_RXCTRL, state.u32('dca'));
  write(RX.SRRCTL, state.u32('split'));
  write(RX.RSCCTL, state.u32('rsc'));
  write(RX.RXDCTL, (state.u32('control') & ~ENABLE) >>> 0);
  write(RX.RDT, head);
}

function restoreRouting(context: DeviceContext, interrupts: FieldReader): void {
  const { bar0 } = context;
  const ivar = interrupts.u32s('ivar', IVAR_WORDS);
  const throttle = interrupts.u32s('throttle', VECTORS);
  const rscThrottle = interrupts.u32s('rscThrottle', VECTORS);
  for (let i = 0; i < IVAR_WORDS; i++) bar0.write32(REG.VTIVAR + 4 * i, ivar[i]!);
  bar0.write32(REG.VTIVAR_MISC, interrupts.u32('ivarMisc'));
  for (let v = 0; v < VECTORS; v++) {
    bar0.write32(REG.VTEITR + 4 * v, throttle[v]!);
    bar0.write32(REG.VTRSCINT + 4 * v, rscThrottle[v]!);
  }
  bar0.write32(REG.VTEIAC, interrupts.u32('autoClear'));
  bar0.write32(REG.VTEIAM, interrupts.u32('autoMask'));
}

function restoreStatistics(context: DeviceContext, statistics: FieldReader): void {
  const u32 = (name: string): number => statistics.u32(name);
  context.statistics.continueFrom({
    goodPacketsReceived: u32('goodPacketsReceived'),
    goodOctetsReceived: statistics.integer('goodOctetsReceived', 2 ** 36 - 1),
    multicastPacketsReceived: u32('multicastPacketsReceived'),
    goodPacketsSent: u32('goodPacketsSent'),
    goodOctetsSent: statistics.integer('goodOctetsSent', 2 ** 36 - 1),
  });
}

/**
 * What was pending is pending again, and every queue's cause besides: an interrupt may have been on its way when the
 * source stopped, and one too many only makes a driver look at empty rings.
 */
function reraise(context: DeviceContext, interrupts: FieldReader, pending: number): void {
  const ivar = interrupts.u32s('ivar', IVAR_WORDS)[0]!;
  let causes = interrupts.u32('causes') | pending;
  for (let byte = 0; byte < 4; byte++) {
    const route = (ivar >>> (8 * byte)) & 0xff;
    if ((route & 0x80) !== 0) causes |= 1 << (route & 3);
  }
  context.bar0.write32(REG.VTEICS, causes & 7);
  context.bar0.write32(REG.VTEIMS, interrupts.u32('mask') & 7);
}
