/**
 * The units of the whole project: branded numbers, so that a guest-physical address cannot be passed where a page
 * frame number is meant. All are plain JS numbers (exact to 2^53): bigint stays out of hot loops.
 */

declare const brand: unique symbol;
type Brand<T, B extends string> = T & { readonly [brand]: B };

/** Guest-physical address in bytes. A guest's linear memory offset is its guest-physical address. */
export type Gpa = Brand<number, 'Gpa'>;
/** Address as a PCI function puts it on the bus, before the IOMMU. */
export type Iova = Brand<number, 'Iova'>;
/** Page frame number: Gpa / 4096. */
export type Pfn = Brand<number, 'Pfn'>;

export const PAGE_SHIFT = 12;
export const PAGE_BYTES = 1 << PAGE_SHIFT;

export const gpa = (value: number): Gpa => value as Gpa;
export const iova = (value: number): Iova => value as Iova;
export const pfn = (value: number): Pfn => value as Pfn;
export const pfnOf = (address: Gpa): Pfn => Math.floor(address / PAGE_BYTES) as Pfn;
