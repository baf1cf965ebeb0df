/**
 * Who calls whom, and which functions can call themselves again: those need a poll at their entry, since recursion
 * loops without a loop. An indirect call may reach any function of its type whose address was taken.
 */
import { decodeBody, type Instruction } from '../wasm/instructions.js';
import { OP } from '../wasm/opcodes.js';
import { functionTypeIndex, importedFunctionCount, type WasmModule } from '../wasm/wasm-module.js';

export interface CallGraph {
  readonly importedFunctions: number;
  /** Decoded body of each defined function. */
  readonly bodies: readonly (readonly Instruction[])[];
  /** Functions that an instruction can call; empty for anything but a call. Indices over all functions. */
  calleesOf(instruction: Instruction): readonly number[];
  /** Functions that an indirect call may reach. */
  readonly addressTaken: ReadonlySet<number>;
  /** Defined functions (index over all functions) that are part of a cycle. */
  readonly recursive: ReadonlySet<number>;
}

const NONE: readonly number[] = [];

/** @param bodies the module's bodies, decoded. */
export function callGraphOf(module: WasmModule, bodies: readonly (readonly Instruction[])[]): CallGraph {
  const importedFunctions = importedFunctionCount(module);
  const byType = new Map<string, number[]>();
  const addressTaken = findAddressTaken(module, bodies);
  for (const target of addressTaken) {
    const key = typeKey(module, functionTypeIndex(module, target));
    byType.set(key, [...(byType.get(key) ?? []), target]);
  }
  const direct: (readonly number[])[] = [];
  const calleesOf = ({ op, a }: Instruction): readonly number[] => {
    if (op === OP.call) return (direct[a] ??= [a]);
    if (op === OP.callIndirect) return byType.get(typeKey(module, a)) ?? NONE;
    return NONE;
  };
  const edges = bodies.map((body) => [...new Set(body.flatMap((instruction) => calleesOf(instruction)))]);
  const recursive = cycles(edges, importedFunctions);
  return { importedFunctions, bodies, calleesOf, addressTaken, recursive };
}

/** Two type indices may name the same type. */
function typeKey(module: WasmModule, typeIndex: number | null): string {
  const type = typeIndex === null ? undefined : module.types[typeIndex];
  return type === undefined ? 'none' : `${type.params.join()}>${type.results.join()}`;
}

function findAddressTaken(module: WasmModule, bodies: readonly (readonly Instruction[])[]): Set<number> {
  const taken = new Set<number>();
  for (const segment of module.elements) for (const f of segment.functions) taken.add(f);
  const expressions = [
    ...module.elements.flatMap((segment) => segment.expressions),
    ...module.globals.map((global) => global.init),
  ];
  for (const list of [...expressions.map((e) => decodeBody(e)), ...bodies]) {
    for (const { op, a } of list) if (op === OP.refFunc) taken.add(a);
  }
  return taken;
}

/** Members of strongly connected components with a cycle (Tarjan, without recursion: guests can be deep). */
function cycles(edges: readonly (readonly number[])[], imported: number): Set<number> {
  const found = new Set<number>();
  const order = new Int32Array(edges.length).fill(-1);
  const low = new Int32Array(edges.length);
  const onStack = new Uint8Array(edges.length);
  const stack: number[] = [];
  let counter = 0;
  const work: { node: number; next: number }[] = [];
  const enter = (node: number) => {
    order[node] = low[node] = counter++;
    stack.push(node);
    onStack[node] = 1;
    work.push({ node, next: 0 });
  };
  const leave = (node: number) => {
    if (low[node] !== order[node]) return;
    const members: number[] = [];
    let member: number;
    do {
      member = stack.pop()!;
      onStack[member] = 0;
      members.push(member);
    } while (member !== node);
    const loops = members.length > 1 || edges[node].includes(node + imported);
    if (loops) for (const m of members) found.add(m + imported);
  };
  for (let root = 0; root < edges.length; root++) {
    if (order[root] >= 0) continue;
    enter(root);
    while (work.length > 0) {
      const frame = work[work.length - 1];
      const { node } = frame;
      if (frame.next < edges[node].length) {
        const target = edges[node][frame.next++] - imported;
        if (target < 0) continue;
        if (order[target] < 0) enter(target);
        else if (onStack[target]) low[node] = Math.min(low[node], order[target]);
        continue;
      }
      work.pop();
      const parent = work[work.length - 1];
      if (parent !== undefined) low[parent.node] = Math.min(low[parent.node], low[node]);
      leave(node);
    }
  }
  return found;
}
