/**
 * Opcodes as one number: single-byte ones as they are, prefixed ones as prefix << 8 | sub-opcode.
 */

export const OP = {
  unreachable: 0x00,
  nop: 0x01,
  block: 0x02,
  loop: 0x03,
  if: 0x04,
  else: 0x05,
  end: 0x0b,
  br: 0x0c,
  brIf: 0x0d,
  brTable: 0x0e,
  return: 0x0f,
  call: 0x10,
  callIndirect: 0x11,
  drop: 0x1a,
  select: 0x1b,
  selectTyped: 0x1c,
  localGet: 0x20,
  localSet: 0x21,
  localTee: 0x22,
  globalGet: 0x23,
  globalSet: 0x24,
  tableGet: 0x25,
  tableSet: 0x26,
  i32Load: 0x28,
  i32Load8S: 0x2c,
  i32Load8U: 0x2d,
  i32Load16S: 0x2e,
  i32Load16U: 0x2f,
  i64Load32U: 0x35,
  i32Store: 0x36,
  i64Store32: 0x3e,
  i32Store8: 0x3a,
  memorySize: 0x3f,
  memoryGrow: 0x40,
  i32Const: 0x41,
  i64Const: 0x42,
  f32Const: 0x43,
  f64Const: 0x44,
  i32Eqz: 0x45,
  i32Eq: 0x46,
  i32Ne: 0x47,
  i32LtS: 0x48,
  i32LtU: 0x49,
  i32GtS: 0x4a,
  i32GtU: 0x4b,
  i32LeS: 0x4c,
  i32LeU: 0x4d,
  i32GeS: 0x4e,
  i32GeU: 0x4f,
  i32Clz: 0x67,
  i32Ctz: 0x68,
  i32Popcnt: 0x69,
  i32Add: 0x6a,
  i32Sub: 0x6b,
  i32Mul: 0x6c,
  i32DivU: 0x6e,
  i32RemU: 0x70,
  i32And: 0x71,
  i32Or: 0x72,
  i32Xor: 0x73,
  i32Shl: 0x74,
  i32ShrS: 0x75,
  i32ShrU: 0x76,
  i32Rotr: 0x78,
  i32WrapI64: 0xa7,
  i32Extend8S: 0xc0,
  i32Extend16S: 0xc1,
  refNull: 0xd0,
  refFunc: 0xd2,
  memoryInit: 0xfc08,
  dataDrop: 0xfc09,
  memoryCopy: 0xfc0a,
  memoryFill: 0xfc0b,
  tableInit: 0xfc0c,
  elemDrop: 0xfc0d,
  tableCopy: 0xfc0e,
  tableGrow: 0xfc0f,
  tableSize: 0xfc10,
  tableFill: 0xfc11,
  v128Store: 0xfd0b,
  v128Const: 0xfd0c,
  i8x16Shuffle: 0xfd0d,
  v128Store8Lane: 0xfd58,
  v128Store64Lane: 0xfd5b,
  atomicNotify: 0xfe00,
  atomicWait32: 0xfe01,
  atomicWait64: 0xfe02,
  atomicFence: 0xfe03,
  i32AtomicLoad: 0xfe10,
  i32AtomicStore: 0xfe17,
} as const;

/** How an instruction's immediates are laid out. */
export type ImmediateKind =
  | 'none'
  | 'block-type'
  | 'index'
  | 'two-indices'
  | 'br-table'
  | 'memarg'
  | 'memarg-lane'
  | 'lane'
  | 'i32'
  | 'i64'
  | 'four-bytes'
  | 'eight-bytes'
  | 'sixteen-bytes'
  | 'one-byte'
  | 'type-vector';

/** Null for an opcode that this rewriter does not know. */
export function immediateKind(op: number): ImmediateKind | null {
  if (op < 0x100) return plainKind(op);
  const sub = op & 0xff;
  switch (op >>> 8) {
    case 0xfc:
      return miscKind(sub);
    case 0xfd:
      return simdKind(sub);
    case 0xfe:
      return atomicKind(sub);
    default:
      return null;
  }
}

function plainKind(op: number): ImmediateKind | null {
  if (op >= 0x45 && op <= 0xc4) return 'none';
  if (op >= 0x28 && op <= 0x3e) return 'memarg';
  if (op >= OP.localGet && op <= OP.tableSet) return 'index';
  switch (op) {
    case OP.unreachable:
    case OP.nop:
    case OP.else:
    case OP.end:
    case OP.return:
    case OP.drop:
    case OP.select:
    case 0xd1: // ref.is_null
      return 'none';
    case OP.block:
    case OP.loop:
    case OP.if:
      return 'block-type';
    case OP.br:
    case OP.brIf:
    case OP.call:
    case OP.memorySize:
    case OP.memoryGrow:
    case OP.refNull:
    case OP.refFunc:
      return 'index';
    case OP.callIndirect:
      return 'two-indices';
    case OP.brTable:
      return 'br-table';
    case OP.selectTyped:
      return 'type-vector';
    case OP.i32Const:
      return 'i32';
    case OP.i64Const:
      return 'i64';
    case OP.f32Const:
      return 'four-bytes';
    case OP.f64Const:
      return 'eight-bytes';
    default:
      return null;
  }
}

function miscKind(sub: number): ImmediateKind | null {
  if (sub <= 7) return 'none';
  switch (0xfc00 | sub) {
    case OP.memoryInit:
    case OP.memoryCopy:
    case OP.tableInit:
    case OP.tableCopy:
      return 'two-indices';
    case OP.dataDrop:
    case OP.memoryFill:
    case OP.elemDrop:
    case OP.tableGrow:
    case OP.tableSize:
    case OP.tableFill:
      return 'index';
    default:
      return null;
  }
}

function simdKind(sub: number): ImmediateKind | null {
  if (sub <= 0x0b) return 'memarg';
  if (sub <= 0x0d) return 'sixteen-bytes';
  if (sub >= 0x15 && sub <= 0x22) return 'lane';
  if (sub >= 0x54 && sub <= 0x5b) return 'memarg-lane';
  if (sub === 0x5c || sub === 0x5d) return 'memarg';
  return 'none';
}

function atomicKind(sub: number): ImmediateKind | null {
  if (sub === 3) return 'one-byte';
  if (sub <= 2 || (sub >= 0x10 && sub <= 0x4e)) return 'memarg';
  return null;
}
