"""Any ONNX file by a profile: what is read from the file, what is refused, what it answers."""

import asyncio
import contextlib
import io
import json
import subprocess
import sys
import threading

import numpy as np
import onnx
import pytest
from PIL import Image
from pydantic import ValidationError

from adapters import registry
from adapters.emulators.brain import Brain
from adapters.errors import BrokenReply, MissingExtra, NotConfigured
from adapters.interface import Answer
from adapters.onnx import OnnxAdapter
from adapters.onnx_model import OnnxModel
from adapters.onnx_profile import OnnxProfile
from adapters.profiles import Profiles
from tests.adapters.onnx_models import (
    BYTE,
    FLOAT,
    HALF,
    WEIGHTS,
    external,
    mixing,
    node,
    shades,
    value,
    write,
)

FREE = ("n", 3, 4, 4)


def profile(path, **fields):
    return OnnxProfile.model_validate({"model": path, **fields})


def load(path, **fields):
    return OnnxModel(profile(path, **fields))


def pictures(count, seed=0, side=4):
    return np.random.default_rng(seed).integers(0, 256, (count, side, side, 3), dtype=np.uint8)


def softmax(logits):
    powers = np.exp(logits - logits.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)


def expected(batch, scale=1 / 255, mean=0.0, std=1.0):
    """What the model of `shades` says, computed here."""
    means = ((batch * scale - np.asarray(mean)) / np.asarray(std)).mean((1, 2))
    return softmax(means @ WEIGHTS)


# Answers


@pytest.mark.parametrize("shape", [(1, 3, 4, 4), FREE, (4, 3, 4, 4), (1, 4, 4, 3), ("n", 4, 4, 3)])
async def test_answers_are_those_of_the_model(tmp_path, shape):
    path = write(tmp_path / "shades.onnx", shape=shape)
    (tmp_path / "labels.txt").write_text("bright\ndark\n")
    tables = {"mine": {"adapter": "onnx", "model": path.name, "labels": "labels.txt"}}
    async with registry.load("mine", Profiles(tables, tmp_path)) as adapter:
        assert adapter.name == "mine"
        traits = adapter.traits
        assert (traits.payload, traits.input_size, traits.pins_version) == ("pixels", (4, 4), True)
        assert traits.labels == ("bright", "dark")
        assert traits.max_batch == (4 if shape[0] == 4 else 8)
        batch = pictures(traits.max_batch - 1)
        outcomes = await adapter.classify(list(batch))
    sha256 = adapter.options["model_sha256"]
    for outcome, row in zip(outcomes, expected(batch), strict=True):
        assert isinstance(outcome, Answer)
        assert outcome.model_version == f"onnx-{sha256[:12]}"
        assert [p.name for p in outcome.predictions] == ["bright", "dark"]
        assert [p.score for p in outcome.predictions] == pytest.approx(row, abs=1e-6)


@pytest.mark.parametrize("shape", [FREE, (4, 3, 4, 4)])
def test_a_picture_s_answer_does_not_depend_on_its_company(tmp_path, shape):
    model = load(write(tmp_path / "m.onnx", shape=shape))
    batch = pictures(11)
    whole = model.scores(batch)
    for start, stop in [(0, 1), (3, 5), (2, 11)]:
        assert np.array_equal(model.scores(batch[start:stop]), whole[start:stop])
    assert model.scores(batch[:0]).shape == (0, 2)


@pytest.mark.parametrize(
    ("fields", "wanted"),
    [
        ({"scale": 1.0}, {"scale": 1.0}),
        ({"mean": 0.5, "std": 0.25}, {"mean": 0.5, "std": 0.25}),
        (
            {"mean": [0.4, 0.5, 0.6], "std": [0.1, 0.2, 0.3]},
            {"mean": [0.4, 0.5, 0.6], "std": [0.1, 0.2, 0.3]},
        ),
        ({"scale": 0.5, "mean": 3}, {"scale": 0.5, "mean": 3}),
    ],
)
@pytest.mark.parametrize("shape", [(1, 3, 4, 4), (1, 4, 4, 3)])
def test_normalisation(tmp_path, shape, fields, wanted):
    model = load(write(tmp_path / "m.onnx", shape=shape), **fields)
    batch = pictures(5) // 16
    assert model.scores(batch) == pytest.approx(expected(batch, **wanted), abs=1e-5)


def test_bgr_turns_the_channels_and_mean_follows_the_model(tmp_path):
    model = load(write(tmp_path / "m.onnx"), channels="bgr", mean=[0.1, 0.2, 0.3])
    batch = pictures(3)
    turned = batch[..., ::-1]
    assert model.scores(batch) == pytest.approx(expected(turned, mean=[0.1, 0.2, 0.3]), abs=1e-5)


