"""Denoisers from ONNX files: what is taken, what is refused, and pictures kept apart."""

import contextlib
import hashlib
import io
import pickle
import sys
import zipfile

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import TensorProto, helper
from torch.nn import functional

from certification.errors import InvalidParameter
from denoisers import memory, onnx_denoiser, onnx_format, onnx_network, onnx_running
from denoisers.errors import BrokenWeights, NotUsable
from denoisers.onnx_denoiser import OnnxDenoiser
from denoisers.runtime import Runtime
from denoisers.unet import UNet
from tests.denoisers.graphs import (
    FREE,
    blur,
    constant,
    external,
    kernel,
    model,
    node,
    value,
    write,
    write_blur,
)
from tests.denoisers.threads import same_bits_in_threads

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "mine.onnx"


def pictures(count, height=8, width=6, seed=0):
    rng = np.random.default_rng(seed)
    return rng.integers(-200, 456, (count, height, width, 3)).astype(np.int16)


def test_it_denoises_rounds_and_clips(path):
    denoiser = OnnxDenoiser("mine", write_blur(path), summary="a blur")
    noisy = pictures(5)
    given = torch.from_numpy(noisy).permute(0, 3, 1, 2).float() / 255
    blurred = functional.conv2d(given, torch.full((3, 1, 3, 3), 1 / 9), padding=1, groups=3)
    expected = (blurred * 255).permute(0, 2, 3, 1).numpy()
    cleaned = denoiser.clean(noisy, 0.25)
    assert cleaned.dtype == np.uint8
    assert np.abs(cleaned - expected.clip(0, 255)).max() <= 0.51
    assert (cleaned.min(), cleaned.max()) == (0, 255)
    assert (denoiser.name, denoiser.summary) == ("mine", "a blur")
    assert denoiser.compute == "cpu/onnx-float32"
    assert denoiser.weights_sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.filterwarnings("ignore")  # of the exporter that needs no other package
def test_what_torch_exports_denoises_as_it_does_here(path):
    torch.manual_seed(0)
    network = UNet(width=4, half=1, quarter=1, eighth=1).eval()
    torch.nn.init.normal_(network.tail.weight, std=0.1)
    network.precision = "float32"
    example = (torch.rand(1, 3, 16, 16), torch.full((1,), 0.25))
    torch.onnx.export(network, example, path, opset_version=17, dynamo=False)
    noisy = pictures(3, 16, 16)
    for sigma in (0.1, 1.0):
        ours = Runtime("here", network, "0" * 64, device="cpu").clean(noisy, sigma)
        theirs = OnnxDenoiser("mine", path).clean(noisy, sigma)
        assert np.abs(ours.astype(int) - theirs).max() <= 1


@pytest.mark.parametrize(("height", "width"), [(1, 1), (7, 8), (33, 31)])
def test_any_size_and_no_picture_at_all(path, height, width):
    denoiser = OnnxDenoiser("mine", write_blur(path))
    assert denoiser.batch_of(height, width) == 1
    for count in (0, 2):
        noisy = pictures(count, height, width)
        assert denoiser.clean(noisy, 0.5).shape == (count, height, width, 3)


LEVELS = [(), (1,), ("n",), (None,), ("n", 1), (1, 1, 1, 1), ("n", 1, 1, 1), ("n", "c", "a", "b")]


@pytest.mark.parametrize("first", [True, False], ids=["first", "second"])
@pytest.mark.parametrize("shape", LEVELS, ids=str)
@pytest.mark.parametrize("batch", ["n", 1, 4])
def test_sigma_in_several_shapes(path, batch, shape, first):
    """out = noisy · sigma."""
    shape = tuple(batch if side == "n" else side for side in shape)
    inputs = [value("noisy", (batch, 3, "h", "w")), value("level", shape)]
    nodes = [
        node("Reshape", ["level", "column"], ["levels"]),
        node("Mul", ["noisy", "levels"], ["out"]),
    ]
    column = constant("column", np.array([-1, 1, 1, 1], np.int64))
    denoiser = OnnxDenoiser(
        "mine", write(path, nodes, inputs[::-1] if first else inputs, constants=[column])
    )
    noisy = np.full((3, 4, 4, 3), 200, np.int16)
    assert set(denoiser.clean(noisy, 0.5).ravel()) == {100}
    assert set(denoiser.clean(noisy, 0.25).ravel()) == {50}


