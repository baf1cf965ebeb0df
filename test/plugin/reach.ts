/**
 * What a plugin could get hold of, starting from what it is handed: every property, own and inherited, of every object and
 * function on the way, whatever TypeScript calls private. Closures and #private fields are out of anybody's reach.
 *
 * Judged by what is allowed, not by what is known to be forbidden: a class that is handed out one day is a stranger too.
 */
import type { DeviceView } from '../../src/plugin/device-view.js';

/** The classes a plugin may hold instances of: page mappings, marks, a slot that can be unplugged, the kit's clock. */
const ALLOWED_CLASSES: ReadonlySet<string> = new Set([
  'BarMap',
  'SharedDirtyMarks',
  'HotplugSlot',
  'TestClock',
]);

/** Where the language's own objects begin: they lead to nobody's state. */
const BUILT_IN: ReadonlySet<unknown> = new Set(
  [Object, Function, Array, Map, Set, Promise, Error, RegExp, Date].map(({ prototype }) => prototype),
);

interface Found {
  readonly path: string;
  readonly value: object;
}

/** Everything in reach, once each, with the shortest way to it. */
function inReach(root: object, name: string): Found[] {
  const found: Found[] = [{ path: name, value: root }];
  const seen = new Set<unknown>([root, ...BUILT_IN]);
  // grows while it is walked
  for (const { path, value } of found) {
    for (const [key, next] of propertiesOf(value)) {
      if ((typeof next !== 'object' && typeof next !== 'function') || next === null || seen.has(next))
        continue;
      seen.add(next);
      found.push({ path: `${path}.${key}`, value: next });
    }
  }
  return found;
}

function* propertiesOf(value: object): Iterable<[string, unknown]> {
  if (ArrayBuffer.isView(value)) {
    yield ['buffer', value.buffer];
    return;
  }
  if (value instanceof Map)
    for (const [key, each] of value)
      yield* [['key()', key] as [string, unknown], ['get()', each] as [string, unknown]];
  if (value instanceof Set) for (const each of value) yield ['values()', each];
  for (
    let owner: object | null = value;
    owner !== null && !BUILT_IN.has(owner);
    owner = Object.getPrototypeOf(owner)
  ) {
    for (const key of Reflect.ownKeys(owner)) yield [String(key), read(value, key)];
  }
}

/** Getters run, as they would for a plugin. One that throws gives nothing away. */
function read(value: object, key: string | symbol): unknown {
  try {
    return Reflect.get(value, key);
  } catch {
    return undefined;
  }
}

const classOf = (value: object): string | null => {
  const prototype: object | null = Object.getPrototypeOf(value);
  if (typeof value === 'function' || prototype === null || BUILT_IN.has(prototype)) return null;
  // the prototype of a class that was found as a function
  if (Object.hasOwn(value, 'constructor')) return null;
  return prototype.constructor.name;
};

/**
 * Whatever in reach of `view` is neither plain, nor of an allowed class, nor memory that a hypervisor would show: guest RAM and
 * what lies beside it, the page mappings, words of the plugin's own. Empty: nothing of the device model.
 */
export function strangersIn(view: DeviceView & { readonly shared?: Int32Array }): string[] {
  const { ram, pages, shared } = view;
  const memories = new Set<unknown>([ram.u8.buffer, shared?.buffer]);
  if ('buffer' in pages) memories.add(pages.buffer);
  return inReach(view, 'view').flatMap(({ path, value }) => {
    if (value instanceof SharedArrayBuffer)
      return memories.has(value) ? [] : [`${path} is ${value.byteLength} bytes of shared memory`];
    if (ArrayBuffer.isView(value) || value instanceof ArrayBuffer) return [];
    const name = classOf(value);
    return name === null || ALLOWED_CLASSES.has(name) ? [] : [`${path} is a ${name}`];
  });
}
