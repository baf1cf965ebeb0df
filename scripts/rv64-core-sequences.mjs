// Makes handlers of whole sequences of instructions for the riscv64 core: one dispatch, the commonest misprediction of
// an interpreter, then serves two to four instructions. A sequence's handler is its instructions' own cases put one behind
// the other; what is listed (sequences.json) was the commonest in a kernel's boot.
//
//   execute.ts: case A: body, tail   case B: body, tail     ->     case A_B: body of A, step, body of B, tail
//   sequences.ts (generated)         join(handler of A..., B) -> handler of A...B, or 0

const MARKER = '      // SEQUENCES';
const TAIL = /^ {8}op \+= step\(op\);\n {8}h = handler\(op\);\n {8}continue;\n(?: {6}\}\n)?$/m;
const STEP = `        op += step(op);
        if (--left < 0) {
          target = pcOf(delta, op);
          h = STOP;
          break;
        }
`;

/** The cases of the big switch, by handler. */
function casesOf(source) {
  const cases = new Map();
  const lines = source.split('\n');
  for (let at = 0; at < lines.length; at++) {
    const name = /^ {6}case Op\.(\w+):( \{)?$/.exec(lines[at]);
    if (!name) continue;
    const body = [];
    while (!/^ {6}(case |default:|\/\/ SEQUENCES)/.test(lines[at + 1])) body.push(lines[++at]);
    cases.set(name[1], { body: `${body.join('\n')}\n`, block: name[2] !== undefined });
  }
  return cases;
}

/** A case in the middle of a sequence: when all went well, on to the next instruction. */
function middle(name, { body }) {
  if (!TAIL.test(body)) throw new Error(`${name} cannot be followed by another instruction`);
  return `        {\n${body.replace(TAIL, STEP)}        }\n`;
}

function last({ body, block }) {
  return `        {\n${block ? body.replace(/ {6}\}\n$/, '') : body}        }\n`;
}

/** @returns the sources with the handlers in them, by file name. */
export function expandSequences(executeSource, opsSource, sequences) {
  const ops = [...opsSource.matchAll(/^ {2}([A-Z_\d]+)(?: = 0)?,$/gm)].map((match) => match[1]);
  const cases = casesOf(executeSource);
  const ids = new Map(ops.map((name, id) => [name, id]));
  let handlers = '';
  let joins = '';
  for (const names of sequences) {
    const id = ids.size;
    ids.set(names.join(' '), id);
    const parts = names.map((name) => {
      if (!cases.has(name)) throw new Error(`there is no instruction ${name}`);
      return cases.get(name);
    });
    const bodies = parts.map((part, i) => (i < parts.length - 1 ? middle(names[i], part) : last(part)));
    handlers += `      case ${id}:\n${bodies.join('')}`;
    const first = ids.get(names.slice(0, -1).join(' '));
    if (first === undefined) throw new Error(`the beginning of ${names.join(' ')} must come before it`);
    joins += `    case ${(first << 8) | ids.get(names.at(-1))}:\n      return ${id};\n`;
  }
  return {
    'execute.ts': executeSource.replace(`${MARKER}\n`, handlers),
    'sequences.ts': `export function join(handler: u32, next: u32): u32 {\n  switch ((handler << 8) | next) {\n${joins}  }\n  return 0;\n}\n`,
  };
}
