"""What Azure AI Vision's two APIs are, and what they say when they do not answer.

The gateway's texts, and those about the size and format of a picture, are as Azure writes them in
what has been published of its replies; the others are made up around documented codes.
"""

from dataclasses import dataclass

LEAST_SIDE, MOST_SIDE = 50, 16_000  # not allowed themselves
MOST_BYTES, MOST_BYTES_32 = 20 * 2**20, 4 * 2**20
FEATURES = ("tags", "caption", "densecaptions", "objects", "read", "smartcrops", "people")
FEATURES_32 = (
    *("adult", "brands", "categories", "color", "description", "faces", "imagetype", "objects"),
    "tags",
)


@dataclass(frozen=True)
class Said:
    """What Azure answers when it does not answer.

    Attributes:
        status: of HTTP.
        code: the outer one, or the gateway's.
        text: for people.
        inner: code and text of the innererror.
        of_picture: whether the picture is refused for good.
    """

    status: int
    code: str
    text: str
    inner: tuple[str, str] | None = None
    of_picture: bool = False


BAD_KEY = Said(
    401,
    "401",
    "Access denied due to invalid subscription key or wrong API endpoint. Make sure to provide a "
    "valid key for an active subscription and use a correct regional API endpoint for your "
    "resource.",
)
FIREWALL = Said(403, "403", "Access denied due to Virtual Network/Firewall rules.")
NO_QUOTA = Said(
    403,
    "403",
    "Out of call volume quota for ComputerVision F0 pricing tier. Please retry after 14 days. To "
    "increase your call volume switch to a paid tier.",
)
NO_RESOURCE = Said(404, "404", "Resource not found")
THROTTLED = Said(
    429,
    "429",
    "Requests to the {operation} Operation under {api} have exceeded rate limit of your current "
    "ComputerVision S1 pricing tier. Please retry after {wait}. Please contact Azure support "
    "service if you would like to further increase the default rate limit.",
)
INTERNAL = Said(
    500,
    "InternalServerError",
    "The server encountered an internal error.",
    ("InternalServerError", "Internal server error."),
)
UNAVAILABLE = Said(503, "ServiceUnavailable", "The service is unavailable.")
BAD_FORMAT = Said(
    400,
    "InvalidRequest",
    "Image format is not valid.",
    ("InvalidImageFormat", "Input data is not a valid image."),
    of_picture=True,
)
UNSUPPORTED = Said(
    400,
    "InvalidRequest",
    "The image is not supported.",
    ("NotSupportedImage", "Unsupported image."),
    of_picture=True,
)
BAD_BYTES = Said(
    400,
    "InvalidRequest",
    "The image size is not allowed to be zero or larger than {most} bytes.",
    ("InvalidImageSize", "The image size is not allowed to be zero or larger than {most} bytes."),
    of_picture=True,
)
BAD_SIDES = Said(
    400,
    "InvalidRequest",
    f"The image dimension is not allowed to be smaller than {LEAST_SIDE} and larger than "
    f"{MOST_SIDE}.",
    (
        "InvalidImageSize",
        f"The image dimension is not allowed to be smaller than {LEAST_SIDE} and larger than "
        f"{MOST_SIDE}.",
    ),
    of_picture=True,
)
BAD_URL = Said(
    400,
    "InvalidRequest",
    "Image URL is badly formatted or not accessible.",
    ("InvalidImageUrl", "Image URL is badly formatted or not accessible."),
)
BAD_MEDIA = Said(
    415,
    "InvalidRequest",
    "Unsupported media type.",
    ("UnsupportedMediaType", "Supported media types: application/octet-stream, application/json."),
)
BAD_LANGUAGE = Said(
    400,
    "InvalidRequest",
    "The language is not valid.",
    ("NotSupportedLanguage", "The input language is not supported."),
)
BAD_VERSION = Said(
    400, "InvalidRequest", "The model version is not valid.", ("BadArgument", "Bad model version.")
)
BAD_FEATURE = Said(
    400,
    "InvalidRequest",
    "The feature is not valid.",
    ("NotSupportedVisualFeature", "Specified feature type is not valid."),
)
ELSEWHERE = Said(400, "InvalidRequest", "The feature '{feature}' is not supported in this region.")


@dataclass(frozen=True)
class Api:
    """One operation.

    Attributes:
        operation: as the gateway calls it.
        name: of the API, as the gateway calls it.
        newer: whether it is 4.0.
        most_bytes: of a picture.
        features: what may be asked for.
        offered: what of them is answered.
        asking: the parameter that names them, None if there is none.
    """

    operation: str
    name: str
    newer: bool
    most_bytes: int
    features: tuple[str, ...] = ()
    offered: tuple[str, ...] = ("tags",)
    asking: str | None = None


ANALYZE_40 = Api(
    "Analyze", "Computer Vision APIs (2023-10-01)", True, MOST_BYTES, FEATURES, asking="features"
)
TAG_32 = Api("Tag Image", "Computer Vision API (v3.2)", False, MOST_BYTES_32)
ANALYZE_32 = Api(
    "Analyze Image",
    "Computer Vision API (v3.2)",
    False,
    MOST_BYTES_32,
    FEATURES_32,
    ("tags", "adult"),
    "visualFeatures",
)
