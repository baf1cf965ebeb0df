/**
 * The store's protocol: memcached's ASCII commands behind its UDP frame header, one datagram each way. Requests are
 * written and replies read in place.
 *
 *     | id u16 | sequence 0 | datagrams 1 | reserved 0 | set KEY FLAGS 0 BYTES\r\n DATA \r\n
 *
 * FLAGS carries the checksum of DATA, which the guest recomputes.
 */
import { readU16, writeU16 } from '../../hardware/wire/frames.js';

export const KV_PORT = 11211;
export const KV_HEADER_BYTES = 8;
/** `key:` and eight digits. */
export const KEY_BYTES = 12;
export const MAX_KEYS = 100_000_000;

const text = (value: string): Uint8Array => Uint8Array.from(Buffer.from(value));

const SET = text('set ');
const GET = text('get ');
const DELETE = text('delete ');
const KEY = text('key:');
const SPACE = 0x20;
const ZERO = 0x30;
const NINE = 0x39;
const CRLF = text('\r\n');
const EXPTIME = text(' 0 ');
const VALUE = text('VALUE ');
const END = text('END\r\n');
const DATA_END = text('\r\nEND\r\n');
const STORED = text('STORED\r\n');
const DELETED = text('DELETED\r\n');
const NOT_FOUND = text('NOT_FOUND\r\n');
const CHECKSUM_ERROR = text('SERVER_ERROR checksum');
const SERVER_ERROR = text('SERVER_ERROR');

export type ReplyKind =
  | 'stored'
  | 'value'
  | 'miss'
  | 'deleted'
  | 'not-found'
  | 'checksum-error'
  | 'server-error'
  | 'malformed';

/** The checksum that FLAGS carries: s1 ^ rotl(s2, 16) over all words, the last one padded with zeros. */
export function dataChecksum(bytes: Uint8Array, offset: number, dataBytes: number): number {
  let s1 = 0;
  let s2 = 0;
  const whole = offset + (dataBytes & ~3);
  let at = offset;
  for (; at < whole; at += 4) {
    s1 = (s1 + (bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24))) | 0;
    s2 = (s2 + s1) | 0;
  }
  if ((dataBytes & 3) !== 0) {
    let word = 0;
    for (let i = 0; i < (dataBytes & 3); i++) word |= bytes[at + i]! << (8 * i);
    s1 = (s1 + word) | 0;
    s2 = (s2 + s1) | 0;
  }
  return (s1 ^ ((s2 << 16) | (s2 >>> 16))) >>> 0;
}

/** Writes requests at an offset of a buffer; each returns the datagram's length. */
export class KvRequestWriter {
  /** Where the data of the last set lies. */
  private readonly bytes: Uint8Array;
  private readonly start: number;
  private at = 0;

  constructor(bytes: Uint8Array, start: number) {
    this.bytes = bytes;
    this.start = start;
  }

  get(id: number, key: number): number {
    return this.keyed(id, GET, key);
  }

  delete(id: number, key: number): number {
    return this.keyed(id, DELETE, key);
  }

  /** `data[dataOffset .. + dataBytes)` under its checksum. */
  set(id: number, key: number, data: Uint8Array, dataOffset: number, dataBytes: number): number {
    this.header(id, SET, key);
    this.byte(SPACE);
    this.decimal(dataChecksum(data, dataOffset, dataBytes));
    this.append(EXPTIME);
    this.decimal(dataBytes);
    this.append(CRLF);
    this.bytes.set(data.subarray(dataOffset, dataOffset + dataBytes), this.at);
    this.at += dataBytes;
    this.append(CRLF);
    return this.at - this.start;
  }

  private keyed(id: number, command: Uint8Array, key: number): number {
    this.header(id, command, key);
    this.append(CRLF);
    return this.at - this.start;
  }

