"""Which pictures are learnt and which are kept apart to measure with."""

from collections.abc import Sequence

from denoisers.training.sources import PARTS, Source

HOLD_OUT = 10  # keeps the tenth, twentieth, … apart


def split(sources: Sequence[Source], hold_out: int = HOLD_OUT) -> list[tuple[list[str], list[str]]]:
    """Part the pictures of sources that are given together.

    Where a path leads through a folder `train` or `test` (or `Test`), that decides; pictures of
    such a source that are in neither are left alone. A source that is itself called so is all
    train, unless folders in it say more, or all test, whatever they say. Of the rest every
    `hold_out`-th picture is kept apart: of a source with neither, and of one with train alone,
    unless that is its own name and another one's is test.

    Args:
        sources: all of them.
        hold_out: 10 keeps the tenth, twentieth, … for measuring.

    Returns:
        Names to learn from and names to measure with, of each source.
    """
    beside = _one_is_test(sources)
    return [_split(source, hold_out, beside=beside) for source in sources]


def how(sources: Sequence[Source], hold_out: int = HOLD_OUT) -> list[str]:
    """Say by what names were parted, since a folder that is called otherwise decides nothing."""
    beside = _one_is_test(sources)
    return [f"{source.title}: {_how(source, hold_out, beside=beside)}" for source in sources]


def _one_is_test(sources: Sequence[Source]) -> bool:
    return any(source.part == "test" for source in sources)


def _parts(source: Source) -> tuple[dict[str, list[str]], bool]:
    """Return the names by their part, and whether the source's own name decided."""
    parts: dict[str, list[str]] = {part: [] for part in PARTS}
    for name in source.names:
        for folder in name.casefold().split("/")[:-1]:
            if folder in parts:
                parts[folder].append(name)
                break
    # What is called test on any level is never learnt: a class in it may be called train.
    own = source.part == "test" or (source.part == "train" and not any(parts.values()))
    if own:
        parts = {part: list(source.names) if part == source.part else [] for part in PARTS}
    return parts, own


def _split(source: Source, hold_out: int, *, beside: bool) -> tuple[list[str], list[str]]:
    parts, own = _parts(source)
    if parts["test"] or (own and beside):
        return parts["train"], parts["test"]
    names = parts["train"] or source.names
    return (
        [name for place, name in enumerate(names) if (place + 1) % hold_out],
        names[hold_out - 1 :: hold_out],
    )


def _how(source: Source, hold_out: int, *, beside: bool) -> str:
    parts, own = _parts(source)
    there = [part for part, found in parts.items() if found]
    kept_apart = f"one of {hold_out} is kept apart to measure with"
    if own and source.part == "test":
        return "by its own name, all to measure with"
    if own:
        return f"by its own name, {'all to learn from' if beside else kept_apart}"
    if not there:
        return f"no folder train or test; {kept_apart}"
    left_alone = len(source.names) - sum(map(len, parts.values()))
    said = f"by its folder{'s' if len(there) > 1 else ''} {' and '.join(there)}"
    if there == ["train"]:
        said += f"; {kept_apart}"
    return said + (f"; {left_alone:,} pictures elsewhere are left alone" if left_alone else "")
