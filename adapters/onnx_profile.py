"""The profile of an ONNX model: its file, its labels, and how a picture becomes its input.

[mynet]
adapter = "onnx"
model = "/srv/models/mynet.onnx"
labels = "/srv/models/labels.txt"
mean = [0.485, 0.456, 0.406]
std = [0.229, 0.224, 0.225]
activation = "softmax"
"""

from typing import Annotated, Literal

from pydantic import Field

from adapters.profile import Profile, ProfilePath

Positive = Annotated[float, Field(gt=0)]
Side = Annotated[int, Field(ge=1, le=8192)]


class OnnxProfile(Profile):
    """What an operator says about one model.

    A channel of a pixel p from 0 to 255 becomes (p · scale − mean) / std where the model takes
    floating-point numbers; one that takes uint8 gets the pixels as they are.

    Attributes:
        model: the file.
        labels: in the order of the scores: one a line, or a JSON list; without it labels are
            called "0", "1", ….
        layout: "nchw" or "nhwc"; needed where the model's shape does not tell.
        channels: "rgb" or "bgr".
        scale: 1/255 where it is left out.
        mean: of each channel, in the model's own order, or one for all.
        std: of each channel, likewise.
        size: [height, width]; needed where the model leaves it open, refused where it does not
            fit.
        output: name of the output with the scores; needed where the model has several.
        output_scale: what an output in whole numbers is multiplied with, where the model does
            not tell.
        activation: what turns the output into scores on [0, 1]: "softmax" (one label fits each
            picture), "sigmoid" (each label for itself) or "none"; "auto" sees whether the model
            ends in one of them, and refuses to guess where it does not.
    """

    model: ProfilePath
    labels: ProfilePath | None = None
    layout: Literal["nchw", "nhwc"] | None = None
    channels: Literal["rgb", "bgr"] = "rgb"
    scale: Positive | None = None
    mean: float | tuple[float, float, float] | None = None
    std: Positive | tuple[Positive, Positive, Positive] | None = None
    size: tuple[Side, Side] | None = None
    output: str | None = Field(None, min_length=1)
    output_scale: Positive | None = None
    activation: Literal["auto", "none", "softmax", "sigmoid"] = "auto"