  private header(id: number, command: Uint8Array, key: number): void {
    this.at = this.start;
    writeU16(this.bytes, this.at, id);
    writeU16(this.bytes, this.at + 2, 0);
    writeU16(this.bytes, this.at + 4, 1);
    writeU16(this.bytes, this.at + 6, 0);
    this.at += KV_HEADER_BYTES;
    this.append(command);
    this.append(KEY);
    const digits = KEY_BYTES - KEY.length;
    let rest = key;
    for (let i = digits - 1; i >= 0; i--) {
      this.bytes[this.at + i] = ZERO + (rest % 10);
      rest = Math.floor(rest / 10);
    }
    this.at += digits;
  }

  private append(part: Uint8Array): void {
    for (let i = 0; i < part.length; i++) this.bytes[this.at + i] = part[i]!;
    this.at += part.length;
  }

  private byte(value: number): void {
    this.bytes[this.at++] = value;
  }

  private decimal(value: number): void {
    let digits = 1;
    for (let bound = 10; value >= bound; bound *= 10) digits++;
    let rest = value;
    for (let i = digits - 1; i >= 0; i--) {
      this.bytes[this.at + i] = ZERO + (rest % 10);
      rest = Math.floor(rest / 10);
    }
    this.at += digits;
  }
}

/** Reads one reply; its fields hold what the last parse() found. */
export class KvReplyReader {
  id = 0;
  kind: ReplyKind = 'malformed';
  /** Of a value. */
  key = 0;
  flags = 0;
  dataOffset = 0;
  dataBytes = 0;
  private at = 0;

  /** False when there is not even a header to say which request it answers. */
  parse(bytes: Uint8Array, offset: number, length: number): boolean {
    this.kind = 'malformed';
    if (length < KV_HEADER_BYTES) return false;
    this.id = readU16(bytes, offset);
    const at = offset + KV_HEADER_BYTES;
    const end = offset + length;
    if (starts(bytes, at, end, VALUE)) this.parseValue(bytes, at + VALUE.length, end);
    else if (starts(bytes, at, end, END)) this.kind = 'miss';
    else if (starts(bytes, at, end, STORED)) this.kind = 'stored';
    else if (starts(bytes, at, end, DELETED)) this.kind = 'deleted';
    else if (starts(bytes, at, end, NOT_FOUND)) this.kind = 'not-found';
    else if (starts(bytes, at, end, CHECKSUM_ERROR)) this.kind = 'checksum-error';
    else if (starts(bytes, at, end, SERVER_ERROR)) this.kind = 'server-error';
    return true;
  }

  /** `key:00000001 FLAGS BYTES\r\nDATA\r\nEND\r\n`; anything else leaves the kind as malformed. */
  private parseValue(bytes: Uint8Array, start: number, end: number): void {
    if (!starts(bytes, start, end, KEY)) return;
    this.at = start + KEY.length;
    const key = this.number(bytes, end);
    if (this.at !== start + KEY_BYTES || bytes[this.at++] !== SPACE) return;
    const flags = this.number(bytes, end);
    if (flags < 0 || bytes[this.at++] !== SPACE) return;
    const dataBytes = this.number(bytes, end);
    if (dataBytes < 0 || !starts(bytes, this.at, end, CRLF)) return;
    this.dataOffset = this.at + CRLF.length;
    if (!starts(bytes, this.dataOffset + dataBytes, end, DATA_END)) return;
    this.key = key;
    this.flags = flags;
    this.dataBytes = dataBytes;
    this.kind = 'value';
  }

  /** A decimal number at `at`, which moves past it; -1 when there is none. */
  private number(bytes: Uint8Array, end: number): number {
    let value = -1;
    while (this.at < end && bytes[this.at]! >= ZERO && bytes[this.at]! <= NINE && value < 1e10) {
      value = (value < 0 ? 0 : value * 10) + (bytes[this.at]! - ZERO);
      this.at++;
    }
    return value;
  }
}

function starts(bytes: Uint8Array, at: number, end: number, part: Uint8Array): boolean {
  if (at + part.length > end) return false;
  for (let i = 0; i < part.length; i++) if (bytes[at + i] !== part[i]) return false;
  return true;
}