@pytest.mark.parametrize("count", [1, 3, 4, 5, 9])
def test_a_fixed_batch_is_filled_up(path, count):
    alone = OnnxDenoiser("alone", write_blur(path))
    filled = OnnxDenoiser("filled", write_blur(path, (4, 3, "h", "w")))
    assert (alone.batch_of(8, 6), filled.batch_of(8, 6)) == (1, 4)
    noisy = pictures(count)
    whole = filled.clean(noisy, 0.25)
    assert np.array_equal(whole, alone.clean(noisy, 0.25))
    assert np.array_equal(whole[-1:], filled.clean(noisy[-1:], 0.25))


def mixing(batch):
    """Subtracts the mean of all pictures of the batch."""
    nodes = [
        node("ReduceMean", ["noisy"], ["mean"], axes=[0], keepdims=1),
        node("Sub", ["noisy", "mean"], ["less"]),
        node("Add", ["less", "half"], ["out"]),
    ]
    half = constant("half", np.float32(0.5))
    return {"nodes": nodes, "inputs": [value("noisy", (batch, 3, "h", "w"))], "constants": [half]}


def test_pictures_of_a_batch_may_not_look_at_each_other(path):
    with pytest.raises(BrokenWeights, match="depends on the others in its batch"):
        OnnxDenoiser("mine", write(path, **mixing(4)))
    denoiser = OnnxDenoiser("mine", write(path, **mixing("n")))
    assert set(denoiser.clean(pictures(5), 0.25).ravel()) == {128}  # each gets itself subtracted


@pytest.mark.parametrize(
    ("shape", "good", "bad", "says"),
    [
        ((1, 3, 8, 6), (8, 6), (6, 8), "takes pictures of 6×8 pixels only, not 8×6"),
        (("n", 3, 8, "w"), (8, 30), (9, 30), "takes pictures of any×8 pixels only, not 30×9"),
        (("n", 3, "h", 6), (30, 6), (30, 7), "takes pictures of 6×any pixels only, not 7×30"),
    ],
)
def test_a_fixed_size(path, shape, good, bad, says):
    denoiser = OnnxDenoiser("mine", write_blur(path, shape))
    assert denoiser.clean(pictures(2, *good), 0.25).shape == (2, *good, 3)
    for ask in (lambda: denoiser.batch_of(*bad), lambda: denoiser.clean(pictures(1, *bad), 0.25)):
        with pytest.raises(InvalidParameter, match=says) as refused:
            ask()
        assert refused.value.field == "size"


def test_a_size_that_the_graph_cannot_work_on_is_told_before_it_is_needed(path):
    nodes = [
        node("SpaceToDepth", ["noisy"], ["deep"], blocksize=4),
        node("DepthToSpace", ["deep"], ["out"], blocksize=4),
    ]
    denoiser = OnnxDenoiser("mine", write(path, nodes))
    assert denoiser.batch_of(8, 12) == 1
    for _ in range(2):
        with pytest.raises(InvalidParameter, match=r"'mine': mine\.onnx failed on 13×8 pixels"):
            denoiser.batch_of(8, 13)


def identity(inputs=None, outputs=None):
    return {"nodes": [node("Identity", ["noisy"], ["out"])], "inputs": inputs, "outputs": outputs}


def two(second):
    nodes = [node("Identity", ["noisy"], ["out"]), node("Identity", ["level"], ["unused"])]
    return {"nodes": nodes, "inputs": [value("noisy"), second]}


def cast():
    nodes = [node("Cast", ["noisy"], ["out"], to=TensorProto.DOUBLE)]
    return {"nodes": nodes, "outputs": [value("out", FREE, TensorProto.DOUBLE)]}


