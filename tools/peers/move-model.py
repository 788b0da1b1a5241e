"""Moves a model with one of the Python packages, as its documentation shows, and flushes the result to disk.

    move-model.py METHOD SOURCE.onnx DIRECTORY [OUTPUT_NAME ...]

METHOD is onnx-save (onnx.load and onnx.save), ir-save (onnx_ir.load and onnx_ir.save) or onnx-extract
(onnx.utils.extract_model of the part that OUTPUT_NAMEs need). Used by side-by-side.mjs.
"""

import os
import sys


def onnx_save(source: str, target: str) -> None:
    import onnx

    onnx.save(
        onnx.load(source),
        target,
        save_as_external_data=True,
        location="model.onnx.data",
        size_threshold=1024,
    )


def ir_save(source: str, target: str) -> None:
    import onnx_ir

    onnx_ir.save(onnx_ir.load(source), target, external_data="model.onnx.data")


def onnx_extract(source: str, target: str, outputs: list[str]) -> None:
    import onnx
    import onnx.utils

    graph = onnx.load(source, load_external_data=False).graph
    constants = {tensor.name for tensor in graph.initializer}
    inputs = [value.name for value in graph.input if value.name not in constants]
    used = onnx.utils.extract_model
    # The checker of 1.23 refuses operators of other domains; nothing but the extraction is to be measured.
    used(source, target, inputs, outputs, check_model=False, infer_shapes=False)


def flush(directory: str) -> None:
    for name in os.listdir(directory):
        descriptor = os.open(os.path.join(directory, name), os.O_RDONLY)
        os.fsync(descriptor)
        os.close(descriptor)


def main() -> None:
    method, source, directory, *outputs = sys.argv[1:]
    os.mkdir(directory)
    target = os.path.join(directory, "model.onnx")
    if method == "onnx-extract":
        onnx_extract(source, target, outputs)
    else:
        {"onnx-save": onnx_save, "ir-save": ir_save}[method](source, target)
    flush(directory)


main()
