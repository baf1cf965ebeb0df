/** What every migration by SRVM has to be: complete, byte for byte, and no page that DMA wrote missed. */
import { expect } from 'vitest';
import type { MigrationReport } from '../../src/migration/report.js';

/** @param exactly nothing was marked that DMA did not write, either */
export function expectClean(report: MigrationReport, exactly = false): void {
  const { verdict, dmaCoverage, notes } = report;
  expect(verdict?.pagesCompared).toBe(report.ramBytes / 4096);
  expect(verdict?.pagesDiffering, notes.join('; ')).toBe(0);
  expect(dmaCoverage?.missed).toEqual([]);
  expect(dmaCoverage?.pagesMissed).toBe(0);
  if (exactly) expect(dmaCoverage?.overMarked).toEqual([]);
}
