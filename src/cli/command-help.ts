/** What help says of commands besides their flags. */

export const RECIPES = `Recipes:
  q4 (default)    4-bit body, 8-bit embedding and head, stored once where tied
  q4-small        4 bits everywhere, stored once where tied
  q4-mixed        q4 with 8 bits for value and down projections of sensitive layers too
  q8              8 bits everywhere, stored once where tied
  int8-embedding  8-bit embedding and head only, stored once where tied`;

export const CHECK_HELP = `
Looks at the format, the graph (names, order, cycles, operator sets, functions),
every tensor (type, shape, bytes) and every reference to a data file. Tensors
that share all their bytes are fine. An error: ONNX Runtime or this tool refuses
the model, or readers see different ones. A warning: it loads, others may refuse
it. A note is no finding.

--digest FILE writes FILE where there is none, else compares the model with it:
tensors that changed, are missing, or are new are errors. FILE is JSON, one
document a line: the model, each tensor, and last the number of tensors.

Exit codes: 0 no findings, 1 errors or warnings, 3 no model or no digest file.

Examples:
  onnx-lathe check model/
  onnx-lathe check model/ --digest model.digests`;

export const DIFF_HELP = `
Weights are paired by what reads them, all other tensors by name. What is not
the same bit by bit is decoded, MatMulNBits, GatherBlockQuantized and blocked
DequantizeLinear like floats, and measured: <b> against <a>.

Exit codes: 0 the models are the same, 1 they differ, 3 one of them is no model.

Example:
  onnx-lathe diff model/ small/`;

export const QUANTIZE_HELP = `
Every MatMul and Gemm with a constant weight is quantized but the head, unless --include, --exclude or --mixed say
which; shrink is for embedding and head.

GLOB is a shell glob on the names of nodes, or a role that is found by what the graph does: @q @k @v, packed @qkv @kv @qk,
@o, @gate @up @down, packed @gate-up, @mixer-in and @mixer-out around linear attention, @router, @head. What matches no
node is warned of, but for a role with a ? behind it (@gate?). --set gives the nodes that match other options; the last
one that matches holds.

--mixed has the rules of onnxruntime-genai's builder. All give the head 8 bits; k_quant_mixed value and down projections
of sensitive layers too, k_quant_linear layers with linear attention.

Examples:
  onnx-lathe quantize model/ -o q4/
  onnx-lathe quantize model/ -o q4/ --mixed k_quant_mixed --method k-quant
  onnx-lathe quantize model/ -o q4/ --exclude @head --set '*down_proj*=bits:8,blockSize:64'`;

export const REPACK_HELP = `
One data file is written, called as in the input, unless options say otherwise. Tensors are never split, and those
that share bytes go on sharing them.

--data-format safetensors writes {model}.safetensors, which ONNX Runtime, onnx and the safetensors library read. The
format has no sharing: shared bytes are written again, and how many is said, with -n before anything is written.
Further files are called {model}-00001-of-00002.safetensors and so on.

Examples:
  onnx-lathe repack model/ --in-place
  onnx-lathe repack model/ -o web/ --data-name {model}.onnx_data --max-file-size 2000MB
  onnx-lathe repack model/ -o st/ --data-format safetensors
  onnx-lathe repack model/ -o one.onnx --embed`;
