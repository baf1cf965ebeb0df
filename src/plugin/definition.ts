/**
 * What a plugin is: a name, options, and the methods the host calls around one migration of one VF.
 *
 *   source       createTracker -> start -> (beforeHarvest)* -> beforePause -> quiesce -> beforeHarvest -> saveDevice -> stop
 *                anything fails, or the user cancels:           rollbackDevice -> stop        (the VM goes on)
 *   destination  restoreDevice -> announce
 *
 * Every call has a time limit; a call that throws or does not come back fails the migration, never the VM.
 */
import type { CoreHandle, CoreRequest } from './core-api.js';
import type {
  DeviceView,
  DirtyMarks,
  ScratchPages,
  StateFields,
  StateValue,
  VfStatistics,
} from './device-view.js';
import type { ExitRequest, ExitsHandle } from './exit-api.js';

/** Version of this API. A plugin says which one it was written for. */
export const PLUGIN_API_VERSION = 1;

export interface OptionSpec {
  /** The allowed values; left out: any string of at most 256 characters. */
  readonly values?: readonly string[];
  readonly default: string;
  /** One line for `srvm plugins`. */
  readonly help?: string;
}

/** What both ends hand to a plugin. */
export interface DeviceContext extends DeviceView {
  readonly options: Readonly<Record<string, string>>;
  /** The VF's configuration space as the guest sees it. */
  readonly config: { read32(offset: number): number; write32(offset: number, value: number): void };
  readonly scratch: ScratchPages;
  /** What the PF driver holds for this VF: addresses, VLANs, multicast, mailbox protocol and flags, limits. Opaque. */
  readonly policy: {
    export(): StateValue;
    import(policy: StateValue): void;
    /**
     * Runs `action` while the VF's way out is open, whatever its guest is admitted to: hidden Tx contexts are set by sending
     * them. The caller sees to it that nothing else is sent meanwhile.
     */
    whileSending<T>(action: () => Promise<T>): Promise<T>;
  };
  readonly statistics: {
    read(): VfStatistics;
    /** From now on the guest's counters go on from these values. */
    continueFrom(values: VfStatistics): void;
  };
  /** The dirty bits of the VF's IOMMU domain, on hardware that has them; else null. */
  readonly iommuDirty: IommuDirtyBits | null;
  /** A device that helps with its own migration; null for one that does not, as an 82599. */
  readonly assist: MigrationAssist | null;
  /** Takes the VF away from the guest, with its consent, and brings it back. */
  readonly hotplug: HotPlug;
  /** To the VF's driver, for methods that need its help. */
  readonly guest: GuestChannel;
  /** Puts an interrupt to the guest as if the VF had sent it: vector 0..2, through its MSI-X table. */
  raiseInterrupt(vector: number): void;
  /** Sends this VF's addresses to the network, so that switches learn the port. */
  announce(): void;
  note(text: string): void;
  /** Polls until `condition` holds; rejects with `what` after the limit. */
  waitUntil(what: string, condition: () => boolean, limitMs?: number): Promise<void>;
}

/**
 * PCI hot-plug of the VF's slot, as the guest's bus has it. Whether a slot is empty moves with the VM: a VF that is unplugged
 * when its VM migrates is unplugged at the destination, until it is plugged in there.
 */
export interface HotPlug {
  /** Whether this kind of guest has PCI hot-plug at all. One that has it may still not take part. */
  readonly supported: boolean;
  readonly plugged: boolean;
  /**
   * Asks the guest to let go of the VF. When it resolves, the guest has: the slot reads as empty, the VF is reset and reaches
   * no memory. Rejects with a HotplugError when the guest does not within the limit (3 s): the VF is as it was then.
   */
  unplug(limitMs?: number): Promise<void>;
  /**
   * Puts the VF into its slot, as reset, and tells the guest; what the guest makes of it is not waited for, and it may stand
   * still. Does nothing where the VF is plugged in; withdraws a request that the guest has not answered.
   */
  plug(): Promise<void>;
}

/**
 * What the VF's driver and the PF driver say to each other in the mailbox beyond the 82599's own protocol: messages of
 * types 0x60 to 0x6f (bits 15:0 of the first word), at most 16 words. A guest without a driver that knows them never sends
 * one and never answers one: a plugin that asks declares `needsGuestHelp`.
 */
export interface GuestChannel {
  /**
   * The last message of that type that the driver sent since it reset its VF, 16 words, the first as it was sent; null:
   * none. The PF driver keeps it, and it moves with `policy`.
   */
  lastMessage(type: number): readonly number[] | null;
  /**
   * Asks the driver, through an interrupt on its mailbox vector. Resolves with the words of its answer: the type it was
   * asked, with bit 31 (granted) or bit 30 (refused) set. The guest must run. 1 s unless `limitMs` is given.
   * Rejects when no answer came in time.
   */
  request(words: readonly number[], limitMs?: number): Promise<readonly number[]>;
}

export interface IommuDirtyBits {
  setEnabled(on: boolean): void;
  /** Moves the bits set since the last call into `marks` and clears them. Returns how many there were. */
  collect(marks: DirtyMarks): number;
}

/**
 * What a device offers that is made to be migrated: it logs which pages it writes, stands still when it is told to, and gives
 * its state away. A virtual interface of a self-virtualizing device (--vif) has it.
 */
export interface MigrationAssist {
  /** When it resolves, every page that the device writes from now on is logged, or none is. */
  setLogging(on: boolean): Promise<void>;
  /** Moves what was logged since the last call into `marks`. Returns how many pages there were. */
  collect(marks: DirtyMarks): number;
  /** When setRunning(false) resolves, the device writes no memory any more. */
  setRunning(on: boolean): Promise<void>;
  /** The vCPU and the device stand still. */
  save(): Promise<StateFields>;
  /** Hostile fields are refused before anything is changed. The device does not run yet: setRunning(true) after commitment. */
  restore(state: StateFields): Promise<void>;
}

