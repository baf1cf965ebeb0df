/** Lines on the guest's console. Text is ASCII. */
import { consoleWrite } from './machine';

export function print(text: string): void {
  for (let i = 0, count = text.length; i < count; i++) consoleWrite(text.charCodeAt(i));
}

export function printLine(text: string): void {
  print(text);
  consoleWrite(10);
}

export function printNumber(value: u64): void {
  if (value >= 10) printNumber(value / 10);
  consoleWrite(48 + <u32>(value % 10));
}

export function printHexByte(value: u32): void {
  const high = (value >> 4) & 15;
  const low = value & 15;
  consoleWrite(high < 10 ? 48 + high : 87 + high);
  consoleWrite(low < 10 ? 48 + low : 87 + low);
}

/** An address as it lies in memory: six bytes. */
export function printMac(at: usize): void {
  for (let i: usize = 0; i < 6; i++) {
    if (i > 0) consoleWrite(58);
    printHexByte(load<u8>(at + i));
  }
}

/** An IPv4 address as it lies in a packet: first byte in bits 7:0. */
export function printIp(ip: u32): void {
  for (let i: u32 = 0; i < 4; i++) {
    if (i > 0) consoleWrite(46);
    printNumber((ip >> (i << 3)) & 0xff);
  }
}
