/** The help of the command itself. Plain text, so that `--help` need not load the option parser. */

export const HELP = `Usage: onnx-lathe <command> [options]

Shrink, tie and repack ONNX models that are too big for the machine in front of
you. <model> is a .onnx file or a directory that holds one.

Look:
  inspect <model>       what is inside, where the bytes are, what would shrink it
  check <model>         everything that is wrong with it; digests of its tensors
  diff <a> <b>          two models side by side, the error of every tensor
  evaluate <model>      perplexity of a decoder, through onnxruntime-node

Change:
  shrink <model>        make it small in one step
  quantize <model>      the weights of MatMul and Gemm, with all options
  apply <model>         run surgeries in the order given
  repack <model>        lay the same tensors out anew, without dead bytes

Know:
  surgeries [name]      the surgeries, or one with its options
  doctor                what this installation can do, and why not more
  help [command]        this text, or the options of a command

Options:
  -h, --help            this text; after a command, its options
  -V, --version         version of the tool, its kernels and Node

Examples:
  onnx-lathe inspect model/
  onnx-lathe shrink model/ -o small/
  onnx-lathe shrink model/ -o small/ --recipe q4-small --dry-run

Exit codes: 0 done, 1 nothing to do or the answer is no, 2 usage, 3 bad file,
4 the model does not fit, 5 disk, memory or permissions, 130 and 143 interrupted.
`;