export interface TrackerContext extends DeviceContext {
  readonly dirty: DirtyMarks;
}

/** One migration's tracking on the source. All methods are optional but `quiesce`. */
export interface Tracker {
  /** Asks for the extra core; it is running when start() is called. */
  readonly core?: CoreRequest;
  /** Asks to be told of the guest's writes to pages of BAR0; they are trapped when start() is called. */
  readonly exits?: ExitRequest;
  /** When it resolves, no DMA write goes unmarked any more. Without it: one turn of the core. */
  start?(core: CoreHandle | null, exits: ExitsHandle | null): void | Promise<void>;
  /** Before marks are taken, in each round; the core has just had a whole turn. */
  beforeHarvest?(core: CoreHandle | null): void | Promise<void>;
  /**
   * The vCPU still runs and is paused when this resolves: for what the guest has to do itself before the switch. Not called
   * for a guest that stands.
   */
  beforePause?(core: CoreHandle | null): void | Promise<void>;
  /** The vCPU stands still. Stop the device's DMA; have every page marked that it wrote. */
  quiesce(core: CoreHandle | null): void | Promise<void>;
  /** The core has ended. Give back what start() took (page mappings). Called once, whatever happened. */
  stop?(): void | Promise<void>;
  /** For the report; the core's own counters are added to them. */
  counters?(): Readonly<Record<string, number>>;
}

export interface PluginDefinition<T extends Tracker = Tracker> {
  readonly name: string;
  /** major.minor.patch; both ends must have the same. */
  readonly version: string;
  readonly apiVersion: number;
  readonly description?: string;
  readonly options?: Readonly<Record<string, OptionSpec>>;
  /** What the method does not promise by its design; the conformance kit checks everything else. */
  readonly claims?: PluginClaims;
  /** What the method needs of the source's host; where it is missing, a migration is refused before anything is sent. */
  readonly requires?: readonly HostFeature[];
  createTracker(context: TrackerContext): T | Promise<T>;
  /** After quiesce(). The guest gives no help. */
  saveDevice(context: TrackerContext, tracker: T): StateFields | Promise<StateFields>;
  /** Fields are hostile until checked; a throw fails the migration. */
  restoreDevice(context: DeviceContext, state: StateFields): void | Promise<void>;
  /** Before commitment, in any state after createTracker: the device goes on as if nothing had happened. Idempotent. */
  rollbackDevice(context: TrackerContext, tracker: T): void | Promise<void>;
  /**
   * After restoreDevice and commitment, the guest running; without it the host announces through the PF. What it counted
   * goes into the destination's report.
   */
  announce?(context: DeviceContext): void | Promise<void> | ArrivalCounters | Promise<ArrivalCounters>;
}

/** Numbers of the destination's; names end in their unit. */
export type ArrivalCounters = Readonly<Record<string, number>>;

/**
 * What not every host, or not every kind of guest, has.
 *
 *   iommu-dirty-bits   DeviceContext.iommuDirty
 *   pci-hotplug        DeviceContext.hotplug: the VF is away while the VM is migrated
 *   migration-assist   DeviceContext.assist: the device logs what it writes and gives its state away
 */
export const HOST_FEATURES = ['iommu-dirty-bits', 'pci-hotplug', 'migration-assist'] as const;
export type HostFeature = (typeof HOST_FEATURES)[number];

export interface PluginClaims {
  /** false: pages written by DMA may be missed (a negative control, or a guest that must help). Default true. */
  readonly tracksEveryPage?: boolean;
  /** Nothing is marked before quiesce(): rounds of pre-copy move only what the vCPU dirtied. Default false. */
  readonly marksAtPauseOnly?: boolean;
  /** Packets may be lost around the switch, and where a migration was called off. Default false. */
  readonly mayLosePackets?: boolean;
  /** Packets may reach the guest twice there. Default false. */
  readonly mayDuplicatePackets?: boolean;
  /** Packets may overtake one another there, as where traffic moves from one interface to another. Default false. */
  readonly mayReorderPackets?: boolean;
  /** The guest image must carry a driver that cooperates. Default false. */
  readonly needsGuestHelp?: boolean;
  /**
   * Which driver that is: the image `<image>-<variant>` is `<image>` with it, the application unchanged. Lower-case letters,
   * digits and `-`. It says `needsGuestHelp` by itself.
   */
  readonly guestVariant?: string;
}

/** A plugin's claims with the defaults filled in. */
export interface FullClaims {
  readonly tracksEveryPage: boolean;
  readonly marksAtPauseOnly: boolean;
  readonly mayLosePackets: boolean;
  readonly mayDuplicatePackets: boolean;
  readonly mayReorderPackets: boolean;
  readonly needsGuestHelp: boolean;
  readonly guestVariant: string | null;
}

export function claimsOf({ claims = {} }: Pick<PluginDefinition, 'claims'>): FullClaims {
  const guestVariant = claims.guestVariant ?? null;
  return {
    tracksEveryPage: claims.tracksEveryPage ?? true,
    marksAtPauseOnly: claims.marksAtPauseOnly ?? false,
    mayLosePackets: claims.mayLosePackets ?? false,
    mayDuplicatePackets: claims.mayDuplicatePackets ?? false,
    mayReorderPackets: claims.mayReorderPackets ?? false,
    needsGuestHelp: claims.needsGuestHelp ?? guestVariant !== null,
    guestVariant,
  };
}

/** Checks nothing at run time (the loader does): it is there for the types. */
export function definePlugin<T extends Tracker>(definition: PluginDefinition<T>): PluginDefinition<T> {
  return definition;
}
