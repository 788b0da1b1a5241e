"""Olive's quantizing passes without the rest of Olive: its package asks for PyTorch, transformers and telemetry, of
which these passes use nothing. Their modules are the ones that olive-ai installs, unchanged; what they import for
reading models and declaring options stands in as empty classes.
"""

import importlib.util
import pathlib
import sys
import types
from importlib.metadata import version

import onnx

_ROOT = pathlib.Path(importlib.util.find_spec("olive").origin).parent


class _Anything:
    """Stands in for a class or function that the passes only mention."""

    def __init_subclass__(cls, **_):
        pass

    def __class_getitem__(cls, _):
        return cls


def _package(name):
    module = types.ModuleType(name)
    module.__path__ = [str(_ROOT.joinpath(*name.split(".")[1:]))]
    sys.modules[name] = module


def _stand_in(name, *names):
    module = types.ModuleType(name)
    for wanted in names:
        setattr(module, wanted, type(wanted, (_Anything,), {}))
    sys.modules[name] = module


for _name in ("olive", "olive.common", "olive.hardware", "olive.passes.onnx"):
    _package(_name)
_stand_in("olive.hardware.accelerator", "AcceleratorSpec")
_stand_in("olive.model", "ONNXModelHandler")
_stand_in("olive.model.utils", "resolve_onnx_path")
_stand_in("olive.passes.pass_config", "BasePassConfig", "PassConfigParam")
_stand_in("olive.passes", "Pass")
sys.modules["olive.passes"].__path__ = [str(_ROOT / "passes")]
_stand_in(
    "olive.passes.onnx.common", "get_external_data_config", "ir_model_to_olive_model", "model_proto_to_olive_model"
)

from olive.passes.onnx.graph_surgeries import QuantizeEmbeddingInt8  # noqa: E402
from olive.passes.onnx.kquant_quantization import OnnxKQuantQuantization  # noqa: E402
from olive.passes.onnx.rtn_quantization import OnnxBlockWiseRtnQuantization  # noqa: E402

VERSIONS = ", ".join(f"{name} {version(name)}" for name in ("olive-ai", "numpy", "onnxruntime")) + ", x86-64"


def quantize_rtn(weight, bits, block, symmetric):
    """A MatMul's [k, n] weight by OnnxBlockWiseRtnQuantization: codes, scales, zero points or None."""
    rtn = object.__new__(OnnxBlockWiseRtnQuantization)
    codes, scales, zero_points = rtn._qbits_block_quant(weight, bits, block, symmetric)
    return codes, scales, None if symmetric else zero_points


def quantize_gather(table, bits, block, symmetric):
    """A Gather's [n, k] table by OnnxBlockWiseRtnQuantization."""
    return object.__new__(OnnxBlockWiseRtnQuantization)._quantize_ndarray(table, 1, block, symmetric, bits)


def quantize_k_quant(weight, bits, block, _symmetric):
    """A MatMul's [k, n] weight by OnnxKQuantQuantization."""
    return OnnxKQuantQuantization._kquant_block_quant(weight, bits, block)


def quantize_int8(table, _bits, _block, _symmetric):
    """An embedding's [n, k] table by QuantizeEmbeddingInt8."""
    node = onnx.helper.make_node("Gather", ["table", "ids"], ["rows"], name="model/embed_tokens/Gather")
    element = onnx.helper.np_dtype_to_tensor_dtype(table.dtype)
    graph = onnx.helper.make_graph(
        [node, onnx.helper.make_node("Identity", ["rows"], ["out"])],
        "table",
        [onnx.helper.make_tensor_value_info("ids", onnx.TensorProto.INT64, ["count"])],
        [onnx.helper.make_tensor_value_info("out", element, ["count", table.shape[1]])],
        [onnx.numpy_helper.from_array(table, "table")],
    )
    result = object.__new__(QuantizeEmbeddingInt8)(onnx.helper.make_model(graph))
    arrays = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in result.graph.initializer}
    return arrays["table_Q8"], arrays["table_scales"], arrays["table_zp"]
