/** What the Debian image's builder makes and reads itself: the archive, and what ELF files ask for. */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { PACKAGE_ROOT } from '../../src/control/package-root.js';

const FOLDER = `file://${PACKAGE_ROOT}/guest-images/debian-riscv64`;
const { CpioArchive } = await import(`${FOLDER}/cpio.mjs`);
const { dynamicNeeds, isElf64 } = await import(`${FOLDER}/elf.mjs`);

interface Entry {
  readonly name: string;
  readonly mode: number;
  readonly content: string;
  readonly device: readonly [number, number];
}

/** A reader of newc archives, from the format's description. */
function readCpio(bytes: Buffer): Entry[] {
  const entries: Entry[] = [];
  for (let at = 0; ; ) {
    expect(bytes.toString('latin1', at, at + 6)).toBe('070701');
    const field = (index: number) =>
      Number.parseInt(bytes.toString('latin1', at + 6 + 8 * index, at + 14 + 8 * index), 16);
    const [mode, size, nameBytes] = [field(1), field(6), field(11)];
    const name = bytes.toString('latin1', at + 110, at + 110 + nameBytes - 1);
    if (name === 'TRAILER!!!') return entries;
    const contentAt = (at + 110 + nameBytes + 3) & ~3;
    const content = bytes.toString('latin1', contentAt, contentAt + size);
    entries.push({ name, mode, content, device: [field(9), field(10)] });
    at = (contentAt + size + 3) & ~3;
  }
}

describe('the archive', () => {
  it('holds files, links and devices, and the folders on their way', () => {
    const archive = new CpioArchive();
    archive.file('usr/bin/tool', Buffer.from('abcde'), 0o755);
    archive.link('bin', 'usr/bin');
    archive.charDevice('dev/console', 5, 1);
    archive.file('usr/bin/other', Buffer.from(''));
    const bytes: Buffer = archive.bytes();
    expect(bytes.length % 512).toBe(0);
    const entries = readCpio(bytes);
    expect(entries.map(({ name, mode }) => `${name} ${mode.toString(8)}`)).toEqual([
      'usr 40755',
      'usr/bin 40755',
      'usr/bin/tool 100755',
      'bin 120777',
      'dev 40755',
      'dev/console 20600',
      'usr/bin/other 100644',
    ]);
    expect(entries[2]!.content).toBe('abcde');
    expect(entries[3]!.content).toBe('usr/bin');
    expect(entries[5]!.device).toEqual([5, 1]);
  });

  it('is the same for the same contents', () => {
    const make = () => {
      const archive = new CpioArchive();
      archive.file('a/b', Buffer.from('x'));
      return archive.bytes();
    };
    expect(make().equals(make())).toBe(true);
  });
});

describe('an ELF file', () => {
  it('says which libraries it needs', () => {
    const node = readFileSync(process.execPath);
    if (!isElf64(node)) return;
    const { interpreter, needed } = dynamicNeeds(node);
    expect(interpreter).toMatch(/^\//);
    expect(needed).toContain('libc.so.6');
  });

  it('is told from anything else', () => {
    expect(isElf64(Buffer.from('#!/bin/sh\n'))).toBe(false);
    expect(isElf64(Buffer.alloc(100))).toBe(false);
  });
});
