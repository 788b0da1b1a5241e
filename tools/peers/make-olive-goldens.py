#!/usr/bin/env python3
"""Writes test/models/olive-goldens.json: what Olive's quantizing passes make of known inputs.

    python3 -m venv venv && venv/bin/pip install --no-deps -r tools/peers/requirements-olive.txt
    venv/bin/python tools/peers/make-olive-goldens.py

Inputs are not stored: test/kernels/golden-inputs.ts makes them from (pattern, seed, shape). MatMul weights are [k, n],
tables [n, k]. Outputs are stored as hex; long ones as SHA-256.
"""

import json
import pathlib

import numpy as np
from golden_inputs import PATTERNS, make_input, stored
from olive_passes import VERSIONS, quantize_gather, quantize_int8, quantize_k_quant, quantize_rtn

OUTPUT = pathlib.Path(__file__).resolve().parents[2] / "test" / "models" / "olive-goldens.json"
HEX_BYTES = 32

QUANTIZERS = {
    "olive-rtn": quantize_rtn,
    "olive-k-quant": quantize_k_quant,
    "olive-gather": quantize_gather,
    "olive-int8": quantize_int8,
}
# What each dtype can hold.
SKIPPED = {"float16": ("huge", "floatSubnormals", "verySmall"), "float32": (), "bfloat16": ("floatSubnormals",)}


def case(method, pattern, seed, k, n, dtype, bits, block, symmetric):
    is_table = method in ("olive-gather", "olive-int8")
    rows, columns = (n, k) if is_table else (k, n)
    source = make_input(pattern, seed, rows, columns, dtype)
    codes, scales, zero_points = QUANTIZERS[method](source, bits, block, symmetric)
    assert scales.dtype == source.dtype
    result = {
        "method": method,
        "pattern": pattern,
        "seed": seed,
        "k": k,
        "n": n,
        "dtype": dtype,
        "bits": bits,
        "blockSize": block,
        "symmetric": symmetric,
        "codes": stored(codes, HEX_BYTES),
        "scales": stored(scales, HEX_BYTES),
    }
    if zero_points is not None:
        result["zeroPoints"] = stored(zero_points, HEX_BYTES)
    return result


def formats():
    for bits in (4, 8):
        # ONNX Runtime's kernel is checked by quantizer-goldens.json: here only what surrounds it.
        yield "olive-rtn", ("float32", "float16"), bits, (False, True), ("uniform",)
        yield "olive-k-quant", ("float32", "float16", "bfloat16"), bits, (False,), PATTERNS
        yield "olive-gather", ("float32", "float16", "bfloat16"), bits, (False, True), PATTERNS
    yield "olive-int8", ("float32", "float16"), 8, (False,), PATTERNS


# Tails, odd numbers of blocks and of elements, every block size, one block a channel, one channel.
SHAPES = [
    (16, 1, 16), (33, 3, 16), (40, 2, 32), (95, 3, 32), (96, 3, 32), (129, 2, 64), (65, 2, 64), (1, 2, 32),
    (31, 1, 128), (20, 5, 64), (384, 1, 128), (300, 2, 256), (256, 4, 256), (512, 2, 256),
]  # fmt: skip


def all_cases():
    # The cases of the specification these methods were written from.
    for seed, (k, n, bits, block, dtype) in enumerate(
        [
            (64, 4, 4, 32, "float32"), (96, 3, 4, 32, "float32"), (40, 2, 4, 32, "float32"), (64, 2, 8, 32, "float32"),
            (32, 3, 4, 32, "float32"), (128, 2, 4, 64, "float16"), (64, 2, 8, 16, "float16"),
            (256, 2, 4, 128, "float32"),
        ],
        1,
    ):  # fmt: skip
        yield case("olive-k-quant", "uniform", seed, k, n, dtype, bits, block, False)
    for seed, (k, n, bits, block, dtype, symmetric) in enumerate(
        [
            (64, 3, 4, 32, "float32", False), (96, 3, 4, 32, "float32", False), (96, 3, 4, 32, "float32", True),
            (64, 3, 8, 32, "float32", False), (64, 3, 8, 32, "float32", True), (64, 3, 4, 32, "float16", False),
            (64, 3, 4, 32, "float16", True), (64, 3, 8, 32, "float16", False), (64, 3, 8, 32, "float16", True),
            (40, 2, 4, 32, "float32", False), (33, 2, 4, 16, "float32", False),
        ],
        11,
    ):  # fmt: skip
        yield case("olive-gather", "uniform", seed, k, n, dtype, bits, block, symmetric)
    for seed, dtype in [(31, "float32"), (32, "float16")]:
        yield case("olive-int8", "uniform", seed, 64, 3, dtype, 8, 32, False)
    for seed, (k, n, bits, dtype, symmetric) in enumerate(
        [
            (64, 3, 4, "float32", False), (96, 3, 4, "float32", False), (96, 3, 4, "float32", True),
            (64, 3, 8, "float32", False), (64, 3, 8, "float32", True), (64, 3, 4, "float16", False),
            (40, 2, 4, "float32", False), (40, 2, 4, "float32", True),
        ],
        41,
    ):  # fmt: skip
        yield case("olive-rtn", "uniform", seed, k, n, dtype, bits, 32, symmetric)

    seed = 1000
    for method, dtypes, bits, symmetries, patterns in formats():
        for dtype in dtypes:
            for symmetric in symmetries:
                for pattern in patterns:
                    if pattern not in SKIPPED[dtype]:
                        seed += 1
                        yield case(method, pattern, seed, 64, 2, dtype, bits, 32, symmetric)
                for k, n, block in SHAPES:
                    if method == "olive-int8" and (block != 32 or k % 32 != 0):
                        continue
                    seed += 1
                    yield case(method, "uniform", seed, k, n, dtype, bits, block, symmetric)
                # Enough elements to meet rare roundings.
                for pattern in ("quarters", "spread") if method != "olive-rtn" else ():
                    seed += 1
                    yield case(method, pattern, seed, 512, 8, dtype, bits, 32, symmetric)


def main():
    with np.errstate(all="ignore"):
        cases = list(all_cases())
    lines = ",\n".join(json.dumps(entry, separators=(",", ":")) for entry in cases)
    OUTPUT.write_text(f'{{"madeWith":{json.dumps(VERSIONS)},\n"cases":[\n{lines}\n]}}\n')
    print(f"{OUTPUT}: {len(cases)} cases, {OUTPUT.stat().st_size} bytes")


main()
