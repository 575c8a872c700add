"""Results that a killed run goes on from: one line of JSON per picture, in any order.

The file's name has a digest of all that shapes its results, so what was found with other weights
or another number of votes never mixes with these. A last line that a kill cut off is forgotten.
"""

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any


class Kept:
    """See the module's text.

    Args:
        folder: of such files.
        stem: what people should read from the file's name.
        header: all that shapes the results, JSON values; the first line.
    """

    def __init__(self, folder: Path, stem: str, header: Mapping[str, Any]) -> None:
        digest = hashlib.sha256(json.dumps(header, sort_keys=True).encode()).hexdigest()[:8]
        self.path, self.header = folder / f"{stem}-{digest}.jsonl", header
        self._entries: dict[str, Mapping[str, Any]] = {}
        folder.mkdir(parents=True, exist_ok=True)
        self.path.touch()
        whole, end, cut = self.path.read_bytes().rpartition(b"\n")
        if cut:
            os.truncate(self.path, len(whole + end))
        if not whole:
            self._append(header)
        for line in whole.splitlines()[1:]:
            entry = json.loads(line)
            self._entries[entry["picture"]] = entry

    def __contains__(self, picture: str) -> bool:
        return picture in self._entries

    def __getitem__(self, picture: str) -> Mapping[str, Any]:
        return self._entries[picture]

    def add(self, entry: Mapping[str, Any]) -> None:
        """Keep what was found for `entry["picture"]`."""
        self._append(entry)
        self._entries[entry["picture"]] = entry

    def _append(self, entry: Mapping[str, Any]) -> None:
        with self.path.open("a") as file:
            file.write(json.dumps(entry, separators=(",", ":")) + "\n")
