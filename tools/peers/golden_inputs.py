"""Known inputs of the golden vectors; test/kernels/golden-inputs.ts makes the same from (pattern, seed, shape)."""

import hashlib

import ml_dtypes  # noqa: F401 (makes "bfloat16" a dtype)
import numpy as np

MASK = 0xFFFFFFFF


def hashed(index, seed):
    """A 32-bit integer per element: the multiplicative hash of its index, offset by the seed."""
    return ((index + seed * 1000003 + 1) * 2654435761) & MASK


def uniform(index, seed):
    """A multiple of 2^-24 in [-0.5, 0.5)."""
    return ((hashed(index, seed) >> 8) - 2**23) / 2**24


# Element `index` of the input, before it is rounded to the dtype. Every value is exact in binary64.
PATTERNS = {
    "uniform": uniform,
    "positive": lambda i, s: uniform(i, s) + 0.75,
    "negative": lambda i, s: uniform(i, s) - 0.75,
    "halves": lambda i, s: (hashed(i, s) >> 27) / 2 - 8,
    "quarters": lambda i, s: (hashed(i, s) >> 26) / 4 - 8,
    "constant": lambda i, s: 0.375,
    "negativeConstant": lambda i, s: -0.375,
    "zeros": lambda i, s: 0.0,
    "negativeZeros": lambda i, s: -0.0,
    "mixedZeros": lambda i, s: -0.0 if hashed(i, s) >> 31 else 0.0,
    "sparse": lambda i, s: uniform(i, s) if hashed(i, s + 1) >> 28 == 0 else 0.0,
    "halfSubnormals": lambda i, s: ((hashed(i, s) >> 27) - 16) * 2.0**-24,
    "floatSubnormals": lambda i, s: ((hashed(i, s) >> 27) - 16) * 2.0**-149,
    "tiny": lambda i, s: uniform(i, s) * 2.0**-12,
    "verySmall": lambda i, s: uniform(i, s) * 2.0**-120,
    "large": lambda i, s: uniform(i, s) * 2.0**16,
    "huge": lambda i, s: uniform(i, s) * 2.0**127,
    "outliers": lambda i, s: uniform(i, s) * (64.0 if hashed(i, s + 1) >> 26 == 0 else 0.0625),
    "spread": lambda i, s: uniform(i, s) * 2.0 ** -(hashed(i, s + 1) >> 28),
}


def make_input(pattern, seed, rows, columns, dtype):
    values = [PATTERNS[pattern](i, seed) for i in range(rows * columns)]
    # Rounded to binary32 first, as a file of fp16 weights would be.
    return np.array(values, dtype=np.float32).astype(dtype).reshape(rows, columns)


def stored(array, hex_bytes=512):
    """Bytes as hex, or of more than `hex_bytes` their SHA-256."""
    data = array.tobytes()
    return data.hex() if len(data) <= hex_bytes else "sha256:" + hashlib.sha256(data).hexdigest()
