"""Opens models with the Python tools people use and says which of them accept each one.

    python check-outputs.py MANIFEST.json

The manifest is a JSON array of {"model", "recipe", "input", "output"}: two .onnx paths, before and after. Every file
is put before four readers:

    checker  onnx.checker.check_model on the path, external data included
    onnx     onnx.load, then every initializer as an array
    ir       onnx_ir.load, then every initializer as an array
    ort      onnxruntime.InferenceSession on the CPU

A reader that accepts the input must accept the output. Prints a table; exits 1 when a result fails.
"""

import json
import sys

import onnx
import onnx_ir
import onnxruntime


def check(path):
    onnx.checker.check_model(path)


def load_onnx(path):
    model = onnx.load(path)
    directory = path.rpartition("/")[0]
    for tensor in model.graph.initializer:
        onnx.numpy_helper.to_array(tensor, directory)


def load_ir(path):
    model = onnx_ir.load(path)
    for value in model.graph.initializers.values():
        value.const_value.numpy()


def load_runtime(path):
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


READERS = {"checker": check, "onnx": load_onnx, "ir": load_ir, "ort": load_runtime}


def refusal(reader, path):
    """The first line of what `reader` says against the file, or None."""
    try:
        reader(path)
    except Exception as error:  # noqa: BLE001 - each library has its own kinds
        return str(error).strip().split("\n")[0] or type(error).__name__
    return None


def main(manifest_path):
    with open(manifest_path, encoding="utf-8") as file:
        entries = json.load(file)
    of_input = {}
    failures = []
    notes = set()
    width = max(len(entry["model"]) for entry in entries)
    print(f"{'model':{width}}  {'recipe':14}  " + "  ".join(f"{name:8}" for name in READERS))
    for entry in entries:
        cells = []
        for name, reader in READERS.items():
            key = (name, entry["input"])
            if key not in of_input:
                of_input[key] = refusal(reader, entry["input"])
            before = of_input[key]
            after = refusal(reader, entry["output"])
            if after is None:
                cells.append("ok" if before is None else "ok now")
            elif before is None:
                cells.append("FAILS")
                failures.append(f"{entry['model']} {entry['recipe']} {name}: {after}")
            else:
                cells.append("as input")
                notes.add(f"{entry['model']} {name}: the input is refused too: {before}")
        row = "  ".join(f"{cell:8}" for cell in cells)
        print(f"{entry['model']:{width}}  {entry['recipe']:14}  {row}".rstrip())
    versions = [f"{module.__name__} {module.__version__}" for module in (onnx, onnx_ir, onnxruntime)]
    print("\n" + ", ".join(versions))
    for line in sorted(notes) + failures:
        print(line[:300])
    print(f"{len(entries)} results, {len(failures)} refused that were accepted before")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
