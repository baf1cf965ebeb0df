/**
 * The command line: words `key=value` separated by spaces, as Linux has it. The last of several equal keys counts.
 */
import { commandLine } from './machine';

const LIMIT: u32 = 4096;

/** Index of the first byte of the value of `key`, or 0xFFFFFFFF. */
function find(key: string): u32 {
  let found: u32 = 0xffffffff;
  let at: u32 = 0;
  while (at < LIMIT && commandLine(at) != 0xffffffff) {
    let matched = 0;
    while (matched < key.length && commandLine(at + matched) == <u32>key.charCodeAt(matched)) matched++;
    if (matched == key.length && commandLine(at + matched) == 61) found = at + matched + 1;
    while (at < LIMIT && !isEnd(commandLine(at))) at++;
    while (at < LIMIT && commandLine(at) == 32) at++;
  }
  return found;
}

@inline function isEnd(byte: u32): bool {
  return byte == 32 || byte == 10 || byte == 0xffffffff;
}

@inline function isDigit(byte: u32): bool {
  return byte >= 48 && byte <= 57;
}

export function hasOption(key: string): bool {
  return find(key) != 0xffffffff;
}

/** A number with an optional K, M or G (powers of 1024); `fallback` when the key is missing or its value no number. */
export function numberOption(key: string, fallback: u64): u64 {
  let at = find(key);
  if (at == 0xffffffff || !isDigit(commandLine(at))) return fallback;
  let value: u64 = 0;
  for (; isDigit(commandLine(at)); at++) value = value * 10 + <u64>(commandLine(at) - 48);
  const suffix = commandLine(at) | 32;
  if (suffix == 107) return value << 10;
  if (suffix == 109) return value << 20;
  return suffix == 103 ? value << 30 : value;
}

/** Whether the value of `key` is exactly `text`. */
export function optionIs(key: string, text: string): bool {
  const at = find(key);
  if (at == 0xffffffff) return false;
  for (let i = 0; i < text.length; i++) {
    if (commandLine(at + i) != <u32>text.charCodeAt(i)) return false;
  }
  return isEnd(commandLine(at + text.length));
}

/** `10.0.0.2` as it lies in a packet (first byte in bits 7:0); `fallback` when missing or malformed. */
export function ipOption(key: string, fallback: u32): u32 {
  let at = find(key);
  if (at == 0xffffffff) return fallback;
  let ip: u32 = 0;
  for (let part: u32 = 0; part < 4; part++) {
    if (!isDigit(commandLine(at))) return fallback;
    let value: u32 = 0;
    for (; isDigit(commandLine(at)); at++) value = value * 10 + (commandLine(at) - 48);
    if (value > 255) return fallback;
    ip |= value << (part << 3);
    if (part < 3 && commandLine(at++) != 46) return fallback;
  }
  return ip;
}

function hexDigit(byte: u32): u32 {
  if (isDigit(byte)) return byte - 48;
  const letter = byte | 32;
  return letter >= 97 && letter <= 102 ? letter - 87 : 0xff;
}

/** Writes the six bytes of `52:54:00:00:00:01` to `target`; false when missing or malformed. */
export function macOption(key: string, target: usize): bool {
  let at = find(key);
  if (at == 0xffffffff) return false;
  for (let i: usize = 0; i < 6; i++) {
    const high = hexDigit(commandLine(at));
    const low = hexDigit(commandLine(at + 1));
    if (high == 0xff || low == 0xff) return false;
    store<u8>(target + i, (high << 4) | low);
    at += 2;
    if (i < 5 && commandLine(at++) != 58) return false;
  }
  return true;
}
