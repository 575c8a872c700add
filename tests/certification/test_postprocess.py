"""From a denoised sample to what is sent."""

import io
import re

import numpy as np
import pytest
from PIL import Image

from certification.errors import InvalidParameter
from certification.options import Options
from certification.postprocess import JPEG_QUALITY, PostProcess
from certification.protocols import Traits
from tests.certification.worlds import SECRET, Clip, World, grey, half_space, machine

RNG = np.random.default_rng(0)
SMOOTH = np.clip(np.add.outer(np.arange(40), 4 * np.arange(60))[..., None] + [0, 9, 30], 0, 255)
SAMPLE = SMOOTH.astype(np.uint8)


@pytest.mark.parametrize(
    ("payload", "asked", "sent"),
    [
        ("png", None, "png"),
        ("png", "png", "png"),
        ("png", "jpeg", "jpeg"),
        ("jpeg", None, "jpeg"),
        ("jpeg", "jpeg", "jpeg"),
        ("pixels", None, "pixels"),
        ("pixels", "png", "pixels"),  # nothing is lost in either
    ],
)
def test_what_is_sent(payload, asked, sent):
    step = PostProcess.plan(40, 60, Traits(payload=payload), asked)
    quality = {"quality": JPEG_QUALITY} if sent == "jpeg" else {}
    assert step.describe() == {"encoding": sent, **quality}
    if sent == "pixels":
        assert np.array_equal(step(SAMPLE), SAMPLE)
        return
    data = step(SAMPLE)
    assert data == step(SAMPLE.copy())
    picture = Image.open(io.BytesIO(data))
    assert picture.format == sent.upper()
    far = np.abs(np.asarray(picture).astype(int) - SAMPLE).max()
    assert far == 0 if sent == "png" else far <= 6


@pytest.mark.parametrize(
    ("payload", "asked", "words"),
    [("pixels", "jpeg", "given the pixels themselves"), ("jpeg", "png", "takes JPEG alone")],
)
def test_what_a_provider_does_not_take_is_refused(payload, asked, words):
    with pytest.raises(InvalidParameter, match=words) as refused:
        PostProcess.plan(40, 60, Traits(payload=payload), asked)
    assert refused.value.field == "encoding"


def test_small_samples_are_enlarged_alike_whatever_the_encoding():
    steps = {
        payload: PostProcess.plan(40, 60, Traits(payload=payload, min_side=80))
        for payload in ("pixels", "png", "jpeg")
    }
    assert {step.size for step in steps.values()} == {(80, 120)}
    pixels = steps["pixels"](SAMPLE)
    assert pixels.shape == (80, 120, 3)
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(steps["png"](SAMPLE)))), pixels)
    assert Image.open(io.BytesIO(steps["jpeg"](SAMPLE))).size == (120, 80)


@pytest.mark.parametrize("encoding", ["png", "jpeg"])
@pytest.mark.parametrize("size", [(1, 1), (3, 50), (33, 65), (80, 80)])
def test_nothing_is_larger_than_what_was_refused_for(size, encoding):
    with pytest.raises(InvalidParameter, match="may take") as refused:
        PostProcess.plan(*size, Traits(payload="png", max_bytes=100), encoding)
    assert refused.value.field == "size"
    most = int(re.search(r"may take ([\d,]+) bytes", str(refused.value))[1].replace(",", ""))
    step = PostProcess.plan(*size, Traits(payload="png", max_bytes=most), encoding)
    noise = RNG.integers(0, 256, (*size, 3), dtype=np.uint8)
    extremes = RNG.integers(0, 2, (*size, 3), dtype=np.uint8) * np.uint8(255)
    assert max(len(step(sample)) for sample in (noise, extremes)) <= most


def test_pixels_have_no_bytes():
    assert PostProcess.plan(40, 60, Traits(payload="pixels", max_bytes=1)).encoding == "pixels"


async def test_the_callers_encoding_reaches_the_provider_and_the_subject():
    from certification.certify import certify

    class Reading(World):
        """Reads files, of any kind."""

        def __init__(self, **traits):
            super().__init__(half_space(0.1))
            self.traits, self.kinds = Traits(payload="png", max_batch=16, **traits), set()

        async def classify(self, images):
            pictures = [Image.open(io.BytesIO(image)) for image in images]
            self.kinds |= {picture.format for picture in pictures}
            return await super().classify([np.asarray(picture) for picture in pictures])

    async def ask(**options):
        world = Reading()
        chosen = Options(sigma=0.1, max_votes=40, **options)
        document = await certify(place, grey(), chosen, denoiser=Clip(), classifier=world)
        return world.kinds, document["proof"]["subject"]["postprocess"], document["accounting"]

    place = machine(SECRET)
    assert (await ask())[:2] == ({"PNG"}, {"encoding": "png"})
    kinds, named, cost = await ask(encoding="jpeg")
    assert (kinds, named) == ({"JPEG"}, {"encoding": "jpeg", "quality": JPEG_QUALITY})
    assert cost["votes_reused"] == 0  # another subject has votes of its own
    kinds, named, cost = await ask(encoding="png")
    assert (kinds, named, cost["votes_reused"]) == (set(), {"encoding": "png"}, 40)
