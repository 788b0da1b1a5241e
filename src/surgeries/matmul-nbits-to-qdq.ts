/**
 * Rewrite MatMulNBits with operators of ONNX alone: DequantizeLinear in blocks, and MatMul.
 *
 * Nothing is rounded: the codes, scales and zero points stay what they are, and stand for the same numbers. In
 * `columns` they are turned to [K, N], as ONNX Runtime's own quantizer writes them and as it fuses them; in `rows` no
 * byte of them moves ([N, K], a Transpose follows), and tied tables stay tied, but ONNX Runtime does not fuse that.
 * Codes without zero points become signed ones. A bias becomes an Add. Declined: operator sets that know no blocks, K
 * that is not whole blocks, `g_idx`, zero points that are floats, and odd shapes whose codes would share bytes.
 */

import { type QuantizedTable, quantizedMatMul } from '../anatomy/quantized-table.ts';
import { dtypeLabel } from '../dtypes.ts';
import { removeUnread } from '../model/liveness.ts';
import type { Model } from '../model/model.ts';
import type { Node } from '../model/node.ts';
import { onnxOpset } from '../model/opset.ts';
import type { FileRange } from '../model/tensor-data.ts';
import type { Value } from '../model/value.ts';
import { isFloatType, type QuantizedValues } from './blockwise.ts';
import { replaceByDequantized } from './dequantized-product.ts';
import { choice, selectors } from './options.ts';
import { codeType, type RelaidPart, relaidValues } from './relaid-tensor.ts';
import { NodeChoice } from './selectors.ts';
import { type Change, type Decline, defineSurgery } from './surgery.ts';

type Layout = 'columns' | 'rows';

/** What blocked DequantizeLinear of codes of some bits came with: its operator set, and the IR of the codes' type. */
const NEEDED = {
  2: { opset: 25, ir: 13 },
  4: { opset: 21, ir: 10 },
  8: { opset: 21, ir: 3 },
} as const;

type Bits = keyof typeof NEEDED;

const NOT_FUSED =
  'ONNX Runtime does not fuse codes that are stored [N, K]: it expands such a weight on every run; layout=columns is fused';

function isKnown(bits: number): bits is Bits {
  return bits in NEEDED;
}

function obstacle(model: Model, node: Node, table: QuantizedTable, bits: Bits): string | undefined {
  const { blockSize, k } = table;
  const { opset, ir } = NEEDED[bits];
  const imported = onnxOpset(model, node.graph);
  if (imported < opset) {
    return `DequantizeLinear has blocks of ${bits}-bit codes from operator set ${opset} on, here it is ${imported}`;
  }
  if (model.irVersion < ir) {
    return `${dtypeLabel(codeType(bits, false))} came with IR version ${ir}, the model has ${model.irVersion}; set-ir-version raises it`;
  }
  if (k % blockSize !== 0) return `its ${k} inputs are not whole blocks of ${blockSize}`;
  if (!isFloatType(table.scales.tensor.dtype)) {
    return `its scales are ${dtypeLabel(table.scales.tensor.dtype)}, not fp32, fp16 or bf16`;
  }
  return undefined;
}

/** What the parts of a table become, or the reason why they cannot be stored like that. */
function partsOf(table: QuantizedTable, bits: Bits, layout: Layout): RelaidPart[] | string {
  const { n, k, blockSize, codes, scales, zeroPoints } = table;
  const kBlocks = k / blockSize;
  const transposed = layout === 'columns';
  if (transposed && (n * bits) % 8 !== 0) {
    return `its ${n} outputs do not fill whole bytes with codes of ${bits} bits; layout=rows can store them`;
  }
  if (!transposed && zeroPoints !== undefined && n > 1 && (kBlocks * bits) % 8 !== 0) {
    return `its ${kBlocks} zero points of an output do not fill whole bytes; layout=columns can store them`;
  }
  const shape = (columns: number) => (transposed ? [columns, n] : [n, columns]);
  const isSigned = zeroPoints === undefined;
  const dtype = codeType(bits, isSigned);
  const matrix = { bits, rows: n, transposed, flip: false };
  const scaleBits = scales.tensor.dtype === 1 ? 32 : 16;
  const parts: RelaidPart[] = [
    {
      role: 'codes',
      suffix: `_DQ_Q${bits}`,
      source: codes.tensor,
      parameters: { ...matrix, columns: k, flip: isSigned },
      dtype,
      dims: shape(k),
    },
    {
      role: 'scales',
      suffix: '_DQ_scales',
      source: scales.tensor,
      parameters: { ...matrix, bits: scaleBits, columns: kBlocks },
      dtype: scales.tensor.dtype,
      dims: shape(kBlocks),
    },
  ];
  if (zeroPoints !== undefined) {
    parts.push({
      role: 'zero points',
      suffix: '_DQ_zero_points',
      source: zeroPoints.tensor,
      parameters: { ...matrix, columns: kBlocks },
      dtype,
      dims: shape(kBlocks),
    });
  }
  return parts;
}

