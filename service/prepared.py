"""A request that has passed every check, and one of these checks: the labels that it names."""

from dataclasses import dataclass

from adapters.interface import Adapter
from certification.canonical import CanonicalImage
from certification.decision import LabelMap, normalise
from certification.options import Options
from certification.postprocess import PostProcess
from certification.protocols import Denoiser
from certification.subject import Subject
from service.errors import BadRequest, UnknownLabel

SHOWN_LABELS = 20  # in an error


@dataclass(frozen=True)
class Prepared:
    """A request that has passed every check; nothing has been asked or kept yet.

    Attributes:
        image: the canonical picture.
        options: what is asked.
        denoiser: cleans the samples.
        adapter: of the provider.
        keep_image: whether the canonical picture is kept with the certificate.
        owner: id of the API key that asks; None where there is none.
    """

    image: CanonicalImage
    options: Options
    denoiser: Denoiser
    adapter: Adapter
    keep_image: bool = False
    owner: str | None = None

    @property
    def draft(self) -> str:
        """SHA-256 of the subject without its model version."""
        plan = PostProcess.plan(
            self.image.height, self.image.width, self.adapter.traits, self.options.encoding
        )
        return Subject.of(
            self.image,
            sigma=self.options.sigma,
            denoiser=self.denoiser,
            classifier=self.adapter,
            postprocess=plan,
            rule=self.options.rule,
            labels=self.options.labels,
        ).draft


def check_labels(adapter: Adapter, options: Options, asked_map: LabelMap) -> None:
    """Refuse a request's label that the provider cannot give, if its labels are a closed set.

    Args:
        adapter: the provider's.
        options: of the request, its label map and the profile's together.
        asked_map: the request's own.

    Raises:
        UnknownLabel: naming the field, and the labels that there are.
        BadRequest: if the true label is none of a yes/no rule.
    """
    known = adapter.traits.labels
    if known is None:
        return
    given = {normalise(label) for label in known}
    more = f" and {len(known) - SHOWN_LABELS:,} more" if len(known) > SHOWN_LABELS else ""
    shown = ", ".join(known[:SHOWN_LABELS]) + more
    for label in asked_map.synonyms:
        if label not in given:
            raise UnknownLabel(
                f"{adapter.name} gives no label {label[:60]!r} that could stand for another: it "
                f"knows {shown}",
                "synonyms",
            )
    allowed = given | set(options.labels.synonyms.values())
    asked = [(label, "rule") for label in getattr(options.rule, "labels", ())]
    if options.truth is not None:
        if not asked:
            asked.append((options.truth, "label"))
        elif normalise(options.truth) not in ("yes", "no"):
            raise BadRequest('with a yes/no rule the true label is "yes" or "no"', "label")
    for label, field in asked:
        if normalise(label) not in allowed:
            raise UnknownLabel(
                f"{adapter.name} knows no label {label[:60]!r}: it knows {shown}", field
            )
