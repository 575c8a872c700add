"""What providers say about a label beside its score: parents, and ids of their own kind."""

import hashlib

PARENTS: dict[str, tuple[str, ...]] = {
    "airplane": ("Aircraft", "Vehicle"),
    "automobile": ("Vehicle",),
    "bird": ("Animal",),
    "cat": ("Mammal", "Animal"),
    "deer": ("Mammal", "Animal"),
    "dog": ("Mammal", "Animal"),
    "frog": ("Amphibian", "Animal"),
    "horse": ("Mammal", "Animal"),
    "ship": ("Watercraft", "Vehicle"),
    "truck": ("Vehicle",),
}
ALPHABET = "0123456789abcdefghijklmnopqrstuvwxyz_"


def parents(label: str) -> tuple[str, ...]:
    """Return broader labels, the nearest first; none where none are known."""
    return PARENTS.get(label.casefold(), ())


def mid(label: str) -> str:
    """Return a machine id of the form that Google gives, always the same for a label."""
    return "/m/0" + _code(label, 6)


def concept_id(label: str) -> str:
    """Return a concept id of the form that Clarifai gives, always the same for a label."""
    return "ai_" + _code(label, 8)


def _code(label: str, length: int) -> str:
    number = int.from_bytes(hashlib.sha256(label.casefold().encode()).digest()[:8])
    letters = []
    for _ in range(length):
        number, place = divmod(number, len(ALPHABET))
        letters.append(ALPHABET[place])
    return "".join(letters)