def sliced():
    numbers = [("starts", [0]), ("ends", [2]), ("axes", [1])]
    return {
        "nodes": [node("Slice", ["noisy", "starts", "ends", "axes"], ["out"])],
        "outputs": [value("out", None)],
        "constants": [constant(name, np.array(n, np.int64)) for name, n in numbers],
    }


def with_output(name):
    return {
        "nodes": [node("Identity", ["noisy"], ["out"]), node("Identity", ["noisy"], [name])],
        "outputs": [value("out"), value(name)],
    }


def dropout():
    ratio, training = constant("ratio", np.float32(0.5)), constant("training", np.array(True))
    nodes = [node("Dropout", ["noisy", "ratio", "training"], ["out"])]
    return {"nodes": nodes, "constants": [ratio, training]}


DOUBLE = value("noisy", FREE, TensorProto.DOUBLE)
HALF = value("noisy", FREE, TensorProto.FLOAT16)
REFUSED = {
    "double": (
        identity([DOUBLE], [value("out", FREE, TensorProto.DOUBLE)]),
        r"must take float32 pictures.*double",
    ),
    "half": (identity([HALF], [value("out", FREE, TensorProto.FLOAT16)]), "float16"),
    "grey": (
        identity([value("noisy", ("n", 1, "h", "w"))], [value("out", ("n", 1, "h", "w"))]),
        "pictures",
    ),
    "channels last": (
        identity([value("noisy", ("n", "h", 64, 3))], [value("out", ("n", "h", 64, 3))]),
        r"pictures \(N, 3, H, W\)",
    ),
    "rank": (identity([value("noisy", (3, "h", "w"))], [value("out", (3, "h", "w"))]), "pictures"),
    "no rank": (identity([value("noisy", None)], [value("out", None)]), "pictures"),
    "no input": (
        {"nodes": [node("Constant", [], ["out"], value_floats=[1.0])], "inputs": []},
        "must take float32 pictures.*not none",
    ),
    "three inputs": (
        {**identity(), "inputs": [value("noisy"), value("a", ()), value("b", ())]},
        "sigma beside them or nothing",
    ),
    "too large": (identity([value("noisy", (1, 3, 10**5, 10**5))]), "33,554,432 pixels"),
    "level type": (two(value("level", (), TensorProto.DOUBLE)), "must take float32"),
    "level shape": (two(value("level", ("n", 2))), r"must take sigma as \(\), \(1\)"),
    "level map": (two(value("level", ("n", 1, 64, 64))), "must take sigma as"),
    "level count": (two(value("level", (5,))), "must take sigma as"),
    "output type": (cast(), "one output of float32, not tensor"),
    "two outputs": (with_output("more"), "one output"),
    "another shape": (sliced(), r"made \(1, 2, 64, 64\) of \(1, 3, 64, 64\)"),
    "one number": (
        {
            "nodes": [node("ReduceMean", ["noisy"], ["out"], keepdims=0)],
            "outputs": [value("out", ())],
        },
        r"made \(\) of",
    ),
    "not finite": ({"nodes": [node("Log", ["noisy"], ["out"])]}, "not finite"),
    "dropout": (dropout(), "another answer each time"),
    "unknown operator": ({"nodes": [node("NoSuch", ["noisy"], ["out"])]}, "NoSuch"),
    "custom operator": (
        {
            "nodes": [node("Mine", ["noisy"], ["out"], domain="my.own")],
            "opsets": [helper.make_opsetid("my.own", 1)],
        },
        "my.own",
    ),
    "dangling": ({"nodes": [node("Identity", ["nothing"], ["out"])]}, "cannot be loaded"),
    "newer": (
        {**identity(), "opsets": [helper.make_opsetid("", 9999)]},
        "cannot be loaded",
    ),
}


@pytest.mark.parametrize(("parts", "says"), REFUSED.values(), ids=REFUSED)
def test_other_networks_are_refused(path, parts, says):
    kept = {k: v for k, v in parts.items() if v is not None}
    with pytest.raises(BrokenWeights, match=says) as refused:
        OnnxDenoiser("mine", write(path, **kept))
    assert str(refused.value).startswith("mine.onnx")
    assert str(refused.value).isprintable()
    assert len(str(refused.value)) < 350


