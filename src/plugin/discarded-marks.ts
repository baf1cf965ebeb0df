/** Marks that nobody wants. */
import type { DirtyMarks } from './device-view.js';

/**
 * Where a tracker collects what was logged before its migration began, an earlier one's leavings, so that it is gone:
 * `context.iommuDirty.collect(discardedMarks)`.
 */
export const discardedMarks: DirtyMarks = { pages: 0, mark() {}, markRange() {}, markAll() {} };
