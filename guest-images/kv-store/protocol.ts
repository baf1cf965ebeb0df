/**
 * memcached's ASCII commands in one datagram: an 8-byte frame header (request id, sequence 0, datagrams 1, reserved, all
 * big-endian u16), then `set`, `get` or `delete`.
 *
 * FLAGS of a value is the client's checksum of it: recomputed here when it is stored and when it is read.
 */
import { dataCheck } from '../lib/checksum';
import { addTo, BAD_CHECKSUM, BYTES, count, RECEIVED } from '../lib/counters';
import { findItem, hashOf, ITEM_FLAGS, ITEM_VALUE_BYTES, removeItem, setItem, valueOf } from './store';

export const SETS: usize = 6;
export const GETS: usize = 7;
export const HITS: usize = 8;
export const DELETES: usize = 9;
export const REFUSED: usize = 12;

export const FRAME_BYTES: u32 = 8;
const MAX_KEY_BYTES: u32 = 250;
const VALUE_OVERHEAD: u32 = 64;
/** Words of four characters as they lie in memory. */
const WORD_SET: u32 = 0x20746573;
const WORD_GET: u32 = 0x20746567;
const WORD_DELE: u32 = 0x656c6564;
const WORD_TE: u32 = 0x206574;
const SPACE: u32 = 32;
const CARRIAGE_RETURN: u32 = 13;
const LINE_FEED: u32 = 10;

/** Where parsing is, and where the reply grows. */
let at: usize = 0;
let end: usize = 0;
let out: usize = 0;

function put(text: string): void {
  for (let i = 0, length = text.length; i < length; i++) store<u8>(out++, <u8>text.charCodeAt(i));
}

function putNumber(value: u32): void {
  if (value >= 10) putNumber(value / 10);
  store<u8>(out, <u8>(48 + (value % 10)));
  out++;
}

/** Bytes up to the next space or line end; skips the space. */
function takeWord(): u32 {
  const start = at;
  while (at < end && <u32>load<u8>(at) > SPACE) at++;
  const bytes = <u32>(at - start);
  if (at < end && <u32>load<u8>(at) == SPACE) at++;
  return bytes;
}

/** A decimal number of at most 32 bits; -1 when there is none. */
function takeNumber(): i64 {
  const start = at;
  const bytes = takeWord();
  if (bytes == 0 || bytes > 10) return -1;
  let value: i64 = 0;
  for (let digit = start; digit < start + bytes; digit++) {
    const byte = <u32>load<u8>(digit);
    if (byte < 48 || byte > 57) return -1;
    value = value * 10 + <i64>(byte - 48);
  }
  return value > 0xffffffff ? -1 : value;
}

/** True: a line end is here, and was skipped. */
function takeLineEnd(): bool {
  if (end - at < 2 || <u32>load<u8>(at) != CARRIAGE_RETURN || <u32>load<u8>(at, 1) != LINE_FEED) return false;
  at += 2;
  return true;
}

/** Answers one request into `reply`, of at most `room` bytes. Returns the bytes of the answer; 0: not for us. */
export function answerRequest(request: usize, bytes: u32, reply: usize, room: u32): u32 {
  if (bytes < FRAME_BYTES + 4) return 0;
  // sequence 0, one datagram
  store<u16>(reply, load<u16>(request));
  store<u16>(reply, 0, 2);
  store<u32>(reply, 0x0100, 4);
  count(RECEIVED);
  addTo(BYTES, bytes);
  at = request + FRAME_BYTES;
  end = request + bytes;
  out = reply + FRAME_BYTES;
  const command = load<u32>(at);
  at += 4;
  if (command == WORD_GET) answerGet(room);
  else if (command == WORD_SET) answerSet();
  else if (command == WORD_DELE && bytes >= FRAME_BYTES + 8 && (load<u32>(at) & 0xffffff) == WORD_TE) answerDelete();
  else put('ERROR\r\n');
  return <u32>(out - reply);
}

function answerSet(): void {
  const key = at;
  const keyBytes = takeWord();
  const flags = takeNumber();
  const expiry = takeNumber();
  const length = takeNumber();
  if (keyBytes == 0 || keyBytes > MAX_KEY_BYTES || flags < 0 || expiry < 0 || length < 0 || !takeLineEnd()) {
    put('CLIENT_ERROR bad command line format\r\n');
    return;
  }
  const value = at;
  const valueBytes = <u32>length;
  if (<u32>(end - at) < valueBytes) {
    put('CLIENT_ERROR bad data chunk\r\n');
    return;
  }
  at += valueBytes;
  if (!takeLineEnd()) {
    put('CLIENT_ERROR bad data chunk\r\n');
    return;
  }
  count(SETS);
  if (dataCheck(value, valueBytes) != <u32>flags) {
    refuseChecksum();
    return;
  }
  if (setItem(key, keyBytes, hashOf(key, keyBytes), <u32>flags, value, valueBytes)) {
    put('STORED\r\n');
  } else {
    count(REFUSED);
    put('SERVER_ERROR out of memory storing object\r\n');
  }
}

function refuseChecksum(): void {
  count(BAD_CHECKSUM);
  put('SERVER_ERROR checksum\r\n');
}

function answerGet(room: u32): void {
  const key = at;
  const keyBytes = takeWord();
  count(GETS);
  const item = findItem(key, keyBytes, hashOf(key, keyBytes));
  if (item == 0) {
    put('END\r\n');
    return;
  }
  const bytes = load<u32>(item, ITEM_VALUE_BYTES);
  const flags = load<u32>(item, ITEM_FLAGS);
  const value = valueOf(item);
  if (bytes + keyBytes + VALUE_OVERHEAD > room) {
    put('SERVER_ERROR object too large for a datagram\r\n');
    return;
  }
  if (dataCheck(value, bytes) != flags) {
    refuseChecksum();
    return;
  }
  count(HITS);
  put('VALUE ');
  memory.copy(out, key, keyBytes);
  out += keyBytes;
  put(' ');
  putNumber(flags);
  put(' ');
  putNumber(bytes);
  put('\r\n');
  memory.copy(out, value, bytes);
  out += bytes;
  put('\r\nEND\r\n');
}

function answerDelete(): void {
  at += 3;
  const key = at;
  const keyBytes = takeWord();
  count(DELETES);
  if (removeItem(key, keyBytes, hashOf(key, keyBytes))) put('DELETED\r\n');
  else put('NOT_FOUND\r\n');
}