@pytest.mark.parametrize("operator", onnx_format.RANDOM)
def test_random_operators_are_refused(path, operator):
    parts = {"nodes": [node(operator.decode(), ["noisy"], ["out"])]}
    with pytest.raises(BrokenWeights, match=f"draws random numbers .{operator.decode()}"):
        OnnxDenoiser("mine", write(path, **parts))


def test_random_operators_are_found_in_branches_and_functions(path):
    draw = node("RandomNormalLike", ["noisy"], ["drawn"])
    branch = helper.make_graph([draw], "branch", [], [value("drawn")])
    choice = node("If", ["yes"], ["out"], then_branch=branch, else_branch=branch)
    in_branch = model([choice], constants=[constant("yes", np.array(True))])
    function = helper.make_function(
        "my.own",
        "Noise",
        ["noisy"],
        ["drawn"],
        [draw],
        [helper.make_opsetid("", 17)],
    )
    in_function = model(
        [node("Noise", ["noisy"], ["out"], domain="my.own")],
        opsets=[helper.make_opsetid("my.own", 1)],
        functions=[function],
    )
    for made in (in_branch, in_function):
        path.write_bytes(made.SerializeToString())
        with pytest.raises(BrokenWeights, match="draws random numbers"):
            OnnxDenoiser("mine", path)


def test_tensors_in_other_files_are_refused(tmp_path, monkeypatch):
    """Given bytes, onnxruntime looks for them in the working directory, where they are here."""
    monkeypatch.chdir(tmp_path)
    path = external(tmp_path / "outside.onnx", "outside.data")
    options = onnxruntime.SessionOptions()
    onnxruntime.InferenceSession(path.read_bytes(), options)  # it would
    with pytest.raises(BrokenWeights, match=r"outside\.onnx keeps tensors in other files"):
        OnnxDenoiser("mine", path)
    onnx.save(onnx.load(path), path)  # what the message advises
    assert OnnxDenoiser("mine", path).batch_of(8, 8) == 1


def outside():
    tensor = TensorProto(data_type=TensorProto.FLOAT, dims=[1], name="outside")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="elsewhere")
    return tensor


def hidden_tensors():
    """One model for each way from the model to a tensor."""
    places = ["attribute", "list", "branch", "sparse", "indices", "training", "function", "default"]
    made = {place: model([]) for place in places}
    by_value = node("Constant", [], ["out"], value=outside())
    by_list = node("Constant", [], ["out"])
    by_list.attribute.append(helper.make_attribute("tensors", [outside()]))
    branch = helper.make_graph([], "branch", [], [value("outside")], [outside()])
    choice = node("If", ["yes"], ["out"], then_branch=branch, else_branch=branch)
    made["attribute"].graph.node.append(by_value)
    made["list"].graph.node.append(by_list)
    made["branch"].graph.node.append(choice)
    made["sparse"].graph.sparse_initializer.add().values.CopyFrom(outside())
    made["indices"].graph.sparse_initializer.add().indices.CopyFrom(outside())
    made["training"].training_info.add().algorithm.initializer.append(outside())
    made["function"].functions.add().node.append(by_value)
    default = helper.make_attribute("value", outside())
    made["default"].functions.add().attribute_proto.append(default)
    return made


@pytest.mark.parametrize(("place", "made"), hidden_tensors().items())
def test_they_are_found_wherever_they_are(place, made):
    with pytest.raises(BrokenWeights, match="in other files"):
        onnx_format.check_onnx(place, made.SerializeToString())


