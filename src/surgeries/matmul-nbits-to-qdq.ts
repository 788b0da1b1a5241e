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
import type { RelayoutParameters } from '../kernels/kernel.ts';
import { removeUnread } from '../model/liveness.ts';
import type { Model } from '../model/model.ts';
import type { Node } from '../model/node.ts';
import type { Tensor } from '../model/tensor.ts';
import type { Value } from '../model/value.ts';
import { inheritAnnotations, isFloatType, type QuantizedValues } from './blockwise.ts';
import { choice, selectors } from './options.ts';
import { codeType, relaidTensor } from './relaid-tensor.ts';
import { NodeSelector } from './selectors.ts';
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

function obstacle(model: Model, node: Node, table: QuantizedTable): string | undefined {
  const { bits, blockSize, k } = table;
  if (node.graph.isInFunction) {
    return 'it is in the body of a function, which has no initializers of its own';
  }
  if (!isKnown(bits)) return `its codes have ${bits} bits, not 2, 4 or 8`;
  const { opset, ir } = NEEDED[bits];
  const imported = model.opsetVersion('') ?? 0;
  if (imported < opset) {
    return `DequantizeLinear has blocks of ${bits}-bit codes from operator set ${opset} on, the model imports ${imported}`;
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

/** One tensor of a table, as it shall be. */
interface Part {
  readonly role: string;
  readonly suffix: string;
  readonly source: QuantizedTable['codes'];
  readonly parameters: RelayoutParameters;
  readonly dtype: number;
  readonly dims: readonly number[];
}

/** What the parts of a table become, or the reason why they cannot be stored like that. */
function partsOf(table: QuantizedTable, bits: Bits, layout: Layout): Part[] | string {
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
  const parts: Part[] = [
    {
      role: 'weight',
      suffix: `_DQ_Q${bits}`,
      source: codes,
      parameters: { ...matrix, columns: k, flip: isSigned },
      dtype,
      dims: shape(k),
    },
    {
      role: 'scales',
      suffix: '_DQ_scales',
      source: scales,
      parameters: { ...matrix, bits: scaleBits, columns: kBlocks },
      dtype: scales.tensor.dtype,
      dims: shape(kBlocks),
    },
  ];
  if (zeroPoints !== undefined) {
    parts.push({
      role: 'zero points',
      suffix: '_DQ_zero_points',
      source: zeroPoints,
      parameters: { ...matrix, columns: kBlocks },
      dtype,
      dims: shape(kBlocks),
    });
  }
  return parts;
}

/** The initializers of a table in its new layout, or the reason why there can be none. Creates all or nothing. */
function tableValues(
  model: Model,
  table: QuantizedTable,
  bits: Bits,
  layout: Layout,
): QuantizedValues | string {
  const parts = partsOf(table, bits, layout);
  if (typeof parts === 'string') return parts;
  const tensors: Tensor[] = [];
  for (const { role, source, parameters, dtype, dims } of parts) {
    const tensor = relaidTensor(model, source.tensor, parameters, { dtype, dims });
    if (typeof tensor === 'string') return `its ${role} ${tensor}`;
    tensors.push(tensor);
  }
  const { graph, name } = table.codes.value;
  const stem = name.replace(/_Q\d+$/, '');
  const [codes, scales, zeroPoints] = parts.map(({ suffix }, index) =>
    graph.createInitializer(model.names.claim(`${stem}${suffix}`), tensors[index] as Tensor),
  );
  if (codes === undefined || scales === undefined) throw new Error('a table without codes');
  return { codes, scales, zeroPoints };
}

/** A table in its new layout, for all nodes that read it. */
interface Converted {
  readonly inputs: readonly (Value | undefined)[];
  readonly layout: Layout;
  readonly values: QuantizedValues;
}

class Rewrite {
  readonly #model: Model;
  readonly #layouts: readonly Layout[];
  readonly #converted: Converted[] = [];
  readonly read = new Set<Value | undefined>();

  constructor(model: Model, layout: 'auto' | Layout) {
    this.#model = model;
    this.#layouts = layout === 'auto' ? ['columns', 'rows'] : [layout];
  }

  /** Replaces the node; gives the layout of its weight, or the reason why it stays. */
  replace(node: Node, table: QuantizedTable): { readonly layout: Layout } | string {
    const converted = this.#table(node, table);
    if (typeof converted === 'string') return converted;
    for (const input of node.inputs.slice(1, 4)) this.read.add(input);
    replaceNode(this.#model, node, table, converted);
    return converted;
  }

  #table(node: Node, table: QuantizedTable): Converted | string {
    const inputs = node.inputs.slice(1, 4);
    const known = this.#converted.find(
      (one) =>
        one.values.codes.tensor?.elementCount === table.n * table.k &&
        [0, 1, 2].every((index) => one.inputs[index] === inputs[index]),
    );
    if (known !== undefined) return known;
    const { bits } = table;
    if (!isKnown(bits)) throw new Error(`a table of ${bits} bits`);
    let reason = '';
    for (const layout of this.#layouts) {
      const values = tableValues(this.#model, table, bits, layout);
      if (typeof values !== 'string') {
        const made = { inputs, layout, values };
        this.#converted.push(made);
        return made;
      }
      reason ||= values;
    }
    return reason;
  }
}

/** Puts DequantizeLinear, Transpose where it is needed, MatMul and Add where MatMulNBits stood. */
function replaceNode(
  model: Model,
  node: Node,
  { bits, blockSize }: QuantizedTable,
  { layout, values }: Converted,
): void {
  const { graph } = node;
  const [activation, , , , , bias] = node.inputs;
  const [output] = node.outputs;
  if (output === undefined) throw new Error(`node "${node.label}" has no output`);
  const stem = node.name.replace(/_Q\d+$/, '');
  const nameOf = (suffix: string) => (stem === '' ? '' : model.names.claim(`${stem}${suffix}`));
  const { codes, scales, zeroPoints } = values;
  const dequantize = graph.createNode({
    opType: 'DequantizeLinear',
    name: nameOf(`_DQ_Q${bits}`),
    inputs: zeroPoints === undefined ? [codes, scales] : [codes, scales, zeroPoints],
    outputs: [model.names.claim(`${codes.name}_dequantized`)],
    attributes: {
      axis: { int: layout === 'columns' ? 0 : 1 },
      block_size: { int: blockSize },
    },
  });
  const nodes = [dequantize];
  if (layout === 'rows') {
    nodes.push(
      graph.createNode({
        opType: 'Transpose',
        name: nameOf(`_DQ_Q${bits}_transpose`),
        inputs: [dequantize.outputs[0]],
        outputs: [model.names.claim(`${codes.name}_transposed`)],
        attributes: { perm: { ints: [1, 0] } },
      }),
    );
  }
  const product = graph.createNode({
    opType: 'MatMul',
    name: nameOf(`_matmul_Q${bits}`),
    inputs: [activation, nodes.at(-1)?.outputs[0]],
    outputs: bias === undefined ? [output] : [model.names.claim(`${output.name}_product`)],
  });
  inheritAnnotations(node, product);
  nodes.push(product);
  if (bias !== undefined) {
    nodes.push(
      graph.createNode({
        opType: 'Add',
        name: nameOf(`_matmul_Q${bits}_bias`),
        inputs: [product.outputs[0], bias],
        outputs: [output],
      }),
    );
  }
  graph.replaceNode(node, ...nodes);
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
    const include = new NodeSelector(model, options.include);
    const exclude = new NodeSelector(model, options.exclude);
    const changes: Change[] = [];
    const declined: Decline[] = [];
    const rewrite = new Rewrite(model, options.layout);
    let inRows = false;
    for (const node of [...model.nodesOf('MatMulNBits')]) {
      if (!node.is('MatMulNBits', 'com.microsoft')) continue;
      if (!include.isEmpty && !include.matches(node)) continue;
      if (exclude.matches(node)) continue;
      const { label } = node;
      const table = quantizedMatMul(model, node);
      const reason = table.kind === 'none' ? table.reason : obstacle(model, node, table);
      if (table.kind === 'none' || reason !== undefined) {
        declined.push({ node: label, reason: reason ?? '' });
        continue;
      }
      const { bits, n, k, zeroPoints } = table;
      const result = rewrite.replace(node, table);
      if (typeof result === 'string') {
        declined.push({ node: label, reason: result });
        continue;
      }
      inRows ||= result.layout === 'rows';
      const type = dtypeLabel(codeType(bits as Bits, zeroPoints === undefined));
      const dims = result.layout === 'rows' ? [n, k] : [k, n];
      changes.push({ node: label, what: `DequantizeLinear of ${type} [${dims.join(', ')}]` });
    }
    removeUnread(model, rewrite.read);
    const warnings = [...include.warnings('include'), ...exclude.warnings('exclude')];
    if (inRows) warnings.push(NOT_FUSED);
    for (const value of rewrite.read) {
      const reader = value?.consumers[0];
      if (reader === undefined) continue;
      warnings.push(`"${value?.name}" is stored twice now: ${reader.label} reads it as it was`);
    }
    return { changes, declined, warnings };
  },
});
