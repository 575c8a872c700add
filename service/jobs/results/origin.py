"""Where the certificates of a job come from: which models, denoisers, programs."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from certification.canary import is_canary

MOST = 20  # different ones that are told
WATCHED = "no version told: each picture's own clean answers were compared instead"


@dataclass
class Origin:
    """What certificates of a job say of how they were made; each different thing once.

    Attributes:
        certificates: how many were looked at.
        software: name and version of the program.
        providers: name and model version.
        denoisers: name and SHA-256 of its weights.
        computes: compute types.
        rules: decision rules.
        alphas: error levels.
    """

    certificates: int = 0
    software: dict[str, None] = field(default_factory=dict)
    providers: dict[tuple[str, str], None] = field(default_factory=dict)
    denoisers: dict[tuple[str, str], None] = field(default_factory=dict)
    computes: dict[str, None] = field(default_factory=dict)
    rules: dict[str, None] = field(default_factory=dict)
    alphas: dict[float, None] = field(default_factory=dict)

    def add(self, certificate: Mapping[str, Any]) -> None:
        """Take in one certificate, as `certification.certificate.build` writes it."""
        subject, program = certificate["proof"]["subject"], certificate["software"]
        provider, denoiser = subject["provider"], subject["denoiser"]
        told = provider.get("model_version")
        version = WATCHED if is_canary(told) else told or "version not told"
        self.certificates += 1
        _note(self.software, f"{program['name']} {program['version']}")
        _note(self.providers, (str(provider["name"]), str(version)))
        _note(self.denoisers, (str(denoiser["name"]), str(denoiser["weights_sha256"] or "")))
        _note(self.computes, str(subject["compute"]))
        _note(self.rules, str(subject["rule"]["rule"]))
        _note(self.alphas, float(certificate["proof"]["alpha"]))


def _note(seen: dict[Any, None], what: object) -> None:
    if len(seen) < MOST:
        seen.setdefault(what)