def test_half_precision(tmp_path):
    model = load(write(tmp_path / "m.onnx", kind=HALF))
    batch = pictures(3)
    assert model.scores(batch) == pytest.approx(expected(batch), abs=2e-3)


def test_whole_numbers_in_and_out(tmp_path):
    quantise = node("QuantizeLinear", ["scores", "scale", "zero"], ["out"])
    path = write(
        tmp_path / "m.onnx",
        shape=(1, 4, 4, 3),
        kind=BYTE,
        more=[quantise],
        outputs=[value("out", (1, 2), BYTE)],
    )
    model = load(path)
    assert model.preprocessing["output_scale"] == 1 / 256
    assert model.preprocessing["levels_sha256"] is None
    batch = pictures(4) // 64
    assert model.scores(batch) == pytest.approx(expected(batch, scale=1.0), abs=1 / 256)
    with pytest.raises(NotConfigured, match="leave out scale"):
        load(path, scale=1.0)


def test_whole_numbers_that_stand_for_nothing_known(tmp_path):
    cast = node("Cast", ["scores"], ["out"], to=BYTE)
    path = write(
        tmp_path / "m.onnx", more=[cast], outputs=[value("out", (1, 2), BYTE)], end="Sigmoid"
    )
    with pytest.raises(NotConfigured, match="output_scale"):
        load(path)
    assert load(path, output_scale=0.5).scores(pictures(1)).max() <= 0.5
    with pytest.raises(NotConfigured, match="leave out output_scale"):
        load(write(tmp_path / "f.onnx"), output_scale=0.5)


@pytest.mark.parametrize(
    ("end", "found"), [("Softmax", "none"), ("Sigmoid", "none"), ("LogSoftmax", "softmax")]
)
def test_how_the_graph_ends_is_read_from_it(tmp_path, end, found):
    reshape = node("Reshape", ["scores", "shape"], ["out"])
    path = write(tmp_path / "m.onnx", end=end, more=[reshape], rows=(1, 2, 1, 1))
    model = load(path)
    assert model.preprocessing["activation"] == found
    batch = pictures(2)
    means = (batch / 255).mean((1, 2)) @ WEIGHTS
    wanted = 1 / (1 + np.exp(-means)) if end == "Sigmoid" else softmax(means)
    assert model.scores(batch) == pytest.approx(wanted, abs=1e-5)


def test_it_does_not_guess_what_logits_mean(tmp_path):
    path = write(tmp_path / "m.onnx", end=None)
    with pytest.raises(NotConfigured, match=r"ends in MatMul.*activation = \"softmax\""):
        load(path)
    batch = pictures(3)
    logits = (batch / 255).mean((1, 2)) @ WEIGHTS
    assert load(path, activation="softmax").scores(batch) == pytest.approx(softmax(logits), 1e-5)
    sigmoid = load(path, activation="sigmoid").scores(batch)
    assert sigmoid == pytest.approx(1 / (1 + np.exp(-logits)), abs=1e-6)
    with pytest.raises(BrokenReply, match="outside 0 and 1"):
        load(path, activation="none").scores(batch)


async def test_it_answers_for_an_emulator_too(tmp_path):
    model = OnnxModel.read(write(tmp_path / "m.onnx"))
    brain = Brain(model)
    (picture,) = pictures(1)
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "PNG")
    answer = dict(await brain.classify(buffer.getvalue()))
    (row,) = model.scores(picture[None])
    assert answer == dict(zip(["0", "1"], row.tolist(), strict=True))


# What the profile has to say


def test_without_a_profile_it_says_how_to_write_one():
    with pytest.raises(NotConfigured, match="SURETY_PROVIDERS_FILE"):
        registry.load("onnx")


def test_labels(tmp_path):
    path = write(tmp_path / "m.onnx")
    assert load(path).labels == ["0", "1"]
    names = tmp_path / "labels.json"
    names.write_text('["cat", "cat"]')
    adapter = OnnxAdapter(profile(path, labels=names))
    assert adapter.traits.labels == ("cat",)  # two rows may bear one name
    names.write_text('["cat"]')
    with pytest.raises(NotConfigured, match="2 scores, but its labels are 1"):
        load(path, labels=names)
    with pytest.raises(NotConfigured, match=r"labels nowhere\.txt cannot be read"):
        load(path, labels=tmp_path / "nowhere.txt")


def test_a_size_that_the_model_leaves_open(tmp_path):
    path = write(tmp_path / "m.onnx", shape=("n", 3, "h", "w"))
    with pytest.raises(NotConfigured, match="set size"):
        load(path)
    assert load(path, size=[6, 8]).size == (6, 8)
    fixed = write(tmp_path / "f.onnx")
    assert load(fixed, size=[4, 4]).size == (4, 4)
    with pytest.raises(NotConfigured, match="leave out size"):
        load(fixed, size=[6, 8])


