"""Certify one picture: the label and the L2 radius within which it cannot change."""

import time
from typing import Any

from certification import certificate, noise
from certification.bill import Allowance
from certification.canonical import CanonicalImage
from certification.collecting import OnProgress
from certification.confidence import ConfidenceProcess
from certification.engine import Engine
from certification.errors import LedgerConflict
from certification.interrupt import Interrupt
from certification.machine import Machine
from certification.options import Options
from certification.protocols import Classifier, Denoiser, Header
from certification.stopping import GoodEnough, Hopeless, StopRule, TargetReached, VotesSpent
from certification.tally import CertifyTally


async def certify(
    machine: Machine,
    image: CanonicalImage,
    options: Options,
    *,
    denoiser: Denoiser,
    classifier: Classifier,
    interrupt: Interrupt | None = None,
    on_progress: OnProgress | None = None,
    allowance: Allowance | None = None,
) -> dict[str, Any]:
    """Ask about noisy copies until a stop rule holds (Cohen et al. 2019; Salman et al. 2020).

    Args:
        machine: ledgers and deployment secret.
        image: the canonical image.
        options: sigma, alpha, target, budgets.
        denoiser: cleans the samples.
        classifier: is asked.
        interrupt: `interrupt.cancel()` ends the run; it then returns what is certain by then.
        on_progress: called with every event, on the event loop.
        allowance: carries what the run spends over a restart.

    Returns:
        The certificate (see :mod:`certification.certificate`).

    Raises:
        InvalidParameter: if the provider does not take such samples, or `max_cost` does not
            even pay for the first call.
        LedgerConflict: if the subject's votes were begun with another milestone.
        ModelVersionChanged: if the provider changed its model during the run.
        ProviderFailed: if the provider cannot be asked to the end; the votes are kept.
        RunInterrupted: if the run was interrupted before the first answer.
    """
    started = time.monotonic()
    interrupt = interrupt or Interrupt()
    engine = Engine(
        machine,
        image,
        options,
        denoiser=denoiser,
        classifier=classifier,
        interrupt=interrupt,
        on_progress=on_progress,
        allowance=allowance,
    )
    margin = noise.null_margin(options.sigma, image.dimension)
    process: ConfidenceProcess | None = None

    def tally_of(header: Header) -> CertifyTally:
        nonlocal process
        if options.milestone not in (None, header.milestone):
            raise LedgerConflict(
                f"this subject's votes were begun with milestone {header.milestone}; a look "
                "chosen afterwards would void the error bound. Leave milestone out"
            )
        process = ConfidenceProcess(
            options.alpha, header.clean.vote, header.milestone, margin=margin
        )
        return CertifyTally(process, stop_rules(options))

    collected = await engine.run(tally_of)
    assert process is not None  # noqa: S101  the engine has made a tally
    return certificate.build(
        image=image,
        options=options,
        header=collected.header,
        process=process,
        votes=collected.votes,
        names=collected.names,
        stop_reason=collected.reason,
        margin=margin,
        accounting={
            **engine.accounting,
            "votes_reused": collected.reused,
            "seconds": round(time.monotonic() - started, 3),
        },
    )


def stop_rules(options: Options) -> list[StopRule]:
    """Return the rules that depend on votes alone; "good enough" only where there is no target."""
    rules: list[StopRule] = [VotesSpent(options.max_votes)]
    if options.target_radius is not None:
        rules.append(TargetReached(options.target_radius, options.sigma))
    elif options.good_enough is not None:
        rules.append(GoodEnough(options.max_votes, options.good_enough))
    return [*rules, Hopeless(options.target_radius, options.sigma)]
