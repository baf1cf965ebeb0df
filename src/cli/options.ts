/**
 * Option values as this field writes them: sizes with K/M/G, `key=value,key=value` lists, MAC addresses.
 */
import type { VifRequest } from '../control/vifs.js';
import type { NetRequest, VfRequest } from '../control/vmm.js';

/** An option the user got wrong: the message is the one line that is printed. */
export class OptionError extends Error {
  override readonly name = 'OptionError';
}

const FACTOR: Readonly<Record<string, number>> = { '': 1, K: 2 ** 10, M: 2 ** 20, G: 2 ** 30, T: 2 ** 40 };

/** `256M` -> 268435456. Suffixes are powers of two; without one the number is bytes. @throws OptionError */
export function parseSize(text: string, what: string): number {
  const match = /^(\d+(?:\.\d+)?)([KMGT]?)(?:i?B)?$/i.exec(text.trim());
  const bytes = match ? Number(match[1]) * (FACTOR[match[2]!.toUpperCase()] ?? Number.NaN) : Number.NaN;
  if (!Number.isSafeInteger(bytes))
    throw new OptionError(`${what}: '${text}' is no size; write for example 256M or 1G`);
  return bytes;
}

/** @throws OptionError unless a whole number in min..max. */
export function parseWhole(text: string, what: string, min: number, max: number): number {
  const value = /^\d+$/.test(text) ? Number(text) : Number.NaN;
  if (!(value >= min && value <= max)) {
    throw new OptionError(`${what}: '${text}' is not a whole number from ${min} to ${max}`);
  }
  return value;
}

/**
 * `mac=52:54:00:00:00:01,wire=unix:p0.sock` -> {mac, wire}. A part that starts with none of `keys` belongs to the value
 * before it (`wire=unix:p0.sock,server`). @throws OptionError
 */
export function parseKeyValues<K extends string>(
  text: string,
  what: string,
  keys: readonly K[],
): Partial<Record<K, string>> {
  const values: Partial<Record<K, string>> = {};
  let last: K | null = null;
  for (const part of text.split(',')) {
    const equals = part.indexOf('=');
    const key = keys.find((known) => equals > 0 && part.slice(0, equals) === known);
    if (key !== undefined) {
      if (values[key] !== undefined) throw new OptionError(`${what}: '${key}' is given twice`);
      values[key] = part.slice(equals + 1);
      last = key;
    } else if (last !== null && part !== '') {
      values[last] += ',' + part;
    } else {
      throw new OptionError(
        `${what}: '${part}' is not understood; known: ${keys.map((k) => `${k}=`).join(' ')}`,
      );
    }
  }
  return values;
}

/** `52:54:00:00:00:01` -> itself in lower case. @throws OptionError for a malformed or multicast address. */
export function parseMac(text: string, what: string): string {
  if (!/^([0-9a-f]{2}:){5}[0-9a-f]{2}$/i.test(text)) {
    throw new OptionError(`${what}: '${text}' is no MAC address; write for example 52:54:00:00:00:01`);
  }
  if ((Number.parseInt(text.slice(0, 2), 16) & 1) !== 0) {
    throw new OptionError(`${what}: ${text} is a multicast address; an interface needs a unicast one`);
  }
  return text.toLowerCase();
}

/** The value of `--net`. @throws OptionError */
export function parseNet(text: string): NetRequest {
  const { mac, wire, pcap } = parseKeyValues(text, '--net', ['mac', 'wire', 'pcap'] as const);
  return {
    ...(mac === undefined ? {} : { mac: parseMac(mac, '--net mac') }),
    ...(wire === undefined ? {} : { wire }),
    ...(pcap === undefined ? {} : { pcap }),
  };
}

/** The value of `--vif`. @throws OptionError */
export function parseVif(text: string): VifRequest {
  const values = parseKeyValues(text, '--vif', ['name', 'mac', 'wire', 'pcap', 'cores', 'rate'] as const);
  const { name, mac, wire, pcap, cores, rate } = values;
  return {
    ...(name === undefined ? {} : { name }),
    ...(mac === undefined ? {} : { mac: parseMac(mac, '--vif mac') }),
    ...(wire === undefined ? {} : { wire }),
    ...(pcap === undefined ? {} : { pcap }),
    ...(cores === undefined ? {} : { cores: parseWhole(cores, '--vif cores', 1, 8) }),
    ...(rate === undefined ? {} : { rateMbps: parseWhole(rate, '--vif rate', 0, 1_000_000) }),
  };
}

/** The value of `--vf`. @throws OptionError */
export function parseVf(text: string): VfRequest {
  const values = parseKeyValues(text, '--vf', [
    'mac',
    'wire',
    'pcap',
    'vlan',
    'max-tx-rate',
    'trust',
  ] as const);
  const trust = values.trust ?? 'off';
  if (trust !== 'on' && trust !== 'off') throw new OptionError(`--vf: trust is on or off, not '${trust}'`);
  return {
    ...(values.mac === undefined ? {} : { mac: parseMac(values.mac, '--vf mac') }),
    ...(values.wire === undefined ? {} : { wire: values.wire }),
    ...(values.pcap === undefined ? {} : { pcap: values.pcap }),
    ...(values.vlan === undefined ? {} : { vlan: parseWhole(values.vlan, '--vf vlan', 0, 4094) }),
    ...(values['max-tx-rate'] === undefined
      ? {}
      : { maxTxRateMbps: parseWhole(values['max-tx-rate'], '--vf max-tx-rate', 0, 100_000) }),
    trust: trust === 'on',
  };
}
