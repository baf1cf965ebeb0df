/**
 * x-srvm-link-set and x-srvm-query-links: the VFs of this process's cards as `ip link` sets and shows them. A card is named by
 * its number, in the order in which the process opened its wires.
 */
import type { Nic } from '../hypervisor/nic.js';
import { changeVf, LINK_POLICIES, VF_STATES, type VfChange } from '../hypervisor/vf-change.js';
import { isJsonObject, type JsonObject, QmpError } from './qmp-protocol.js';
import type { Vmm } from './vmm.js';

type Kind = 'string' | 'number' | 'boolean';
/** Arguments by their QMP names. */
const FIELDS: Readonly<Record<string, readonly [keyof VfChange, Kind]>> = {
  mac: ['mac', 'string'],
  vlan: ['vlan', 'number'],
  qos: ['qos', 'number'],
  spoofchk: ['spoofCheck', 'boolean'],
  trust: ['trust', 'boolean'],
  'max-tx-rate': ['maxTxRate', 'number'],
  state: ['state', 'string'],
};
const STATES: readonly string[] = [...LINK_POLICIES, ...VF_STATES];

export async function linkSet(vmm: Vmm, args: JsonObject): Promise<object> {
  const nic = cardOf(vmm, args['card'] ?? 0);
  const { vf } = args;
  const count = nic.driver.vfs.length;
  if (typeof vf !== 'number' || !Number.isInteger(vf) || vf < 0 || vf >= count)
    throw new QmpError('GenericError', `Parameter 'vf' must be a VF of the card: 0 to ${count - 1}`);
  const change = changeOf(args['change']);
  const beganMs = performance.now();
  await changeVf(nic, vf, change);
  return { 'took-ms': performance.now() - beganMs };
}

export function queryLinks(vmm: Vmm): object[] {
  return [...vmm.nics].map(([wire, nic], card) => ({
    card,
    wire,
    link: nic.linkUp ? 'up' : 'down',
    vfs: nic.driver.vfs
      .filter(({ vf }) => nic.isTaken(vf))
      .map((record) => ({
        vf: record.vf,
        mac: record.mac,
        vlan: record.portVlan,
        qos: record.portPriority,
        spoofchk: record.spoofCheck,
        trust: record.trusted,
        'max-tx-rate': record.maxTxRateMbps,
        'link-state': record.link,
        ready: record.clearToSend,
      })),
  }));
}

function cardOf(vmm: Vmm, card: unknown): Nic {
  const cards = [...vmm.nics.values()];
  const nic = typeof card === 'number' ? cards[card] : undefined;
  if (nic === undefined) {
    const have = cards.length === 0 ? 'none' : `0 to ${cards.length - 1}`;
    throw new QmpError('GenericError', `VMM '${vmm.name}' has no card ${String(card)} (it has ${have})`);
  }
  return nic;
}

function changeOf(value: unknown): VfChange {
  if (!isJsonObject(value) || Object.keys(value).length === 0)
    throw new QmpError('GenericError', "Parameter 'change' must be an object with something to change");
  const change: Record<string, unknown> = {};
  for (const [name, given] of Object.entries(value)) {
    const field = Object.hasOwn(FIELDS, name) ? FIELDS[name] : undefined;
    if (field === undefined) {
      const known = Object.keys(FIELDS).join(', ');
      throw new QmpError('GenericError', `a VF has no '${name}' to change: ${known}`);
    }
    const [key, kind] = field;
    if (typeof given !== kind) throw new QmpError('GenericError', `'${name}' must be a ${kind}`);
    if (name === 'state' && !STATES.includes(given as string))
      throw new QmpError('GenericError', `state '${String(given)}': one of ${STATES.join(', ')}`);
    change[key] = given;
  }
  return change as VfChange;
}
