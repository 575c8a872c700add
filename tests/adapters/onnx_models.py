"""Small classifiers in ONNX files: a bright picture is "bright", a dark one "dark"."""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

FLOAT, HALF, BYTE = TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.UINT8
WEIGHTS = np.array([[2.0, -2.0], [1.0, -1.0], [0.5, -0.5]], np.float32)  # red counts most


def value(name, shape, kind=FLOAT):
    return helper.make_tensor_value_info(name, kind, shape)


def constant(name, array):
    return numpy_helper.from_array(np.asarray(array), name)


def node(*arguments, **attributes):
    return helper.make_node(*arguments, **attributes)


def shades(
    shape=(1, 3, 4, 4), *, kind=FLOAT, end="Softmax", more=(), outputs=None, rows=None, wide=3
):
    """A model: mean of each channel · WEIGHTS, then `end`, then `more`.

    Args:
        shape: of the input.
        kind: of the input.
        end: operator after the scores, None for none.
        more: further nodes, from "scores" to "out".
        outputs: in place of "out", or of "scores" where there are no more nodes.
        rows: shape of the output, where it is not (batch, 2).
        wide: channels that the scores are made of.
    """
    layout = [2, 3] if shape[1] == 3 else [1, 2]
    nodes = []
    taken = "pixels"
    if kind != FLOAT:
        nodes.append(node("Cast", ["pixels"], ["wide"], to=FLOAT))
        taken = "wide"
    nodes += [
        node("ReduceMean", [taken], ["means"], axes=layout, keepdims=0),
        node("MatMul", ["means", "weights"], ["logits" if end else "scores"]),
    ]
    if end:
        nodes.append(node(end, ["logits"], ["scores"]))
    last = outputs or [value("out" if more else "scores", rows or (shape[0], 2))]
    graph = helper.make_graph(
        [*nodes, *more],
        "graph",
        [value("pixels", shape, kind)],
        last,
        [
            constant("weights", np.resize(WEIGHTS, (wide, 2))),
            constant("scale", np.float32(1 / 256)),
            constant("zero", np.uint8(0)),
            constant("shape", np.array([shape[0] if shape[0] != "n" else -1, 2, 1, 1])),
        ],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def write(path, model=None, **options):
    """Write a model, see `shades`; return its path."""
    path.write_bytes((model or shades(**options)).SerializeToString())
    return path


def mixing():
    """A model of a fixed batch whose pictures look at each other."""
    model = shades((2, 3, 4, 4))
    model.graph.node.insert(0, node("ReduceMean", ["raw"], ["pixels"], axes=[0], keepdims=1))
    model.graph.node[0].input[0] = "raw"
    model.graph.input[0].name = "raw"
    return model


def external(path, data):
    """A model whose weights lie in the file `data` beside it."""
    onnx.save_model(shades(), path, save_as_external_data=True, location=data, size_threshold=0)
    return path
