"""Quantizes weights with ONNX Runtime's own tool, as its documentation shows. Used by ort-quantizer.mjs.

    quantize-ort.py ALGORITHM SOURCE.onnx DIRECTORY   a model: `default`, `rtn` or `k_quant`; flushed to disk
    quantize-ort.py kernel K N                        prints the processor seconds of k_quant on fp16 weights alone
"""

import os
import sys
import time

import numpy as np

BLOCK_SIZE = 32


def quantize_model(algorithm, source, directory):
    from onnxruntime.quantization import matmul_nbits_quantizer as tool

    configs = {
        "default": lambda: tool.DefaultWeightOnlyQuantConfig(block_size=BLOCK_SIZE, is_symmetric=False, bits=4),
        "rtn": tool.RTNWeightOnlyQuantConfig,
        "k_quant": tool.KQuantWeightOnlyQuantConfig,
    }
    quantizer = tool.MatMulNBitsQuantizer(
        source, block_size=BLOCK_SIZE, is_symmetric=False, algo_config=configs[algorithm]()
    )
    quantizer.process()
    os.mkdir(directory)
    quantizer.model.save_model_to_file(os.path.join(directory, "model.onnx"), True)
    for name in os.listdir(directory):
        descriptor = os.open(os.path.join(directory, name), os.O_RDONLY)
        os.fsync(descriptor)
        os.close(descriptor)


def time_kernel(k, n):
    from onnxruntime.quantization.neural_compressor.weight_only import quant_tensor_k_quant_cpu

    weight = np.random.default_rng(1).standard_normal((k, n), dtype=np.float32).astype(np.float16)
    start = time.process_time()
    quant_tensor_k_quant_cpu(weight.T, 4, BLOCK_SIZE)
    print(time.process_time() - start)


if sys.argv[1] == "kernel":
    time_kernel(int(sys.argv[2]), int(sys.argv[3]))
else:
    quantize_model(*sys.argv[1:])
