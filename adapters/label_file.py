"""A file of labels in the order of a model's scores: one a line, or a JSON list."""

import json
from pathlib import Path

from adapters.errors import NotConfigured

MOST_BYTES = 16 * 2**20


def read_labels(path: Path) -> list[str]:
    """Read labels; blank lines at the end of the file count for nothing.

    Raises:
        NotConfigured: if it cannot be read, or a label is empty.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MOST_BYTES + 1)
        text = data.decode("utf-8-sig")
    except OSError as error:
        raise NotConfigured(f"the labels {path.name} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise NotConfigured(f"the labels {path.name} are not in UTF-8") from None
    if len(data) > MOST_BYTES:
        raise NotConfigured(f"the labels {path.name} take more than {MOST_BYTES:,} bytes")
    labels = _labels(path.name, text)
    for number, label in enumerate(labels, 1):
        if not isinstance(label, str) or not label.strip():
            raise NotConfigured(f"the labels {path.name}: number {number} is empty or no text")
    if not labels:
        raise NotConfigured(f"the labels {path.name} are empty")
    return [label.strip() for label in labels]


def _labels(name: str, text: str) -> list[str]:
    if not text.lstrip().startswith("["):
        return text.rstrip().split("\n") if text.strip() else []
    try:
        document: list[str] = json.loads(text)
    except (ValueError, RecursionError):
        raise NotConfigured(f"the labels {name} begin like a JSON list, and are none") from None
    return document
