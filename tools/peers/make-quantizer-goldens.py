#!/usr/bin/env python3
"""Writes test/models/quantizer-goldens.json: what ONNX Runtime's own blockwise quantizers make of known inputs.

    python3 -m venv venv && venv/bin/pip install onnxruntime==1.30.0 numpy ml_dtypes
    venv/bin/python tools/peers/make-quantizer-goldens.py

Inputs are not stored: test/kernels/golden-inputs.ts makes them from (pattern, seed, K, N) by the formulas of golden_inputs.py.
Outputs are stored as hex; long ones as SHA-256. Slots past the end of a channel whose length is odd are cleared, as
ONNX Runtime leaves whatever the neighbouring block had there.
"""

import json
import pathlib

import numpy as np
import onnxruntime
from golden_inputs import PATTERNS, make_input, stored
from onnxruntime.capi import _pybind_state as state

OUTPUT = pathlib.Path(__file__).resolve().parents[2] / "test" / "models" / "quantizer-goldens.json"


def quantize(source, bits, block, symmetric):
    k, n = source.shape
    blocks = -(-k // block)
    blob = block * bits // 8
    codes = np.zeros((n, blocks, blob), dtype=np.uint8)
    scales = np.zeros((n * blocks,), dtype=source.dtype)
    zero_points = np.zeros((n * -(-blocks * bits // 8),), dtype=np.uint8)
    call = state.quantize_matmul_4bits if bits == 4 else state.quantize_matmul_8bits
    call(codes, source, scales, zero_points, block, n, k, symmetric)
    if bits == 4 and k % 2 == 1:
        codes[:, blocks - 1, (k % block) // 2] &= 0x0F
    return codes, scales, zero_points


def case(pattern, seed, k, n, dtype, bits, block, symmetric):
    source = make_input(pattern, seed, k, n, dtype)
    codes, scales, zero_points = quantize(source, bits, block, symmetric)
    result = {
        "pattern": pattern,
        "seed": seed,
        "k": k,
        "n": n,
        "dtype": dtype,
        "bits": bits,
        "blockSize": block,
        "symmetric": symmetric,
        "codes": stored(codes),
        "scales": stored(scales),
    }
    if not symmetric:
        result["zeroPoints"] = stored(zero_points)
    return result


def all_cases():
    seed = 0
    for dtype in ("float32", "float16"):
        half = dtype == "float16"
        skipped = ("huge", "floatSubnormals", "verySmall") if half else ("huge",)
        for bits in (4, 8):
            for symmetric in (False, True):
                for pattern in PATTERNS:
                    if pattern in skipped:
                        continue
                    seed += 1
                    yield case(pattern, seed, 64, 2, dtype, bits, 32, symmetric)
                # Tails, odd numbers of blocks, every block size; then enough elements to meet rare roundings.
                for k, n, block in [
                    (16, 1, 16), (33, 3, 16), (40, 2, 32), (95, 3, 32), (96, 3, 32), (129, 2, 64),
                    (1, 2, 32), (31, 1, 128), (384, 1, 128), (300, 2, 256), (256, 1, 256),
                ]:
                    seed += 1
                    yield case("uniform", seed, k, n, dtype, bits, block, symmetric)
                for pattern in ("uniform", "quarters", "outliers", "spread"):
                    for block in (16, 32, 128):
                        seed += 1
                        yield case(pattern, seed, 512, 32, dtype, bits, block, symmetric)


def main():
    cases = list(all_cases())
    lines = ",\n".join(json.dumps(entry, separators=(",", ":")) for entry in cases)
    header = json.dumps(f"onnxruntime {onnxruntime.__version__}, numpy {np.__version__}, x86-64")
    OUTPUT.write_text(f'{{"madeWith":{header},\n"cases":[\n{lines}\n]}}\n')
    print(f"{OUTPUT}: {len(cases)} cases, {OUTPUT.stat().st_size} bytes")


main()
