/**
 * The bus that a guest's accesses go out on, as the vCPU calls it: plain synchronous functions in the vCPU's own
 * thread. Values are unsigned 32-bit numbers. What a slot holds is the hypervisor's affair.
 */
export interface GuestBus {
  /** 32-bit read of configuration space; 0xFFFFFFFF where nothing answers. */
  pciRead(slot: number, offset: number): number;
  pciWrite(slot: number, offset: number, value: number): void;
  /** 32-bit read of a base address register's window; 0xFFFFFFFF where nothing answers. */
  barRead(slot: number, bar: number, offset: number): number;
  /** @param bytes 1, 2 or 4 where the guest's bus knows narrower writes; 4 when left out */
  barWrite(slot: number, bar: number, offset: number, value: number, bytes?: number): void;
  /** The guest has handled the interrupt lines that it took last. */
  endOfInterrupt?(): void;
}

/** An empty bus: nothing answers. For guests without devices, and for tests. */
export const emptyBus: GuestBus = {
  pciRead: () => 0xffffffff,
  pciWrite() {},
  barRead: () => 0xffffffff,
  barWrite() {},
};
