/**
 * The device tree that the guest's kernel is handed: exactly the machine that is there. An extension of the instruction
 * set that is named here works.
 */
import { CACHE_BLOCK } from '../cpu/wasm/offsets.js';
import { cells64, type FdtNode, writeFdt } from './fdt.js';
import {
  type BusWindow,
  HART_ID,
  IMSIC_IDS,
  MAP,
  type Range,
  TIMEBASE_HZ,
  WIRED,
  WIRED_SOURCES,
} from './memory-map.js';

export interface DeviceTreeOptions {
  readonly ramBytes: number;
  readonly commandLine: string;
  /** Where the initramfs lies; null: none. */
  readonly initramfs: Range | null;
  /** Of riscv,isa-extensions. */
  readonly isaExtensions: readonly string[];
  /** Fills the kernel's random pool at boot. */
  readonly seed: Uint8Array;
}

const PHANDLE = { hart: 1, imsic: 2, aplic: 3 } as const;
/** Supervisor external interrupt, of the hart's own controller. */
const S_EXTERNAL = 9;
const LEVEL_HIGH = 4;
const PCI_MEMORY_32 = 0x0200_0000;
const PCI_MEMORY_64 = 0x0300_0000;
const UART_CLOCK_HZ = 3_686_400;

const reg = ({ base, bytes }: Range): number[] => [...cells64(base), ...cells64(bytes)];
const named = (name: string, { base }: Range): string => `${name}@${base.toString(16)}`;

const window = (kind: number, { base, bytes, busBase }: BusWindow): number[] => [
  kind,
  ...cells64(busBase),
  ...cells64(base),
  ...cells64(bytes),
];

function cpus(options: DeviceTreeOptions): FdtNode {
  return {
    properties: { '#address-cells': [1], '#size-cells': [0], 'timebase-frequency': [TIMEBASE_HZ] },
    children: {
      [`cpu@${HART_ID}`]: {
        properties: {
          device_type: 'cpu',
          reg: [HART_ID],
          compatible: 'riscv',
          'riscv,isa-base': 'rv64i',
          'riscv,isa-extensions': options.isaExtensions,
          'riscv,cboz-block-size': [CACHE_BLOCK],
          'mmu-type': 'riscv,sv39',
        },
        children: {
          'interrupt-controller': {
            properties: {
              compatible: 'riscv,cpu-intc',
              'interrupt-controller': true,
              '#address-cells': [0],
              '#interrupt-cells': [1],
              phandle: [PHANDLE.hart],
            },
          },
        },
      },
    },
  };
}

const imsic: FdtNode = {
  properties: {
    compatible: 'riscv,imsics',
    reg: reg(MAP.imsic),
    'interrupts-extended': [PHANDLE.hart, S_EXTERNAL],
    'interrupt-controller': true,
    '#address-cells': [0],
    '#interrupt-cells': [0],
    'msi-controller': true,
    '#msi-cells': [0],
    'riscv,num-ids': [IMSIC_IDS],
    phandle: [PHANDLE.imsic],
  },
};

const aplic: FdtNode = {
  properties: {
    compatible: 'riscv,aplic',
    reg: reg(MAP.aplic),
    'interrupt-controller': true,
    '#address-cells': [0],
    '#interrupt-cells': [2],
    'msi-parent': [PHANDLE.imsic],
    'riscv,num-sources': [WIRED_SOURCES],
    phandle: [PHANDLE.aplic],
  },
};

const pcie = (ramBytes: number): FdtNode => ({
  properties: {
    compatible: 'pci-host-ecam-generic',
    device_type: 'pci',
    reg: reg(MAP.ecam),
    'bus-range': [0, 0],
    '#address-cells': [3],
    '#size-cells': [2],
    ranges: [...window(PCI_MEMORY_32, MAP.pci32), ...window(PCI_MEMORY_64, MAP.pci64)],
    // devices see RAM from bus address 0 on
    'dma-ranges': window(PCI_MEMORY_64, { base: MAP.ram.base, bytes: ramBytes, busBase: 0 }),
    'msi-parent': [PHANDLE.imsic],
    'dma-coherent': true,
    'linux,pci-domain': [0],
  },
});

const uart: FdtNode = {
  properties: {
    compatible: 'ns16550a',
    reg: reg(MAP.uart),
    'clock-frequency': [UART_CLOCK_HZ],
    'interrupts-extended': [PHANDLE.aplic, WIRED.uart, LEVEL_HIGH],
  },
};

const rtc: FdtNode = {
  properties: {
    compatible: 'google,goldfish-rtc',
    reg: reg(MAP.rtc),
    'interrupts-extended': [PHANDLE.aplic, WIRED.rtc, LEVEL_HIGH],
  },
};

export function deviceTree(options: DeviceTreeOptions): Uint8Array {
  const ram: Range = { base: MAP.ram.base, bytes: options.ramBytes };
  const { initramfs } = options;
  return writeFdt({
    properties: {
      '#address-cells': [2],
      '#size-cells': [2],
      compatible: ['srvm,riscv64', 'riscv-virtio'],
      model: 'srvm riscv64',
    },
    children: {
      chosen: {
        properties: {
          bootargs: options.commandLine,
          'stdout-path': `/soc/${named('serial', MAP.uart)}`,
          'rng-seed': options.seed,
          ...(initramfs === null
            ? {}
            : {
                'linux,initrd-start': cells64(initramfs.base),
                'linux,initrd-end': cells64(initramfs.base + initramfs.bytes),
              }),
        },
      },
      [named('memory', ram)]: { properties: { device_type: 'memory', reg: reg(ram) } },
      cpus: cpus(options),
      soc: {
        properties: { compatible: 'simple-bus', '#address-cells': [2], '#size-cells': [2], ranges: true },
        children: {
          [named('interrupt-controller', MAP.imsic)]: imsic,
          [named('interrupt-controller', MAP.aplic)]: aplic,
          [named('serial', MAP.uart)]: uart,
          [named('rtc', MAP.rtc)]: rtc,
          [named('pcie', MAP.ecam)]: pcie(options.ramBytes),
        },
      },
    },
  });
}
