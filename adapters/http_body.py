"""What is sent to an HTTP endpoint: the pictures' bytes, a JSON document, or a form."""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

IMAGE, TYPE = "{image}", "{type}"


def media_type(picture: bytes) -> str:
    """Return what an encoded picture is; samples are only ever PNG or JPEG."""
    return "image/jpeg" if picture[:2] == b"\xff\xd8" else "image/png"


def places_of_image(template: Any, repeats: bool = False) -> list[bool]:  # noqa: ANN401  JSON
    """Return an entry for each `{image}` in a template: whether a list of one lies around it."""
    if isinstance(template, str):
        return [repeats] * template.count(IMAGE)
    if isinstance(template, list):
        inside = repeats or len(template) == 1
        return [place for entry in template for place in places_of_image(entry, inside)]
    if isinstance(template, dict):
        return [place for entry in template.values() for place in places_of_image(entry, repeats)]
    return []


@dataclass(frozen=True)
class Body:
    """Makes the body of a call.

    Attributes:
        kind: "bytes", "json" or "multipart".
        template: for "json".
        part: for "multipart": the name of the picture's part.
        fields: for "multipart": further parts.
        batches: for "json": whether a call may hold several pictures.
    """

    kind: Literal["bytes", "json", "multipart"]
    template: Any = None
    part: str = "image"
    fields: Mapping[str, str] = field(default_factory=dict)
    batches: bool = False

    def arguments(self, pictures: Sequence[bytes]) -> dict[str, Any]:
        """Return what `httpx.Request` is to be given; several pictures only if `batches`."""
        if self.kind == "json":
            return {"json": self._filled(self.template, pictures, self.batches)}
        (picture,) = pictures
        kind = media_type(picture)
        if self.kind == "bytes":
            return {"content": picture, "headers": {"Content-Type": kind}}
        name = f"image.{kind.removeprefix('image/')}"
        return {"files": {self.part: (name, picture, kind)}, "data": dict(self.fields)}

    def _filled(self, template: Any, pictures: Sequence[bytes], repeat: bool) -> Any:  # noqa: ANN401
        if isinstance(template, str):
            return _text(template, pictures)
        if isinstance(template, list):
            if repeat and len(template) == 1 and places_of_image(template):
                return [self._filled(template[0], [picture], False) for picture in pictures]
            return [self._filled(entry, pictures, repeat) for entry in template]
        if isinstance(template, dict):
            return {key: self._filled(entry, pictures, repeat) for key, entry in template.items()}
        return template


def _text(template: str, pictures: Sequence[bytes]) -> str:
    if TYPE in template:
        template = template.replace(TYPE, media_type(pictures[0]))  # a call's are encoded alike
    if IMAGE in template:
        (picture,) = pictures
        template = template.replace(IMAGE, base64.b64encode(picture).decode())
    return template
