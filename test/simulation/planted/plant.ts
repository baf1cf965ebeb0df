/** Plants a fault in this process: the modules that it is in are loaded with another text. Before they are imported. */
import { readFileSync } from 'node:fs';
import { register } from 'node:module';
import type { PlantedEdit } from './planted-faults.js';

/** The compiled code: this file is dist/test/simulation/planted/plant.js. */
const DIST = new URL('../../../', import.meta.url);

/** What a fault is, for who plants it. */
export interface Plantable {
  readonly name: string;
  readonly edits: readonly PlantedEdit[];
}

/** An edit that no longer fits the code: the code has changed, and the table of planted faults must follow. */
export class PlantError extends Error {
  constructor(name: string, file: string, times: number) {
    super(`planted fault '${name}': its text occurs ${times} times in dist/${file}, it must occur once`);
    this.name = 'PlantError';
  }
}

/** The changed modules by URL. @throws PlantError */
export function plantedTexts(fault: Plantable): Map<string, string> {
  const texts = new Map<string, string>();
  for (const { file, find, replace } of fault.edits) {
    const url = new URL(file, DIST);
    const text = texts.get(url.href) ?? readFileSync(url, 'utf8');
    const parts = text.split(find);
    if (parts.length !== 2) throw new PlantError(fault.name, file, parts.length - 1);
    texts.set(url.href, parts.join(replace));
  }
  return texts;
}

export function plant(fault: Plantable): void {
  register('./plant-hook.js', import.meta.url, { data: plantedTexts(fault) });
}
