"""What one API key may take of what all share: half, rounded up, as long as there is another key.

So no key can take the last places from the others. Without keys, and with a single one, there is
nobody to keep anything for.
"""

OURS = "this API key has its half of the {what}, and the rest is kept for other keys"


def half(most: int) -> int:
    """Return the part of a whole that one key may take."""
    return (most + 1) // 2


class Shares:
    """The rule of one process.

    Attributes:
        several: whether more than one key counts; who knows the keys says so.
    """

    def __init__(self) -> None:
        self.several = False

    def allow(self, owner: str | None, held: int, wanted: int, most: int) -> bool:
        """Tell whether a key may take something beside what it has.

        Args:
            owner: id of the key; None for whoever needs none.
            held: what it has.
            wanted: what it wants; of something large one always fits.
            most: what there is for all.
        """
        if owner is None or not self.several or not held:
            return True
        return held + wanted <= half(most)
