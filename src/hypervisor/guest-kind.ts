/**
 * The two kinds of guest that a VM can be made of, and what differs between them: the layout of their memory, what a first
 * boot finds in it, their vCPU, and where a device's messages go.
 *
 *   component     a WebAssembly component: interrupt lines in the control page
 *   rv64-linux    a riscv64 kernel: an interrupt file (IMSIC) that messages are written to
 */
import type { LoadedImage } from '../guest/loaded-image.js';
import type { WordWait } from '../hardware/clock.js';
import type { CompileAhead } from '../machine/compiled-builds.js';
import { ComponentVcpu } from '../machine/component-vcpu.js';
import { type DirtyMap, SharedDirtyMap } from '../machine/dirty-map.js';
import { CTRL, layoutFor, type MemoryLayout } from '../machine/layout.js';
import { createMemory, writeBootState, writeCommandLine } from '../machine/memory.js';
import type { CommonVcpuState, VcpuKind } from '../machine/vcpu-kind.js';
import { decodeVcpuState } from '../machine/vcpu-state.js';
import { createRv64Memory, rv64LayoutFor } from '../rv64/cpu/layout.js';
import { IMSIC_EIP } from '../rv64/cpu/wasm/offsets.js';
import { Rv64DirtyLog } from '../rv64/machine/dirty-log.js';
import type { LinuxImage } from '../rv64/machine/linux-image-files.js';
import { IMSIC_IDS, MAP } from '../rv64/machine/memory-map.js';
import { decodeRv64VcpuState, Rv64VcpuKind } from '../rv64/machine/rv64-vcpu-state.js';
import type { InterruptTarget } from './interrupt-remap.js';

export type GuestImage = LoadedImage | LinuxImage;

export interface GuestKind {
  readonly layout: MemoryLayout;
  /** All zero, and large enough for what this kind keeps behind the layout. */
  createMemory(): WebAssembly.Memory;
  /** What the main thread leaves for a first boot. */
  writeBoot(memory: WebAssembly.Memory, commandLine: string, hostNowNs: number): void;
  vcpu(memory: WebAssembly.Memory, compile: CompileAhead): VcpuKind<CommonVcpuState>;
  /** A state that is not trusted. */
  decodeState(value: unknown): CommonVcpuState;
  openDirtyLog(memory: WebAssembly.Memory, wait: WordWait): DirtyMap;
  /** Whether it can be told of PCI hot-plug. */
  readonly hasHotplug: boolean;
  /** Where a passed-through device's messages go. */
  messageTarget(memory: WebAssembly.Memory): InterruptTarget;
}

export const isLinux = (image: GuestImage): image is LinuxImage => 'kind' in image;

export const guestKind = (image: GuestImage): GuestKind =>
  isLinux(image) ? linuxKind(image) : componentKind(image);

/** The memory is a shared one; the library's type knows only the other kind. */
const bufferOf = (memory: WebAssembly.Memory): SharedArrayBuffer =>
  memory.buffer as unknown as SharedArrayBuffer;

function componentKind(image: LoadedImage): GuestKind {
  const layout = layoutFor(image.ramBytes);
  return {
    layout,
    hasHotplug: true,
    createMemory: () => createMemory(layout),
    writeBoot: (memory, commandLine, nowNs) => writeBootState(memory, image, commandLine, nowNs),
    vcpu: (memory, compile) => new ComponentVcpu(image, memory, compile),
    decodeState: (value) => decodeVcpuState(value, image),
    openDirtyLog: (memory) => new SharedDirtyMap(bufferOf(memory), layout.dirtyLogOffset, layout.ramPages),
    messageTarget: (memory) => ({
      kind: 'vm',
      memory: bufferOf(memory),
      controlOffset: layout.controlOffset,
    }),
  };
}

function linuxKind(image: LinuxImage): GuestKind {
  const whole = rv64LayoutFor(image.ramBytes);
  const layout = whole.machine;
  return {
    layout,
    // Debian's riscv64 kernel is built without it
    hasHotplug: false,
    createMemory: () => createRv64Memory(whole),
    // kernel and initramfs are the vCPU's thread's affair: it boots again by itself, too
    writeBoot: (memory, commandLine, nowNs) => {
      new Float64Array(memory.buffer, layout.controlOffset + CTRL.clockOffset * 4, 1)[0] = -nowNs;
      writeCommandLine(memory, layout, new TextEncoder().encode(commandLine));
    },
    vcpu: (memory) => new Rv64VcpuKind(memory, whole),
    decodeState: decodeRv64VcpuState,
    openDirtyLog: (memory, wait) => new Rv64DirtyLog(memory, whole, wait),
    messageTarget: (memory) => ({
      kind: 'interrupt-file',
      memory: bufferOf(memory),
      controlOffset: layout.controlOffset,
      pendingOffset: whole.cpuOffset + IMSIC_EIP,
      identities: IMSIC_IDS,
      address: MAP.imsic.base,
    }),
  };
}
