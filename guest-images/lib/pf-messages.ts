/**
 * What the VF asks of the PF, as the stock driver asks it. Answers that the stock driver tolerates are tolerated here.
 */
import { sleepUs } from './machine';
import {
  API_NEGOTIATE,
  ask,
  begin,
  FEATURES_NEGOTIATE,
  FAILURE,
  GET_LINK_STATE,
  GET_QUEUES,
  INFO_SHIFT,
  message,
  receive,
  RESET,
  send,
  SET_LPE,
  SET_MAC_ADDR,
  SET_MACVLAN,
  SET_MULTICAST,
  SET_VLAN,
  setWord,
  SUCCESS,
  UPDATE_XCAST_MODE,
  word,
} from './mailbox';
import { Network } from './network';

/** API versions by their number on the wire: 0 is 1.0, 2 to 5 are 1.1 to 1.4, 7 and 8 are 1.6 and 1.7. */
const API_1_0: u32 = 0;
export const API_1_1: u32 = 2;
const API_1_5: u32 = 6;
const API_1_7: u32 = 8;
const RESET_PAUSE_US: u32 = 10_000;
const FEATURE_IPSEC: u32 = 1;
const XCAST_MULTI: u32 = 1;
/** 224.0.0.1, which every host listens to: 01:00:5e:00:00:01. */
const ALL_HOSTS_BYTE_4: u32 = 0;
const ALL_HOSTS_BYTE_5: u32 = 1;

/** RESET: learns the MAC address. False: the PF did not answer as it should. */
export function askReset(net: Network): bool {
  begin(RESET);
  if (!send(net.slot, 1)) return false;
  sleepUs(RESET_PAUSE_US);
  if (!receive(net.slot, 4)) return false;
  const answer = word(0);
  if (answer != (RESET | SUCCESS) && answer != (RESET | FAILURE)) return false;
  if (answer == (RESET | SUCCESS)) {
    net.permanentLow = word(1);
    net.permanentHigh = word(2) & 0xffff;
  }
  net.multicastFilter = word(3) & 3;
  return true;
}

/**
 * The highest version both speak, from 1.7 down. 1.5 is left out: it means another mailbox protocol, which a PF that
 * speaks the legacy one has to refuse.
 */
export function negotiateApi(net: Network): void {
  for (let api = API_1_7; api >= API_1_1; api--) {
    if (api == API_1_5) continue;
    begin(API_NEGOTIATE);
    setWord(1, api);
    if (ask(net.slot, 3)) {
      net.api = api;
      if (api == API_1_7) negotiateFeatures(net);
      return;
    }
  }
  net.api = API_1_0;
}

function negotiateFeatures(net: Network): void {
  begin(FEATURES_NEGOTIATE);
  setWord(1, FEATURE_IPSEC);
  ask(net.slot, 2);
}

/** How many queue pairs the PF lets the VF have. */
export function askQueues(net: Network): u32 {
  begin(GET_QUEUES);
  if (!ask(net.slot, 5)) return 1;
  const tx = word(1);
  const rx = word(2);
  return max(1, min(tx, rx));
}

/** Which frames the interface wants: its own, broadcast, and the groups it is in. */
export function setReceiveMode(net: Network, withVlans: bool): void {
  begin(UPDATE_XCAST_MODE);
  setWord(1, XCAST_MULTI);
  ask(net.slot, 2);
  begin(SET_MULTICAST | (1 << INFO_SHIFT));
  store<u16>(message + 4, multicastHash(net));
  send(net.slot, 16) && receive(net.slot, 1);
  begin(SET_MACVLAN);
  ask(net.slot, 3);
  if (!withVlans) return;
  begin(SET_VLAN | (1 << INFO_SHIFT));
  ask(net.slot, 2);
}

/** Twelve bits of the group's address; the PF says which (filter types 0 to 3 shift by 4, 3, 2, 0). */
function multicastHash(net: Network): u32 {
  const shift: u32 = net.multicastFilter == 3 ? 0 : 4 - net.multicastFilter;
  return ((ALL_HOSTS_BYTE_4 >> shift) | (ALL_HOSTS_BYTE_5 << (8 - shift))) & 0xfff;
}

/** The largest frame that may arrive. A refusal is not fatal. */
export function setMaxFrame(net: Network): bool {
  begin(SET_LPE);
  setWord(1, net.mtu + 18);
  return ask(net.slot, 2);
}

/** False: the PF insists on another address. */
export function setMacAddress(net: Network): bool {
  begin(SET_MAC_ADDR);
  setWord(1, net.macLow);
  setWord(2, net.macHigh & 0xffff);
  return ask(net.slot, 3) || (word(0) & FAILURE) == 0;
}

/** Whether the PF lets the link be up. A PF that does not know the question has no objection. */
export function askLinkState(net: Network): bool {
  begin(GET_LINK_STATE);
  return ask(net.slot, 2) ? word(1) != 0 : true;
}
