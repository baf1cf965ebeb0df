/** Where a function's MSI-X message writes go: the platform's interrupt controller or remapping hardware. */
export interface MsiSink {
  /**
   * @param requester PCI function that sent it: 0 for the PF, 1 + vf for a VF.
   * Called from whichever thread made the interrupt fire; must only touch shared memory.
   */
  deliver(requester: number, addressLow: number, addressHigh: number, data: number): void;
}
