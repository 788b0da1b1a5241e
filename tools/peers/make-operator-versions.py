#!/usr/bin/env python3
"""Writes src/surgeries/operator-versions.ts: which operator sets of ai.onnx changed which operators.

    python3 -m venv venv && venv/bin/pip install onnx==1.23.1
    venv/bin/python tools/peers/make-operator-versions.py

Every version counts that onnx has a schema for, deprecations included; a schema that only takes more element types is
a version like any other.
"""

import pathlib

import onnx

OUTPUT = pathlib.Path(__file__).resolve().parents[2] / "src" / "surgeries" / "operator-versions.ts"

versions = {}
for schema in onnx.defs.get_all_schemas_with_history():
    if schema.domain == "":
        versions.setdefault(schema.name, set()).add(schema.since_version)

lines = [
    "/**",
    f" * The history of the operators of ai.onnx, by onnx {onnx.__version__}. Made by",
    " * tools/peers/make-operator-versions.py; changes made here are lost. Pure.",
    " */",
    "",
    "/** The newest operator set that the table knows. */",
    f"export const NEWEST_OPSET = {onnx.defs.onnx_opset_version()};",
    "",
    "/** The operator sets in which each operator came, changed or was deprecated, in order. */",
    "export const OPERATOR_VERSIONS: Readonly<Record<string, readonly number[]>> = {",
    *(f"  {name}: {sorted(versions[name])}," for name in sorted(versions)),
    "};",
    "",
]
OUTPUT.write_text("\n".join(lines), encoding="utf-8")
print(f"{OUTPUT}: {len(versions)} operators")