/** A table in its new layout, for all nodes that read it. */
interface Converted {
  readonly table: QuantizedTable;
  readonly layout: Layout;
  readonly values: QuantizedValues;
}

function isSameTable(a: QuantizedTable, b: QuantizedTable): boolean {
  return (
    a.codes.value === b.codes.value &&
    a.scales.value === b.scales.value &&
    a.zeroPoints?.value === b.zeroPoints?.value &&
    a.n === b.n &&
    a.k === b.k &&
    a.bits === b.bits &&
    a.blockSize === b.blockSize
  );
}

/** The tables of a model in their new layouts, each made once. */
class Tables {
  readonly made: Converted[] = [];
  readonly #model: Model;
  readonly #layouts: readonly Layout[];

  constructor(model: Model, layout: 'auto' | Layout) {
    this.#model = model;
    this.#layouts = layout === 'auto' ? ['columns', 'rows'] : [layout];
  }

  /** The table in the first layout it can have, or the reason why it cannot have that. */
  convert(table: QuantizedTable, bits: Bits): Converted | string {
    const known = this.made.find((one) => isSameTable(one.table, table));
    if (known !== undefined) return known;
    const { value } = table.codes;
    const stem = value.name.replace(/_Q\d+(G\d+)?$/, '');
    let reason = '';
    for (const layout of this.#layouts) {
      const parts = partsOf(table, bits, layout);
      const values =
        typeof parts === 'string' ? parts : relaidValues(this.#model, value, stem, parts);
      if (typeof values !== 'string') {
        const converted = { table, layout, values };
        this.made.push(converted);
        return converted;
      }
      reason ||= values;
    }
    return reason;
  }

  /** Codes that are stored in both layouts now, because something else goes on reading the old bytes. */
  duplicates(): string[] {
    const moved = new Map<string, string>();
    for (const { table, values } of this.made) {
      const { data } = table.codes.tensor;
      if (data.kind !== 'range' || values.codes.tensor?.data === data) continue;
      moved.set(placeOf(data), values.codes.name);
    }
    if (moved.size === 0) return [];
    return [...this.#model.tensors()].flatMap(({ name, tensor: { data } }) => {
      const copy = data.kind === 'range' ? moved.get(placeOf(data)) : undefined;
      return copy === undefined
        ? []
        : [`"${name}" keeps the bytes that "${copy}" has in another layout: both are stored`];
    });
  }
}

function placeOf({ file, byteOffset, byteLength }: FileRange): string {
  return `${file.fd}:${byteOffset}:${byteLength}`;
}

export default defineSurgery({
  name: 'matmul-nbits-to-qdq',
  summary: 'Rewrite MatMulNBits as blocked DequantizeLinear and MatMul',
  options: {
    layout: choice(['auto', 'columns', 'rows'], {
      default: 'auto',
      help: 'codes as [K, N], which ONNX Runtime fuses, or as [N, K], which moves no byte of them; auto: columns where it can be',
    }),
    include: selectors({ help: 'only nodes that match (glob on the name, or @head)' }),
    exclude: selectors({ help: 'not the nodes that match' }),
  },
  apply(model, options) {
    const chosenNodes = new NodeChoice(model, options);
    const changes: Change[] = [];
    const declined: Decline[] = [];
    const tables = new Tables(model, options.layout);
    const read = new Set<Value | undefined>();
    for (const node of [...model.nodesOf('MatMulNBits')]) {
      if (!node.is('MatMulNBits', 'com.microsoft')) continue;
      if (!chosenNodes.has(node)) continue;
      const { label } = node;
      const decline = (reason: string) => declined.push({ node: label, reason });
      const table = quantizedMatMul(model, node);
      if (table.kind === 'none') {
        decline(table.reason);
        continue;
      }
      const { bits, n, k, zeroPoints } = table;
      if (!isKnown(bits)) {
        decline(`its codes have ${bits} bits, not 2, 4 or 8`);
        continue;
      }
      const converted = obstacle(model, node, table, bits) ?? tables.convert(table, bits);
      if (typeof converted === 'string') {
        decline(converted);
        continue;
      }
      const { layout } = converted;
      for (const input of node.inputs.slice(1, 4)) read.add(input);
      replaceByDequantized(model, node, converted);
      const type = dtypeLabel(codeType(bits, zeroPoints === undefined));
      const dims = layout === 'rows' ? [n, k] : [k, n];
      changes.push({ node: label, what: `DequantizeLinear of ${type} [${dims.join(', ')}]` });
    }
    removeUnread(model, read);
    const warnings = chosenNodes.warnings();
    if (tables.made.some(({ layout }) => layout === 'rows')) warnings.push(NOT_FUSED);
    return { changes, declined, warnings: [...warnings, ...tables.duplicates()] };
  },
});
