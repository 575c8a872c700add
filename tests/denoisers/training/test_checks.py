"""Classifiers that measure: real ONNX models of several layouts, and torch modules."""

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from denoisers.errors import BadCheck
from denoisers.training.checks import OnnxCheck, TorchCheck

KINDS = {"uint8": TensorProto.UINT8, "float": TensorProto.FLOAT, "half": TensorProto.FLOAT16,
         "int32": TensorProto.INT32}  # fmt: skip


def colour_model(path, shape=(1, 3, 8, 8), kind="float", axes=(2, 3), classes=3, channels=3):
    """Write a classifier whose scores are the means of the three colours."""
    nodes = [helper.make_node("Cast", ["picture"], ["numbers"], to=TensorProto.FLOAT)]
    nodes.append(helper.make_node("ReduceMean", ["numbers", "axes"], ["means"], keepdims=0))
    nodes.append(helper.make_node("MatMul", ["means", "matrix"], ["scores"]))
    matrix = np.eye(channels, classes, dtype=np.float32)
    graph = helper.make_graph(
        nodes,
        "colour",
        [helper.make_tensor_value_info("picture", KINDS[kind], shape)],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, (shape[0], classes))],
        [
            numpy_helper.from_array(np.array(axes, dtype=np.int64), "axes"),
            numpy_helper.from_array(matrix, "matrix"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.save(model, path)
    return path


def coloured(channel, height=8, width=8):
    picture = np.full((height, width, 3), 40, dtype=np.uint8)
    picture[:, :, channel] = 200
    return picture


@pytest.mark.parametrize("kind", ["float", "half", "uint8"])
@pytest.mark.parametrize(
    ("shape", "axes", "size"),
    [
        ((1, 3, 8, 8), (2, 3), (8, 8)),
        ((1, 8, 8, 3), (1, 2), (8, 8)),
        (("batch", 3, 6, 9), (2, 3), (6, 9)),
        ((4, 6, 9, 3), (1, 2), (6, 9)),
        (("n", 3, "h", "w"), (2, 3), None),
        (("n", "h", "w", 3), (1, 2), None),
        (("n", "c", "h", "w"), (2, 3), None),
    ],
)
def test_layout_kind_and_size_are_the_model_s(tmp_path, kind, shape, axes, size):
    made = OnnxCheck(colour_model(tmp_path / "colour.onnx", shape, kind, axes))
    assert made.size == size
    assert made.name == "colour.onnx"
    for channel in range(3):
        assert made.answer(coloured(channel, *(size or (5, 7)))) == channel


def test_floating_point_models_get_values_from_0_to_1(tmp_path):
    path = tmp_path / "bright.onnx"
    colour_model(path)
    model = onnx.load(path)
    matrix = next(i for i in model.graph.initializer if i.name == "matrix")
    bias = np.array([[0.9, 0, 0]], dtype=np.float32)  # red wins unless green is over 0.9
    model.graph.initializer.append(numpy_helper.from_array(bias, "bias"))
    matrix.CopyFrom(numpy_helper.from_array(np.diag([0, 1, 0]).astype(np.float32), "matrix"))
    model.graph.node[-1].output[0] = "plain"
    model.graph.node.append(helper.make_node("Add", ["plain", "bias"], ["scores"]))
    onnx.save(model, path)
    made = OnnxCheck(path)
    assert made.answer(np.full((8, 8, 3), 228, dtype=np.uint8)) == 0
    assert made.answer(np.full((8, 8, 3), 231, dtype=np.uint8)) == 1


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"kind": "int32"}, r"takes tensor\(int32\)"),
        ({"shape": (1, 4, 8, 8), "channels": 4}, "not of three colours"),
        ({"classes": 1}, "gives 1 scores"),
    ],
)
def test_models_of_another_kind_are_named(tmp_path, options, words):
    with pytest.raises(BadCheck, match=words):
        OnnxCheck(colour_model(tmp_path / "odd.onnx", **options))


def test_files_that_are_no_model_are_named(tmp_path):
    with pytest.raises(BadCheck, match=r"nowhere\.onnx does not exist"):
        OnnxCheck(tmp_path / "nowhere.onnx")
    (tmp_path / "text.onnx").write_text("no model")
    with pytest.raises(BadCheck, match=r"text\.onnx is no usable ONNX model"):
        OnnxCheck(tmp_path / "text.onnx")


class Means(nn.Module):
    def forward(self, x):
        return x.mean((2, 3))


def test_a_torch_module():
    made = TorchCheck("means", Means(), 8)
    assert made.size == (8, 8)
    assert [made.answer(coloured(channel)) for channel in range(3)] == [0, 1, 2]


class Broken(nn.Module):
    def forward(self, x):
        return x.view(1, 5, 5)


class NotFinite(nn.Module):
    def forward(self, x):
        return x.mean((2, 3)) * torch.nan


@pytest.mark.parametrize(
    ("module", "words"), [(Broken(), "fails on a picture of 8×8"), (NotFinite(), "not finite")]
)
def test_a_torch_module_that_cannot_be_asked_is_named_at_once(module, words):
    with pytest.raises(BadCheck, match=words):
        TorchCheck("odd", module, 8)
