/** What the core is given: where things lie in the memory, and the way out to the machine. */

@external("env", "cpu") export declare const cpu: usize;
@external("env", "ramBytes") export declare const ramBytes: u32;
@external("env", "dirtyLog") export declare const dirtyLog: usize;
@external("env", "attention") export declare const attention: usize;

/** Low word; the high word of an 8-byte read is left in MMIO_HIGH. */
@external("machine", "mmioRead")
export declare function mmioRead(addressLow: u32, addressHigh: u32, size: u32): u32;
@external("machine", "mmioWrite")
export declare function mmioWrite(addressLow: u32, addressHigh: u32, size: u32, low: u32, high: u32): void;
/** Guest time now, in ticks. */
@external("machine", "time")
export declare function time(): f64;
