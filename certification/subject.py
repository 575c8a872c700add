"""The subject: everything that defines the smoothed classifier and its input.

Its canonical bytes (RFC 8785) derive the noise key, so any change of picture, σ, denoiser,
provider, version or rule gets noise of its own, and the same subject always the same.
"""

import hashlib
from dataclasses import dataclass, replace
from typing import Any

import rfc8785

from certification.canonical import CanonicalImage
from certification.decision import DecisionRule, LabelMap
from certification.postprocess import PostProcess
from certification.protocols import Classifier, Denoiser, Header, Rerolls


def canonical_subject(header: Header) -> bytes:
    """Return the RFC 8785 bytes of a ledger's subject, that derive its noise key and name it."""
    return rfc8785.dumps(dict(header.subject))


def subject_sha256(header: Header) -> str:
    """Name a ledger: SHA-256 of its canonical subject, the model version included."""
    return hashlib.sha256(canonical_subject(header)).hexdigest()


@dataclass(frozen=True)
class Subject:
    """See the module's text.

    Attributes:
        body: the entries, JSON values only.
        model_version: the provider's version, None until its first answer or if it tells none.
        rerolls: how often the noise was drawn anew, which names another subject each time.
    """

    body: dict[str, Any]
    model_version: str | None = None
    rerolls: Rerolls | None = None

    @classmethod
    def of(
        cls,
        image: CanonicalImage,
        *,
        sigma: float,
        denoiser: Denoiser,
        classifier: Classifier,
        postprocess: PostProcess,
        rule: DecisionRule,
        labels: LabelMap,
    ) -> "Subject":
        """Put the subject together, the model version still open."""
        provider: dict[str, Any] = {"name": classifier.name, "options": dict(classifier.options)}
        # A name may be an operator's, who may give it to something else one day.
        kind = getattr(classifier, "adapter", classifier.name)
        if kind != classifier.name:
            provider["adapter"] = kind
        return cls(
            {
                "image": {
                    "sha256": image.sha256,
                    "width": image.width,
                    "height": image.height,
                },
                "sigma": sigma,
                "denoiser": {"name": denoiser.name, "weights_sha256": denoiser.weights_sha256},
                "compute": denoiser.compute,
                "postprocess": postprocess.describe(),
                "provider": provider,
                "rule": rule.describe(),
                "label_map": labels.describe(),
            }
        )

    def at_version(self, model_version: str | None, rerolls: Rerolls | None = None) -> "Subject":
        """Return the subject with the version that the first answer came from."""
        return replace(self, model_version=model_version, rerolls=rerolls)

    def of_header(self, header: Header) -> "Subject":
        """Return the subject that a ledger was begun for."""
        told = header.subject.get("rerolls")
        rerolls = None if told is None else Rerolls(told["count"], told["alpha_spent"])
        return self.at_version(header.clean.model_version, rerolls)

    def describe(self) -> dict[str, Any]:
        """Return all entries, as they stand on the certificate."""
        provider = {**self.body["provider"], "model_version": self.model_version}
        again = {} if self.rerolls is None else {"rerolls": self.rerolls.describe()}
        return {**self.body, "provider": provider, **again}

    def canonical(self) -> bytes:
        """Return the RFC 8785 bytes that are hashed and that derive the noise key."""
        return rfc8785.dumps(self.describe())

    @property
    def sha256(self) -> str:
        """SHA-256 of the canonical bytes."""
        return hashlib.sha256(self.canonical()).hexdigest()

    @property
    def draft(self) -> str:
        """SHA-256 without model version and rerolls: what is known before the first call."""
        return hashlib.sha256(rfc8785.dumps(self.body)).hexdigest()
