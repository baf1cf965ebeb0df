/**
 * What is explored: a device's cores, the guests that they serve, and the peer on the wire, each a thread; and the shared
 * memory that they meet in.
 */
import { createDomainHandle } from '../../../src/hardware/iommu/domain.js';
import { createSharedCable, type SharedCableHandle } from '../../../src/hardware/wire/shared-cable.js';
import { powerOn } from '../../../src/virtio/common-registers.js';
import { createVifWords, DEFAULT_FILTERS, VifWords } from '../../../src/virtio/device-cores/vif-words.js';
import {
  BELL_BYTES,
  createDeviceWords,
  DeviceWords,
  type VirtioNetHandle,
  WORD,
} from '../../../src/virtio/device-words.js';
import { FEATURE } from '../../../src/virtio/spec.js';

/** Who serves the guests: cores of a self-virtualizing device, or a driver domain's software switch. */
export type Server = 'device' | 'domain';

export interface SceneOptions {
  readonly server: Server;
  /** Of a device. */
  readonly cores: number;
  readonly guests: number;
  /** That each guest sends, and the peer to each guest. */
  readonly frames: number;
  /** What guests do besides: set registers, mask interrupts, take the bus away, reset the device. */
  readonly deeds: readonly Deed[];
}

export type Deed = 'register' | 'mask' | 'bus' | 'reset';

/** Frames for a device that is not there just now, and what a reset finds under way, are lost and no fault. */
export const mayLose = ({ deeds }: SceneOptions): boolean => deeds.includes('bus') || deeds.includes('reset');

export interface GuestScene {
  readonly device: VirtioNetHandle;
  readonly vif: SharedArrayBuffer;
  /** Messages that came, by vector, and of all together. */
  readonly messages: SharedArrayBuffer;
  readonly macLow: number;
  readonly macHigh: number;
  readonly core: number;
}

export interface Scene extends SceneOptions {
  readonly stations: readonly GuestScene[];
  /** Of each core, or of the domain. */
  readonly bells: readonly SharedArrayBuffer[];
  /** From core n + 1 to core 0. */
  readonly ways: readonly (readonly [SharedCableHandle, SharedCableHandle])[];
  readonly wire: readonly [SharedCableHandle, SharedCableHandle];
  /** How many guests are up. */
  readonly up: SharedArrayBuffer;
  /** Of the test's own, not of the code under test: free receive buffers of each guest that nobody has a frame for. */
  readonly credits: SharedArrayBuffer;
}

export const RAM_BYTES = 1 << 18;
export const QUEUE_SIZE = 16;
export const MAC_LOW = 0x0000_5452;
export const macHighOf = (station: number): number => (station << 8) & 0xffff;
/** Whose frames come by the wire. */
export const PEER = 0x77;
export const MESSAGES = { all: 3, bytes: 16 } as const;
/** Whoever has no buffer to send to looks again after so long. */
export const WITHOUT_CREDIT_MS = 0.2;
const CABLE_RING_BYTES = 1 << 16;

export function createScene(options: SceneOptions): Scene {
  const cores = options.server === 'device' ? options.cores : 1;
  const bells = Array.from({ length: cores }, () => new SharedArrayBuffer(BELL_BYTES));
  const cable = () => createSharedCable({ ringBytes: CABLE_RING_BYTES });
  return {
    ...options,
    stations: Array.from({ length: options.guests }, (_, guest) => createGuest(guest, bells, guest % cores)),
    bells,
    ways: Array.from({ length: cores - 1 }, cable),
    wire: cable(),
    up: new SharedArrayBuffer(4),
    credits: new SharedArrayBuffer(4 * options.guests),
  };
}

function createGuest(guest: number, bells: readonly SharedArrayBuffer[], core: number): GuestScene {
  const device: VirtioNetHandle = {
    words: createDeviceWords(),
    bell: bells[core]!,
    domain: createDomainHandle(new SharedArrayBuffer(RAM_BYTES), [
      { iovaStart: 0, memoryOffset: 0, bytes: RAM_BYTES, writable: true },
    ]),
    log: new SharedArrayBuffer(RAM_BYTES / 4096),
  };
  const words = new DeviceWords(device);
  const macHigh = macHighOf(guest + 1);
  powerOn(words, {
    macLow: MAC_LOW,
    macHigh,
    mtu: 1500,
    features: FEATURE.mac | FEATURE.csum | FEATURE.guestCsum,
  });
  words.set(WORD.logging, 1);
  const vif = createVifWords();
  new VifWords(vif).filters = DEFAULT_FILTERS;
  return { device, vif, messages: new SharedArrayBuffer(MESSAGES.bytes), macLow: MAC_LOW, macHigh, core };
}

/** The words whose every access is a point of the exploration. */
export function explored({ stations, bells, ways, wire, up }: Scene): SharedArrayBuffer[] {
  return [
    ...stations.flatMap(({ device, vif, messages }) => [device.words, device.domain.memory, vif, messages]),
    ...bells,
    ...[...ways, wire].map(([{ buffer }]) => buffer),
    up,
  ];
}
