/** CBOR of plain values, for what one VMM process tells another: looked at before a decoder sees it. */
import { Encoder } from 'cbor-x';
import { checkCbor } from '../migration/stream/cbor-guard.js';

const codec = new Encoder({ useRecords: false, mapsAsObjects: true, tagUint8Array: false });

export const encodePlain = (value: unknown): Uint8Array => codec.encode(value);

/** @throws StreamFormatError for bytes that are not exactly one plain, bounded value. */
export function decodePlain(bytes: Uint8Array): unknown {
  checkCbor(bytes);
  return codec.decode(bytes);
}
