/** MAC addresses as text (`52:54:00:00:00:01`, lower case) and as the two register words that filters and messages hold. */

/** Text that is no MAC address, or one that no single station can have. */
export class MacAddressError extends Error {
  override readonly name = 'MacAddressError';
}

const PATTERN = /^([0-9a-f]{2}[:-]){5}[0-9a-f]{2}$/;
export const ZERO_MAC = '00:00:00:00:00:00';

/** @throws MacAddressError unless it is a station's address: six octets, not multicast, not zero */
export function parseMac(text: string): string {
  const mac = text.toLowerCase().replaceAll('-', ':');
  if (!PATTERN.test(text.toLowerCase()) || !isStationMac(mac)) {
    throw new MacAddressError(`'${text}' is not a station's MAC address: write one like 52:54:00:00:00:01`);
  }
  return mac;
}

/** A unicast address other than zero. */
export function isStationMac(mac: string): boolean {
  return mac !== ZERO_MAC && (Number.parseInt(mac.slice(0, 2), 16) & 1) === 0;
}

export const macBytes = (mac: string): number[] => mac.split(':').map((octet) => Number.parseInt(octet, 16));

/** Octets 0-3 (octet 0 lowest) as RAL and mailbox word 1 hold them. */
export function macLow(mac: string): number {
  const [a, b, c, d] = macBytes(mac) as [number, number, number, number];
  return (a | (b << 8) | (c << 16) | (d << 24)) >>> 0;
}

/** Octets 4-5 as RAH and mailbox word 2 hold them. */
export function macHigh(mac: string): number {
  const octets = macBytes(mac);
  return octets[4]! | (octets[5]! << 8);
}

export function macOfWords(low: number, high: number): string {
  const octets = [low, low >>> 8, low >>> 16, low >>> 24, high, high >>> 8];
  return octets.map((octet) => (octet & 0xff).toString(16).padStart(2, '0')).join(':');
}
