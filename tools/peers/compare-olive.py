"""Runs Olive's quantizing passes on models and compares what they make with what onnx-lathe made: see olive.mjs.

    compare-olive.py MANIFEST

MANIFEST is a JSON list of {model, input, olive: {pass, ...options}, output}; `output` is missing where onnx-lathe
declined everything. Exits 1 when a tensor that both made differs in type, shape or bytes, or a node in its name or in
the names of its inputs.
"""

import json
import sys
import warnings

import numpy as np
import onnx
import onnx_ir as ir
from olive_passes import VERSIONS, OnnxBlockWiseRtnQuantization, OnnxKQuantQuantization, QuantizeEmbeddingInt8

QUANTIZED = ("MatMulNBits", "GatherBlockQuantized")


def load(path):
    model = ir.load(path)
    ir.external_data.load_to_model(model)
    return model


def run_olive(path, olive):
    """The model as a pass of Olive leaves it: `pass` is its class; `only` the operator it may touch."""
    options = {key: value for key, value in olive.items() if key not in ("pass", "only")}
    if olive["pass"] == "QuantizeEmbeddingInt8":
        result = object.__new__(QuantizeEmbeddingInt8)(onnx.load(path))
        return ir.from_proto(result)
    model = load(path)
    passes = {"OnnxBlockWiseRtnQuantization": OnnxBlockWiseRtnQuantization, "OnnxKQuantQuantization": OnnxKQuantQuantization}
    others = [node.name for node in model.graph.all_nodes() if node.op_type != olive["only"]]
    object.__new__(passes[olive["pass"]])._quantize_model(model, nodes_to_exclude=others, **options)
    return model


def quantized_nodes(model):
    return [node for node in model.graph.all_nodes() if node.op_type in QUANTIZED]


def tensors_of(model, older):
    """Constant inputs of the quantized nodes by their names, and the nodes by theirs, but for those called as `older`."""
    tensors, nodes = {}, {}
    for node in quantized_nodes(model):
        if node.name in older:
            continue
        constants = [value for value in node.inputs if value is not None and value.const_value is not None]
        nodes[node.name] = [value.name for value in constants]
        tensors.update((value.name, value.const_value) for value in constants)
    return tensors, nodes


def difference(ours, theirs):
    if ours.dtype != theirs.dtype:
        return f"{ours.dtype} instead of {theirs.dtype}"
    if list(ours.shape) != list(theirs.shape):
        return f"{list(ours.shape)} instead of {list(theirs.shape)}"
    a, b = (np.frombuffer(tensor.tobytes(), dtype=np.uint8) for tensor in (ours, theirs))
    count = int(np.count_nonzero(a != b))
    return f"{count} of {a.size} bytes differ" if count > 0 else None


def compare(entry):
    """A line of the table, and what differs."""
    older = {node.name for node in quantized_nodes(ir.load(entry["input"]))}
    theirs, their_nodes = tensors_of(run_olive(entry["input"], entry["olive"]), older)
    ours, our_nodes = tensors_of(load(entry["output"]), older) if "output" in entry else ({}, {})
    both = sorted(ours.keys() & theirs.keys())
    wrong = []
    for name in both:
        found = difference(ours[name], theirs[name])
        if found is not None:
            wrong.append(f"{name}: {found}")
    shared_nodes = our_nodes.keys() & their_nodes.keys()
    for name in sorted(shared_nodes):
        if our_nodes[name] != their_nodes[name]:
            wrong.append(f"{name}: reads {our_nodes[name]} instead of {their_nodes[name]}")
    nodes = len(shared_nodes)
    size = sum(theirs[name].nbytes for name in both)
    cells = [nodes, len(our_nodes) - nodes, len(their_nodes) - nodes, len(both), size]
    return cells, wrong


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        entries = json.load(file)
    warnings.simplefilter("ignore")
    print(f"{VERSIONS}\n")
    print("| model | pass | nodes of both | of onnx-lathe alone | of Olive alone | tensors | bytes | |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    failed, compared = 0, 0
    for entry in entries:
        cells, wrong = compare(entry)
        if not any(cells):
            continue
        options = ", ".join(f"{key} {value}" for key, value in entry["olive"].items() if key not in ("pass", "only"))
        verdict = "DIFFERS" if wrong else "equal" if cells[3] > 0 else ""
        columns = [entry["model"], f'{entry["olive"]["pass"]} {options}'.strip(), *map(str, cells), verdict]
        print("| " + " | ".join(columns) + " |", flush=True)
        failed += bool(wrong)
        compared += cells[3]
        for line in wrong[:5]:
            print(f"  {line}")
    print(f"\n{compared} tensors compared, {failed} of {len(entries)} runs differ")
    return 1 if failed > 0 or compared == 0 else 0


sys.exit(main())
