/**
 * A state as bytes: JSON, with byte strings and 64-bit numbers in a form of their own. A few kilobytes, and a decoder that
 * makes nothing but plain data of hostile bytes.
 */
const BYTES = 'base64';
const LONG = 'hex';
const HEX = /^[0-9a-f]{1,16}$/;

export const encodeState = (state: unknown): Uint8Array => Buffer.from(JSON.stringify(state, encodeSpecial));

/** @throws SyntaxError for what is no JSON */
export const decodeState = (bytes: Uint8Array): unknown =>
  JSON.parse(Buffer.from(bytes).toString('utf8'), decodeSpecial);

function encodeSpecial(this: unknown, key: string, value: unknown): unknown {
  if (typeof value === 'bigint') return { [LONG]: value.toString(16) };
  // a Buffer has become a record by its toJSON: look at what it was
  const original = (this as Record<string, unknown>)[key];
  return original instanceof Uint8Array ? { [BYTES]: Buffer.from(original).toString('base64') } : value;
}

function decodeSpecial(_key: string, value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value;
  if (BYTES in value) return new Uint8Array(Buffer.from(String(value[BYTES]), 'base64'));
  if (LONG in value && HEX.test(String(value[LONG]))) return BigInt(`0x${String(value[LONG])}`);
  return value;
}
