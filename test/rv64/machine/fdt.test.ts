/** The device tree: what is written can be read back, and says what the machine is. */
import { describe, expect, it } from 'vitest';
import { deviceTree } from '../../../src/rv64/machine/device-tree.js';
import { cells64, writeFdt } from '../../../src/rv64/machine/fdt.js';
import { MAP } from '../../../src/rv64/machine/memory-map.js';

interface ReadNode {
  readonly properties: Map<string, Buffer>;
  readonly children: Map<string, ReadNode>;
}

/** A reader written from the specification, not from the writer. */
function readFdt(bytes: Uint8Array): ReadNode {
  const blob = Buffer.from(bytes);
  const header = (index: number) => blob.readUInt32BE(index * 4);
  expect(header(0)).toBe(0xd00dfeed);
  expect(header(1)).toBe(blob.length);
  expect(header(5)).toBe(17);
  const strings = header(3);
  let at = header(2);
  const word = () => blob.readUInt32BE((at += 4) - 4);
  const text = (from: number) => blob.toString('latin1', from, blob.indexOf(0, from));
  const node = (): ReadNode => {
    const properties = new Map<string, Buffer>();
    const children = new Map<string, ReadNode>();
    for (;;) {
      const token = word();
      if (token === 2) return { properties, children };
      if (token === 3) {
        const [length, name] = [word(), word()];
        properties.set(text(strings + name), blob.subarray(at, at + length));
        at += (length + 3) & ~3;
      } else {
        expect(token).toBe(1);
        const name = text(at);
        at += (name.length + 4) & ~3;
        children.set(name, node());
      }
    }
  };
  expect(word()).toBe(1);
  expect(text(at)).toBe('');
  at += 4;
  const root = node();
  expect(word()).toBe(9);
  return root;
}

const at = (root: ReadNode, ...path: string[]): ReadNode =>
  path.reduce((node, name) => node.children.get(name)!, root);
const cellsOf = (value: Buffer | undefined): number[] =>
  Array.from({ length: value!.length / 4 }, (_, i) => value!.readUInt32BE(i * 4));

describe('a flattened device tree', () => {
  it('keeps every kind of value', () => {
    const root = readFdt(
      writeFdt({
        properties: {
          text: 'abc',
          texts: ['a', 'bc'],
          cells: [1, 0xffffffff],
          raw: Uint8Array.of(7),
          flag: true,
        },
        children: { 'child@1': { properties: { text: 'x' } } },
      }),
    );
    expect(root.properties.get('text')!.toString()).toBe('abc\0');
    expect(root.properties.get('texts')!.toString()).toBe('a\0bc\0');
    expect(cellsOf(root.properties.get('cells'))).toEqual([1, 0xffffffff]);
    expect([...root.properties.get('raw')!]).toEqual([7]);
    expect(root.properties.get('flag')!.length).toBe(0);
    expect(at(root, 'child@1').properties.get('text')!.toString()).toBe('x\0');
  });

  it('splits 64-bit numbers', () => {
    expect(cells64(0x4_0000_0001)).toEqual([4, 1]);
  });

  it('describes the machine that is there', () => {
    const root = readFdt(
      deviceTree({
        ramBytes: 2 ** 31,
        commandLine: 'console=hvc0',
        initramfs: { base: 0x9000_0000, bytes: 5 },
        isaExtensions: ['i', 'm'],
        seed: new Uint8Array(64),
      }),
    );
    const chosen = at(root, 'chosen').properties;
    expect(chosen.get('bootargs')!.toString()).toBe('console=hvc0\0');
    expect(cellsOf(chosen.get('linux,initrd-end'))).toEqual([0, 0x9000_0005]);
    expect(cellsOf(at(root, 'memory@80000000').properties.get('reg'))).toEqual([
      0, 0x8000_0000, 0, 0x8000_0000,
    ]);
    const soc = at(root, 'soc');
    const pcie = at(soc, `pcie@${MAP.ecam.base.toString(16)}`).properties;
    // bus address 0 is the start of RAM
    expect(cellsOf(pcie.get('dma-ranges'))).toEqual([0x0300_0000, 0, 0, 0, 0x8000_0000, 0, 0x8000_0000]);
    const cpu = at(root, 'cpus', 'cpu@0').properties;
    expect(cpu.get('riscv,isa-extensions')!.toString()).toBe('i\0m\0');
    expect(cellsOf(cpu.get('riscv,cboz-block-size'))).toEqual([64]);
    for (const name of soc.children.keys()) {
      const [high, low] = cellsOf(at(soc, name).properties.get('reg'));
      expect(name.split('@')[1]).toBe((high! * 2 ** 32 + low!).toString(16));
    }
  });
});
