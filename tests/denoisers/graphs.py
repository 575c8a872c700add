"""Small ONNX files, built node by node."""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

FREE = ("n", 3, "h", "w")


def value(name, shape=FREE, kind=TensorProto.FLOAT):
    return helper.make_tensor_value_info(name, kind, shape)


def constant(name, array):
    return numpy_helper.from_array(np.asarray(array), name)


def node(*arguments, **attributes):
    return helper.make_node(*arguments, **attributes)


def model(nodes, inputs=None, outputs=None, constants=(), **options):
    graph = helper.make_graph(
        nodes,
        "graph",
        [value("noisy")] if inputs is None else inputs,
        outputs or [value("out")],
        list(constants),
    )
    opsets = [helper.make_opsetid("", 17), *options.pop("opsets", ())]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8, **options)


def write(path, *arguments, **options):
    """Write a model, see `model`; return its path."""
    path.write_bytes(model(*arguments, **options).SerializeToString())
    return path


def kernel():
    """A box of 3×3, each colour by itself."""
    return constant("kernel", np.full((3, 1, 3, 3), 1 / 9, np.float32))


def blur(shape=FREE, out=None):
    """The parts of a model that blurs."""
    conv = node("Conv", ["noisy", "kernel"], ["out"], pads=[1, 1, 1, 1], group=3)
    return {
        "nodes": [conv],
        "inputs": [value("noisy", shape)],
        "outputs": [value("out", out or shape)],
        "constants": [kernel()],
    }


def write_blur(path, shape=FREE):
    return write(path, **blur(shape))


def external(path, data):
    """A model whose kernel lies in the file `data` beside it."""
    onnx.save_model(
        model(**blur()),
        path,
        save_as_external_data=True,
        location=data,
        size_threshold=0,
    )
    return path
