"""Predict: the majority answer at one n fixed beforehand, or an abstention.

Cohen, Rosenfeld, Kolter (ICML 2019), section 3.2.1: the label is the smoothed classifier's own
with probability at least 1 − α, by a two-sided binomial test of the two most frequent labels.
Looked at after every vote its error would be 17 α, so n stands in the ledger's header.
"""

import time
from typing import Any

from certification.bill import Allowance
from certification.canonical import CanonicalImage
from certification.certificate import software
from certification.clopper_pearson import binomial_p_value
from certification.clopper_pearson import predict as majority
from certification.collecting import OnProgress
from certification.engine import Engine
from certification.errors import LedgerConflict
from certification.interrupt import Interrupt
from certification.machine import Machine
from certification.options import Options
from certification.protocols import Classifier, Denoiser, Header
from certification.tally import FixedTally


async def predict(
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
    """Count votes to the n that the subject's ledger fixed, then test the majority.

    Args:
        machine: ledgers and deployment secret.
        image: the canonical image.
        options: sigma, alpha, `predict_n` (None takes the ledger's), `max_cost`, `max_seconds`.
        denoiser: cleans the samples.
        classifier: is asked.
        interrupt: ends the run early; the answer is then an abstention.
        on_progress: called with every event, on the event loop.
        allowance: carries what the run spends over a restart.

    Returns:
        JSON values: `label` (null if `abstained`), `n`, `counts`, `p_value`, subject, cost.

    Raises:
        LedgerConflict: if the subject's votes were begun with another n.
        CertificationError: as for :func:`certification.certify.certify`.
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
    tally = FixedTally(0)

    def tally_of(header: Header) -> FixedTally:
        nonlocal tally
        if options.predict_n not in (None, header.predict_n):
            raise LedgerConflict(
                f"this subject's votes were begun with n = {header.predict_n} for predict; another "
                "n chosen afterwards would void the error bound. Leave n out to take that one"
            )
        tally = FixedTally(header.predict_n)
        return tally

    collected = await engine.run(tally_of)
    fixed, names = collected.header.predict_n, collected.names
    counts = dict(sorted(tally.counts.items(), key=lambda item: (-item[1], item[0])))
    first, second = (*sorted((*counts.values(), tally.abstentions), reverse=True), 0, 0)[:2]
    label = None
    if tally.n == fixed:  # an interrupted count was not the one fixed beforehand
        label = majority(counts, options.alpha, tally.abstentions)
    return {
        "schema": "surety.prediction/1",
        "software": software(),
        "label": label,
        "label_name": None if label is None else names.get(label, label),
        "abstained": label is None,
        "alpha": options.alpha,
        "sigma": options.sigma,
        "p_value": binomial_p_value(first, second),
        "n": tally.n,
        "n_fixed": fixed,
        "counts": counts,
        "abstentions": tally.abstentions,
        "stop_reason": collected.reason,
        "image": image.describe(),
        "subject": dict(collected.header.subject),
        "accounting": {
            **engine.accounting,
            "votes_reused": collected.reused,
            "seconds": round(time.monotonic() - started, 3),
        },
    }
