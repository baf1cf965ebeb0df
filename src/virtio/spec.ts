/**
 * Names of the virtio 1.x specification, as far as a network device on PCI needs them: where structures lie, feature and
 * status bits, the formats in guest memory.
 *
 *   BAR 0   0x0000 common configuration | 0x1000 ISR | 0x2000 device configuration | 0x3000 notify, 4 bytes a queue
 *   BAR 3   0x0000 MSI-X table | 0x2000 pending bits
 */

/** Structures in BAR 0; each has 4 KiB. */
export const AREA = { common: 0x0000, isr: 0x1000, device: 0x2000, notify: 0x3000 } as const;
export const AREA_BYTES = 0x1000;
export const BAR0_BYTES = 0x4000;
export const NOTIFY_STRIDE = 4;
/** Types of vendor-specific PCI capabilities. */
export const CAPABILITY = { common: 1, notify: 2, isr: 3, device: 4 } as const;

export const VENDOR_VIRTIO = 0x1af4;
/** Modern network device: 0x1040 + device type 1. */
export const DEVICE_NET = 0x1041;

/** Device status. */
export const STATUS = {
  acknowledge: 1,
  driver: 2,
  driverOk: 4,
  featuresOk: 8,
  needsReset: 64,
  failed: 128,
} as const;

/** Low word of the features of a network device. */
export const FEATURE = {
  csum: 1 << 0,
  guestCsum: 1 << 1,
  mtu: 1 << 3,
  mac: 1 << 5,
  guestTso4: 1 << 7,
  hostTso4: 1 << 11,
  mergeableBuffers: 1 << 15,
  status: 1 << 16,
} as const;
/**
 * High word. VIRTIO_F_VERSION_1 is bit 32. VIRTIO_F_ACCESS_PLATFORM, bit 33: addresses are the bus's, as any device's that
 * sits behind an IOMMU; a driver whose bus has the CPU's own addresses may leave it.
 */
export const FEATURE_HIGH = { version1: 1 << 0, accessPlatform: 1 << 1 } as const;

export const ISR = { queue: 1, config: 2 } as const;
/** "No vector" in a vector register. */
export const NO_VECTOR = 0xffff;
export const LINK_UP = 1;

// --- split virtqueue ----------------------------------------------------------------------------------------------
export const DESCRIPTOR_BYTES = 16;
export const DESCRIPTOR_FLAG = { next: 1, write: 2, indirect: 4 } as const;
/** available.flags: the driver wants no interrupt. */
export const NO_INTERRUPT = 1;
/** used.flags: the device wants no notification. */
export const NO_NOTIFY = 1;

// --- network header, 12 bytes in front of every packet ---------------------------------------------------------------
export const NET_HEADER_BYTES = 12;
export const NET_FLAG = { needsChecksum: 1, dataValid: 2 } as const;
export const NET_GSO = { none: 0, tcpv4: 1 } as const;
export const NET_HEADER = {
  flags: 0,
  gsoType: 1,
  headerBytes: 2,
  gsoBytes: 4,
  checksumStart: 6,
  checksumOffset: 8,
  buffers: 10,
} as const;

/** Queues of a network device without multiqueue. */
export const QUEUE = { receive: 0, transmit: 1 } as const;
export const QUEUES = 2;
export const MAX_QUEUE_SIZE = 1024;
/** Vectors of the MSI-X table: configuration, receive, transmit. */
export const VECTORS = QUEUES + 1;
