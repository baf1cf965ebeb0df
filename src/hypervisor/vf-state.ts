/**
 * `ip link set <pf> vf <n> state ...` beyond auto, enable and disable: states that the PF driver hands to the VF's driver by a
 * vendor message, and that are reached when that driver has answered.
 *
 *   PF: type, command -->   <-- VF: type and SUCCESS or FAILURE, command
 *
 * A driver that knows them says so after each reset: a message of the same type, with the protocol's version.
 */
export const VF_STATE_MESSAGE = 0x61;
export const VF_STATE_PROTOCOL = 1;
export const VF_STATE = { migrate: 1, cancelmigration: 2, suspend: 3, resume: 4 } as const;
export type VfState = keyof typeof VF_STATE;

const GRANTED = 0x8000_0000;
/** Setting a VF up takes some messages to the PF. */
const LIMIT_MS = 4000;
/** An answer that came too late for its own question is found by the next one. */
const ATTEMPTS = 3;

/** A VF whose driver does not do what it was asked, or cannot. */
export class VfStateError extends Error {
  override readonly name = 'VfStateError';
}

/** What of a GuestChannel is needed. Named here: plugins get these functions, and their types are not to lead to the card. */
interface StateChannel {
  lastMessage(type: number): readonly number[] | null;
  request(words: readonly number[], limitMs?: number): Promise<readonly number[]>;
}

/** @throws VfStateError when the guest's driver does not help, refuses, or is silent */
export async function requestVfState(channel: StateChannel, state: VfState): Promise<void> {
  requireStateDriver(channel);
  const command = VF_STATE[state];
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const [head, about] = await channel.request([VF_STATE_MESSAGE, command], LIMIT_MS);
    if (about !== command) continue;
    if ((head! & GRANTED) === 0) throw new VfStateError(`the guest's driver refused to ${state} its VF`);
    return;
  }
  throw new VfStateError(`the guest's driver did not answer to '${state}', only to what it was asked before`);
}

export function requireStateDriver(channel: StateChannel): void {
  const message = channel.lastMessage(VF_STATE_MESSAGE);
  if (message === null) {
    throw new VfStateError(
      "the guest's driver knows no such state: it takes an image whose driver suspends and resumes (udp-echo-suspend, for one)",
    );
  }
  if (message[1] !== VF_STATE_PROTOCOL) {
    throw new VfStateError(
      `the guest's driver speaks version ${message[1]} of the VF states, this host ${VF_STATE_PROTOCOL}`,
    );
  }
}