def test_no_message_that_leads_to_tensors_or_nodes_is_missed():
    """The numbers of `denoisers.onnx_format` against the package that defines the format."""
    messages = {
        name: getattr(onnx, name, None) or getattr(onnx.onnx_ml_pb2, name)
        for name in onnx_format.CHILDREN
    }

    def leads_on(descriptor, seen):
        if descriptor.name in ("TensorProto", "NodeProto"):
            return True
        inner = [f.message_type for f in descriptor.fields if f.message_type]
        return any(leads_on(d, seen | {d.name}) for d in inner if d.name not in seen)

    for name, children in onnx_format.CHILDREN.items():
        fields = messages[name].DESCRIPTOR.fields
        inner = {f.number: f.message_type for f in fields if f.message_type}
        leading = {n: d.name for n, d in inner.items() if leads_on(d, {name, d.name})}
        assert leading == children, name
    tensor = {f.name: f.number for f in onnx.TensorProto.DESCRIPTOR.fields}
    assert tensor["external_data"] == onnx_format.EXTERNAL_DATA
    assert tensor["data_location"] == onnx_format.DATA_LOCATION
    operator = {f.name: f.number for f in onnx.NodeProto.DESCRIPTOR.fields}
    assert operator["op_type"] == onnx_format.OPERATOR


def test_every_cut_and_many_changes_are_refused_or_read(path):
    """Whatever the bytes: an error of ours, never another one."""
    data = write_blur(path).read_bytes()
    for end in range(len(data)):
        path.write_bytes(data[:end])
        with pytest.raises(BrokenWeights):
            OnnxDenoiser("mine", path)
    rng = np.random.default_rng(0)
    for _ in range(3000):
        changed = bytearray(data)
        for place in rng.integers(len(data), size=2):
            changed[place] = rng.integers(256)
        with contextlib.suppress(BrokenWeights):
            onnx_format.check_onnx("mine.onnx", bytes(changed))


def test_a_name_that_is_no_text(path):
    data = write_blur(path).read_bytes()
    path.write_bytes(data.replace(b"noisy", b"\xfb\xff\x80\xc0\xfe"))
    with pytest.raises(BrokenWeights, match=r"mine\.onnx"):
        OnnxDenoiser("mine", path)


class Evil:
    def __reduce__(self):
        return (open, ("executed", "w"))


def torchscript():
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps(Evil()))
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (pickle.dumps(Evil()), "is refused unread: a pickle or TorchScript"),
        (torchscript(), "is refused unread: a pickle or TorchScript"),
        (b"", "holds no graph"),
        (b"import os; os.system('true')", "is no ONNX file"),
        (b"\x00" * 100, "is no ONNX file"),
        (b"\x08\x08", "holds no graph"),
        (b"\x3a\x00", "cannot be loaded"),  # an empty graph
        (b"\x3a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", "is no ONNX file"),
    ],
    ids=["pickle", "zip", "empty", "text", "zeros", "no graph", "empty graph", "endless"],
)
def test_other_files_are_refused(path, monkeypatch, data, says):
    monkeypatch.chdir(path.parent)
    path.write_bytes(data)
    with pytest.raises(BrokenWeights, match=says):
        OnnxDenoiser("mine", path)
    assert not (path.parent / "executed").exists()


def test_onnxruntimes_own_format_is_refused(path):
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(path.with_suffix(".ort"))
    options.add_session_config_entry("session.save_model_format", "ORT")
    options.log_severity_level = 4
    onnxruntime.InferenceSession(write_blur(path).read_bytes(), options)
    path.write_bytes(path.with_suffix(".ort").read_bytes())
    with pytest.raises(BrokenWeights):
        OnnxDenoiser("mine", path)


def test_what_is_not_finite_later_is_no_picture(path):
    nodes = [node("Add", ["noisy", "two"], ["more"]), node("Sqrt", ["more"], ["out"])]
    two_ = constant("two", np.float32(2))
    denoiser = OnnxDenoiser("mine", write(path, nodes, constants=[two_]))
    assert denoiser.clean(np.zeros((1, 4, 4, 3), np.int16), 0.25).max() == 255
    with pytest.raises(
        InvalidParameter, match="values that are not finite of 4×4 pixels"
    ) as caught:
        denoiser.clean(np.full((1, 4, 4, 3), -600, np.int16), 1.0)
    assert caught.value.field == "denoiser"


