/**
 * The guest's half of suspend and resume: the PF hands the driver what `ip link set <pf> vf <n> state` was told, in a vendor
 * message of the mailbox, and the driver answers when it is done.
 *
 *   migrate          from now on each descriptor and buffer that DMA wrote is written again (a byte, as it is), so that the
 *                    vCPU's dirty log has it
 *   cancelmigration  no more
 *   suspend          queues off, what DMA wrote last is written again; only the mailbox's interrupt is left
 *   resume           the card, which may be another one, is set up from what the driver knows; an ARP tells the network
 *
 * Each may come twice: the PF repeats what it cannot know was read.
 */
import { resumeDevice, suspendDevice } from './suspend-device';
import { ask, begin, CLEAR_TO_SEND, FAILURE, fetch, messageWaits, send, setWord, SUCCESS, word } from './mailbox';
import { askWhoHas } from './net';
import { Network, OPEN, SUSPENDED } from './network';

const STATE_MESSAGE: u32 = 0x61;
const PROTOCOL: u32 = 1;
const MESSAGE_WORDS: u32 = 16;
const MIGRATE: u32 = 1;
const CANCEL_MIGRATION: u32 = 2;
const SUSPEND_VF: u32 = 3;
const RESUME_VF: u32 = 4;

let marking: bool = false;

/** Whether what DMA wrote is to be written again. */
@inline export function isMarking(): bool {
  return marking;
}

/** Tells the PF that this driver helps. After every RESET message: that makes the PF forget. */
export function registerHelper(net: Network): void {
  begin(STATE_MESSAGE);
  setWord(1, PROTOCOL);
  ask(net.slot, 2);
}

/** Answers what the PF asked, if it asked. False: whatever the mailbox's interrupt was for, it was not this. */
export function answerPf(net: Network): bool {
  if (!messageWaits(net.slot) || !fetch(net.slot, MESSAGE_WORDS)) return false;
  if ((word(0) & (SUCCESS | FAILURE | 0xffff)) != STATE_MESSAGE) return false;
  const command = word(1);
  const done = obey(net, command);
  begin(STATE_MESSAGE | (done ? SUCCESS : FAILURE) | CLEAR_TO_SEND);
  setWord(1, command);
  send(net.slot, 2);
  return true;
}

function obey(net: Network, command: u32): bool {
  if (command == MIGRATE) {
    marking = true;
  } else if (command == CANCEL_MIGRATION) {
    marking = false;
  } else if (command == SUSPEND_VF) {
    if (net.state == OPEN) suspendDevice(net);
  } else if (command == RESUME_VF) {
    marking = false;
    if (net.state != SUSPENDED) return true;
    if (!resumeDevice(net)) return false;
    askWhoHas(net, net.ip);
  } else {
    return false;
  }
  return true;
}
