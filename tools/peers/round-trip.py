"""Collects real models, and compares models before and after a round trip.

    python round-trip.py collect DIR
    python round-trip.py compare PAIRS.json

`collect` copies the models that the onnx package ships for its backend tests to DIR and writes those it generates.
`compare` reads a JSON array of {"input", "output", "variant", "declined"?}: both must be the same message for
protobuf, field by field and unknown fields included, and ONNX Runtime must load the second where it loads the
first. Prints the counts; exits 1 when a model changed, was declined though ONNX Runtime loads it, or loads no more.
"""

import json
import pathlib
import shutil
import sys
import warnings

import onnx
import onnxruntime
from onnx.backend.test.case import model as model_cases
from onnx.backend.test.case import node as node_cases


def collect(directory):
    target = pathlib.Path(directory)
    source = pathlib.Path(onnx.__file__).parent / "backend" / "test" / "data"
    for path in source.rglob("*.onnx"):
        copy = target / "shipped" / path.relative_to(source)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, copy)
    warnings.simplefilter("ignore")
    cases = [*node_cases.collect_testcases(None), *model_cases.collect_testcases()]
    for case in cases:
        if case.model is None:
            continue
        path = target / "generated" / case.name / "model.onnx"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(case.model.SerializeToString())


def message(path):
    """The message and, for unknown fields, its deterministic serialization."""
    model = onnx.ModelProto()
    model.ParseFromString(pathlib.Path(path).read_bytes())
    return model, model.SerializeToString(deterministic=True)


def loads(path):
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    try:
        onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except Exception:  # noqa: BLE001 - whatever it is, it does not load
        return False
    return True


def compare(manifest_path):
    with open(manifest_path, encoding="utf-8") as file:
        pairs = json.load(file)
    failures = []
    counts = {"models": 0, "identical bytes": 0, "declined": 0, "load in ONNX Runtime": 0}
    loadable = {}
    for pair in pairs:
        source = pair["input"]
        if source not in loadable:
            loadable[source] = loads(source)
        counts["models"] += 1
        if "declined" in pair:
            counts["declined"] += 1
            if loadable[source]:
                failures.append((pair, "declined: " + pair["declined"]))
            continue
        before, before_bytes = message(source)
        after, after_bytes = message(pair["output"])
        if before != after or before_bytes != after_bytes:
            failures.append((pair, "is another message"))
        original = pathlib.Path(source).read_bytes()
        counts["identical bytes"] += original == pathlib.Path(pair["output"]).read_bytes()
        if loadable[source]:
            counts["load in ONNX Runtime"] += 1
            if not loads(pair["output"]):
                failures.append((pair, "does not load any more"))
    print(", ".join(f"{count} {what}" for what, count in counts.items()))
    for pair, what in failures:
        print(f"FAILS: {pair['input']} ({pair['variant']}): {what}")
    return 1 if failures else 0


if __name__ == "__main__":
    if sys.argv[1] == "collect":
        collect(sys.argv[2])
    else:
        sys.exit(compare(sys.argv[2]))