def test_a_size_that_the_memory_does_not_hold_is_refused_untried(path, monkeypatch):
    whole = OnnxDenoiser("mine", write(path, **blur()))
    monkeypatch.setattr("denoisers.onnx_denoiser.trial_pictures", lambda *_: pytest.fail("tried"))
    with pytest.raises(InvalidParameter, match=f"does not hold 1 at once of {2**20}×{2**20}"):
        whole.batch_of(2**20, 2**20)
    monkeypatch.setattr(memory, "ALWAYS", 0)
    monkeypatch.setattr(memory, "free_bytes", lambda device: 64 * 64 * 48 - 1)
    with pytest.raises(InvalidParameter, match="use a smaller size") as caught:
        whole.batch_of(64, 64)
    assert caught.value.field == "size"


def test_several_threads_get_the_same_bits(path):
    denoiser = OnnxDenoiser("mine", write(path, **blur()))
    assert same_bits_in_threads(denoiser, pictures(12, 16, 16))


def test_onnxruntime_is_an_extra(path, monkeypatch):
    write_blur(path)
    monkeypatch.setitem(sys.modules, "onnxruntime", None)  # what an import then makes of it
    with pytest.raises(NotUsable, match=r'pip install "\.\[onnx\]"'):
        OnnxDenoiser("mine", path)


def endless(rounds):
    """A graph that blurs, so many times that nobody lives to see the end."""
    body = helper.make_graph(
        [node("Identity", ["going"], ["goes"]), node("Conv", ["x", "kernel"], ["y"], **SAME)],
        "body",
        [value("i", (), TensorProto.INT64), value("going", (), TensorProto.BOOL), value("x")],
        [value("goes", (), TensorProto.BOOL), value("y")],
    )
    loop = node("Loop", ["rounds", "", "noisy"], ["out"], body=body)
    return {"nodes": [loop], "constants": [kernel(), constant("rounds", np.int64(rounds))]}


SAME = {"pads": [1, 1, 1, 1], "group": 3}


def test_a_graph_that_never_ends_is_ended(path, monkeypatch):
    monkeypatch.setattr(onnx_network, "TRIAL_SECONDS", 0.3)
    with pytest.raises(BrokenWeights, match="failed on 64×64 pixels: it took more than 0 seconds"):
        OnnxDenoiser("mine", write(path, **endless(2**62)))
    denoiser = OnnxDenoiser("mine", write(path, **endless(2)))
    assert denoiser.clean(pictures(1), 0.25).shape == (1, 8, 6, 3)


def wide(channels):
    """A graph that makes so many channels of the picture and adds them up again."""
    rng = np.random.default_rng(0)
    there, back = (
        constant(name, rng.normal(0, 0.1, shape).astype(np.float32))
        for name, shape in (("there", (channels, 3, 3, 3)), ("back", (3, channels, 3, 3)))
    )
    pads = {"pads": [1, 1, 1, 1]}
    return {
        "nodes": [
            node("Conv", ["noisy", "there"], ["wide"], **pads),
            node("Conv", ["wide", "back"], ["out"], **pads),
        ],
        "constants": [there, back],
    }


@pytest.mark.skipif(not onnx_running.STATM.exists(), reason="needs Linux")
def test_what_a_graph_takes_between_its_ends_counts_too(path, monkeypatch):
    denoiser = OnnxDenoiser("mine", write(path, **wide(256)))
    monkeypatch.setattr(onnx_denoiser, "TRIAL_ROOM_SECONDS", 0.1)
    monkeypatch.setattr(memory, "ALWAYS", 0)
    least = 256 * 4  # bytes of a pixel in the middle
    assert denoiser._network.pixel_bytes > least
    monkeypatch.setattr(memory, "free_bytes", lambda _: least * 300 * 300)
    with pytest.raises(InvalidParameter, match="memory does not hold 1 at once of 300×300"):
        denoiser.batch_of(300, 300)
    assert denoiser.batch_of(40, 40) == 1
    monkeypatch.setattr(denoiser._in_turn.__func__, "__defaults__", (0.1,))
    monkeypatch.setattr(memory, "free_bytes", lambda _: 1000)  # and each time
    with pytest.raises(InvalidParameter, match="memory does not hold 1 at once of 40×40"):
        denoiser.clean(pictures(1, 40, 40), 0.25)