def test_a_layout_that_the_shape_does_not_tell(tmp_path):
    path = write(tmp_path / "m.onnx", shape=(1, 3, 3, 3))
    with pytest.raises(NotConfigured, match="set layout"):
        load(path)
    assert load(path, layout="nchw").preprocessing["layout"] == "nchw"
    with pytest.raises(NotConfigured, match="laid out as nhwc"):
        load(write(tmp_path / "c.onnx"), layout="nhwc")


def test_an_output_among_several(tmp_path):
    outputs = [value("scores", (1, 2)), value("means", (1, 3))]
    path = write(tmp_path / "m.onnx", outputs=outputs)
    with pytest.raises(NotConfigured, match=r"set output.*'scores', 'means'"):
        load(path)
    assert load(path, output="scores").scores(pictures(1)).shape == (1, 2)
    with pytest.raises(NotConfigured, match="set output"):
        load(path, output="other")


@pytest.mark.parametrize(
    "fields",
    [
        {"size": [0, 4]},
        {"size": [4]},
        {"std": 0},
        {"std": [1, 1, 0]},
        {"mean": [1, 2]},
        {"mean": float("nan")},
        {"scale": 0},
        {"activation": "relu"},
        {"layout": "chw"},
        {"channels": "grey"},
        {"output": ""},
        {"other": 1},
    ],
)
def test_values_that_cannot_be(fields):
    with pytest.raises(ValidationError):
        profile("m.onnx", **fields)


def test_options_cover_all_that_shapes_an_answer(tmp_path):
    path = write(tmp_path / "m.onnx", end=None)
    base = {"activation": "softmax"}
    seen = {json.dumps(dict(OnnxAdapter(profile(path, **base)).options))}
    (tmp_path / "labels.txt").write_text("a\nb")
    changes = (
        {"mean": 0.5},
        {"std": 0.5},
        {"scale": 1},
        {"channels": "bgr"},
        {"activation": "sigmoid"},
        {"labels": tmp_path / "labels.txt"},
    )
    for change in changes:
        seen.add(json.dumps(dict(OnnxAdapter(profile(path, **base | change)).options)))
    assert len(seen) == 1 + len(changes)


# What is refused


def test_files_that_are_no_model(tmp_path):
    path = tmp_path / "m.onnx"
    with pytest.raises(NotConfigured, match=r"model m\.onnx cannot be read"):
        load(path)
    good = shades().SerializeToString()
    for data in (b"", b"hello", good[: len(good) // 2], good[:-3], b"\xff" * 100):
        path.write_bytes(data)
        with pytest.raises(NotConfigured, match=r"m\.onnx"):
            load(path)
    for magic in (b"PK\x03\x04", b"\x80\x02", b"\x80\x04"):
        path.write_bytes(magic + b"x" * 100)
        with pytest.raises(NotConfigured, match=r"could run code: export"):
            load(path)


@pytest.mark.parametrize("seed", range(40))
def test_damage_anywhere_is_refused_or_harmless(tmp_path, seed):
    data = bytearray(shades().SerializeToString())
    rng = np.random.default_rng(seed)
    for at in rng.integers(0, len(data), 3):
        data[at] = rng.integers(256)
    path = tmp_path / "m.onnx"
    path.write_bytes(bytes(data))
    with contextlib.suppress(NotConfigured, BrokenReply):
        model = load(path)
        model.scores(np.zeros((1, *model.size, 3), np.uint8))


def test_tensors_in_other_files_are_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = external(tmp_path / "m.onnx", "weights.bin")
    assert (tmp_path / "weights.bin").exists()
    with pytest.raises(NotConfigured, match="other files"):
        load(path)


def test_random_numbers_are_refused(tmp_path):
    model = shades(more=[node("RandomNormalLike", ["scores"], ["out"])])
    with pytest.raises(NotConfigured, match="random numbers"):
        load(write(tmp_path / "m.onnx", model))


def test_random_numbers_inside_a_branch_are_refused(tmp_path):
    inner = onnx.helper.make_graph(
        [node("RandomNormal", [], ["r"], shape=[1, 2])], "then", [], [value("r", (1, 2))]
    )
    model = shades(more=[node("If", ["c"], ["out"], then_branch=inner, else_branch=inner)])
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.array(True), "c"))
    with pytest.raises(NotConfigured, match="random numbers"):
        load(write(tmp_path / "m.onnx", model))


