"""Exit codes of the command line, for scripts. Documented in docs/command-line.md."""

from collections.abc import Iterable, Mapping
from enum import IntEnum
from typing import Any

import adapters.errors
import certification.errors
import denoisers.errors
import service.errors


class ExitCode(IntEnum):
    """What a script may rely on."""

    DONE = 0
    INTERNAL = 1
    BAD_INPUT = 2
    ABSTAINED = 3
    BELOW_TARGET = 4
    PROVIDER = 5
    CONFIGURATION = 6
    CANCELLED = 130
    READER_GONE = 141  # 128 + SIGPIPE, as other tools end


TABLE: Mapping[type[Exception], ExitCode] = {
    certification.errors.CertificationError: ExitCode.INTERNAL,
    certification.errors.InvalidParameter: ExitCode.BAD_INPUT,
    certification.errors.ImageError: ExitCode.BAD_INPUT,
    certification.errors.LedgerConflict: ExitCode.BAD_INPUT,
    certification.errors.LedgerDamaged: ExitCode.CONFIGURATION,
    certification.errors.LedgerUnavailable: ExitCode.CONFIGURATION,
    certification.errors.RunInterrupted: ExitCode.CANCELLED,
    certification.errors.ModelVersionChanged: ExitCode.PROVIDER,
    certification.errors.ProviderFailed: ExitCode.PROVIDER,
    certification.errors.StopRun: ExitCode.PROVIDER,
    adapters.errors.AdapterError: ExitCode.CONFIGURATION,
    adapters.errors.UnknownAdapter: ExitCode.BAD_INPUT,
    adapters.errors.StopError: ExitCode.PROVIDER,
    denoisers.errors.DenoiserError: ExitCode.CONFIGURATION,
    denoisers.errors.UnknownDenoiser: ExitCode.BAD_INPUT,
    denoisers.errors.TrainingError: ExitCode.BAD_INPUT,
    service.errors.ServiceError: ExitCode.INTERNAL,
    service.errors.ConfigurationError: ExitCode.CONFIGURATION,
    service.errors.BadRequest: ExitCode.BAD_INPUT,
    service.errors.BadArchive: ExitCode.BAD_INPUT,
    service.errors.ArchiveTooLarge: ExitCode.BAD_INPUT,
    service.errors.UnreadablePicture: ExitCode.BAD_INPUT,
    service.errors.BudgetSpent: ExitCode.PROVIDER,
    service.errors.TooManyRequests: ExitCode.INTERNAL,
    service.errors.MissingFormat: ExitCode.CONFIGURATION,
    service.errors.UnknownLabel: ExitCode.BAD_INPUT,
    service.errors.NotFound: ExitCode.BAD_INPUT,
    service.errors.JobConflict: ExitCode.BAD_INPUT,
    service.errors.KeyNameTaken: ExitCode.BAD_INPUT,
    service.errors.Overloaded: ExitCode.INTERNAL,
    service.errors.StoredTooMuch: ExitCode.CONFIGURATION,
    service.errors.ShuttingDown: ExitCode.INTERNAL,
    service.errors.StoreError: ExitCode.CONFIGURATION,
}
"""By the nearest class above an error in its tree; what has none is a fault of ours."""

NOT_READY = ("/problems/provider-not-ready", "/problems/provider-broken")
"""Problems that pause a job though the provider was not even asked."""

_WORST_FIRST = (
    ExitCode.INTERNAL,
    ExitCode.CONFIGURATION,
    ExitCode.PROVIDER,
    ExitCode.CANCELLED,
    ExitCode.READER_GONE,
    ExitCode.BAD_INPUT,
    ExitCode.ABSTAINED,
    ExitCode.BELOW_TARGET,
)


def known(error: BaseException) -> bool:
    """Tell whether an error's message is meant for the user."""
    return any(kind in TABLE for kind in type(error).__mro__)


def of_error(error: BaseException) -> ExitCode:
    """Return the exit code of an error."""
    return next((TABLE[kind] for kind in type(error).__mro__ if kind in TABLE), ExitCode.INTERNAL)


def of_certificate(certificate: Mapping[str, Any]) -> ExitCode:
    """Return the exit code of a certificate: was it cancelled, does it hold, does it suffice?"""
    proof, target = certificate["proof"], certificate["request"]["target_radius"]
    if proof["stop_reason"] == "cancelled":
        return ExitCode.CANCELLED
    if proof["abstained"]:
        return ExitCode.ABSTAINED
    # Radii are printed rounded down, so the reason tells what comparing them could not.
    if target is not None and proof["stop_reason"] != "target_reached":
        return ExitCode.BELOW_TARGET
    return ExitCode.DONE


def of_prediction(prediction: Mapping[str, Any]) -> ExitCode:
    """Return the exit code of a prediction."""
    if prediction["stop_reason"] == "cancelled":
        return ExitCode.CANCELLED
    return ExitCode.ABSTAINED if prediction["abstained"] else ExitCode.DONE


def of_job(state: str, counts: Mapping[str, int], problem: Mapping[str, Any] | None) -> ExitCode:
    """Return the exit code of a job: has it ended, and has every picture its certificate?

    Args:
        state: of the job.
        counts: pictures by state.
        problem: why it does not go on.
    """
    if state == "cancelled":
        return ExitCode.CANCELLED
    if state == "paused" and problem is not None:
        told = str(problem.get("type"))
        refused = told.startswith("/problems/provider") and told not in NOT_READY
        return ExitCode.PROVIDER if refused else ExitCode.CONFIGURATION
    if state == "finished" and any(counts.get(s) for s in ("failed", "unpaid", "cancelled")):
        return ExitCode.ABSTAINED
    return ExitCode.DONE


def worst(codes: Iterable[ExitCode]) -> ExitCode:
    """Return the code of several pictures: the most serious one."""
    found = set(codes)
    return next((code for code in _WORST_FIRST if code in found), ExitCode.DONE)