def test_further_operators_are_not_looked_for(tmp_path):
    model = shades(more=[node("Strange", ["scores"], ["out"], domain="my.own")])
    model.opset_import.append(onnx.helper.make_opsetid("my.own", 1))
    with pytest.raises(NotConfigured, match="cannot be loaded by onnxruntime"):
        load(write(tmp_path / "m.onnx", model), activation="none")


def test_a_batch_whose_pictures_look_at_each_other_is_refused(tmp_path):
    with pytest.raises(NotConfigured, match="depends on the others"):
        load(write(tmp_path / "m.onnx", mixing()))


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"shape": (1, 4, 4, 4), "wide": 4}, "must take colour pictures"),
        ({"shape": (1, 3, 4, 4), "kind": onnx.TensorProto.INT32}, "nothing else"),
        ({"shape": (1, 3, 10**5, 10**5)}, "pixels at once"),
        ({"outputs": [value("means", (1, 3)), value("scores", (1, 2))]}, "set output"),
    ],
)
def test_models_of_another_kind(tmp_path, options, says):
    path = write(tmp_path / "m.onnx", **options)
    with pytest.raises(NotConfigured, match=says):
        load(path)


def test_a_model_with_a_second_input_is_refused(tmp_path):
    model = shades(more=[node("Mul", ["scores", "sigma"], ["out"])])
    model.graph.input.append(value("sigma", (1, 1), FLOAT))
    with pytest.raises(NotConfigured, match="nothing else"):
        load(write(tmp_path / "m.onnx", model), activation="none")


def test_an_output_that_is_no_list_of_scores_is_refused(tmp_path):
    outputs = [value("pixels2", (1, 3, 4, 4))]
    model = shades(more=[node("Sigmoid", ["pixels"], ["pixels2"])], outputs=outputs)
    with pytest.raises(NotConfigured, match="one score for each label"):
        load(write(tmp_path / "m.onnx", model))


async def test_scores_that_are_not_finite_end_the_run(tmp_path):
    model = shades(end=None, more=[node("Log", ["scores"], ["out"])])  # of negative numbers
    async with OnnxAdapter(
        profile(write(tmp_path / "m.onnx", model), activation="softmax")
    ) as adapter:
        with pytest.raises(BrokenReply, match="not finite"):
            await adapter.classify(list(pictures(1)))


def test_names_from_the_file_are_printable(tmp_path):
    model = shades(end=None)
    model.graph.node[-1].op_type = "Mat\x1b[31mMul"
    with pytest.raises(NotConfigured) as caught:
        load(write(tmp_path / "m.onnx", model))
    assert "\x1b" not in str(caught.value)


# Running


async def test_calls_run_side_by_side_and_give_the_same(tmp_path):
    async with OnnxAdapter(profile(write(tmp_path / "m.onnx"))) as adapter:
        batch = list(pictures(8))
        first, *others = await asyncio.gather(*(adapter.classify(batch) for _ in range(20)))
        assert all(other == first for other in others)


async def test_a_cancelled_call_ends_at_once_and_stops_its_thread(tmp_path):
    adapter = OnnxAdapter(profile(write(tmp_path / "m.onnx")))
    loop, slow, begun, asked = asyncio.get_running_loop(), threading.Event(), asyncio.Event(), []
    real = adapter._model.scores

    def scores(batch):
        asked.append(len(batch))
        loop.call_soon_threadsafe(begun.set)
        slow.wait(5)
        return real(batch)

    adapter._model.scores = scores
    call = asyncio.create_task(adapter.classify(list(pictures(8))))
    await begun.wait()
    call.cancel()
    async with asyncio.timeout(1):
        with pytest.raises(asyncio.CancelledError):
            await call
    slow.set()
    await adapter.close()
    for _ in range(200):
        if not [t for t in threading.enumerate() if t.name.startswith("onnx")]:
            break
        await asyncio.sleep(0.01)
    else:
        pytest.fail("a thread is left")
    assert asked == [1]
    adapter._model.scores = real
    assert len(await adapter.classify(list(pictures(2)))) == 2  # a closed one opens again
    await adapter.close()


def test_it_works_again_on_another_loop(tmp_path):
    adapter = OnnxAdapter(profile(write(tmp_path / "m.onnx")))

    async def once():
        async with adapter:
            return await adapter.classify(list(pictures(2)))

    assert asyncio.run(once()) == asyncio.run(once())


def test_a_missing_extra_is_named(tmp_path, monkeypatch):
    path = write(tmp_path / "m.onnx")
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(MissingExtra, match=r'pip install "\.\[onnx\]"'):
        load(path)


def test_importing_it_imports_no_sdk():
    code = (
        "import adapters.onnx, sys; assert not {'onnxruntime', 'onnx', 'torch'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
