"""JSON schemas of what a run answers with: certificate, prediction, and all their parts."""

from certification.certificate import SCHEMA
from service.openapi_fields import (
    Schema,
    amount,
    count,
    list_of,
    map_of,
    maybe,
    of,
    one_of,
    record,
    ref,
    sha256,
)

_ENDINGS = (
    "Why the run ended: target_reached, hopeless, good_enough, votes_spent, max_cost, cancelled "
    "or deadline; complete for a prediction that counted all its votes."
)
VOTES_BY_LABEL = map_of("Votes by label, the most frequent first.", {"type": "integer"})
ABSTENTIONS = count("Votes for no label.")
_ALPHA = of("number", "Probability that the answer is false.", exclusiveMinimum=0, maximum=0.5)
_SIGMA = of("number", "Standard deviation of the noise, on [0, 1].", exclusiveMinimum=0, maximum=2)

_CONFIDENCE = record(
    "How the radius was tested, enough to check it again.",
    {
        "method": of("string", "The test, in words."),
        "named_label": maybe("string", "The answer to the clean picture, null if there was none."),
        "levels": record(
            "How alpha is shared out.",
            {
                "named": maybe("number", "Level of the named label, null if none was named."),
                "other": of("number", "Level of all other labels together."),
            },
        ),
        "grid": record(
            "The radii that are tested, in units of sigma.",
            {
                "step": of("string", "From one to the next, as a fraction."),
                "last": count("Index of the last one."),
            },
        ),
        "margin": amount("Added to every null, for the noise table's distance from the exact law."),
        "milestone": maybe("integer", "The one n at which Clopper-Pearson looks, if any."),
        "pointer": maybe("integer", "Grid index of the certified radius, null on an abstention."),
        "look": {
            "description": "The look that set the pointer, null on an abstention.",
            "anyOf": [
                record(
                    "Votes at one moment.",
                    {
                        "n": count("Votes counted."),
                        "s": count("The certified label's among them."),
                        "by": one_of("The test that decided.", "mixture", "milestone"),
                    },
                ),
                {"type": "null"},
            ],
        },
    },
)

_POSTPROCESS = record(
    "What a cleaned sample goes through before it is sent.",
    {
        "encoding": one_of("How it is sent.", "pixels", "png", "jpeg"),
        "quality": of("integer", "Quality of the JPEG."),
        "resize": record(
            "The size that it is brought to.",
            {
                "height": count("Pixels."),
                "width": count("Pixels."),
                "filter": of("string", "How it is resampled."),
            },
        ),
    },
    optional=("quality", "resize"),
)

_RULE = record(
    "From an answer to a vote.",
    {
        "rule": one_of("Which rule.", "top1", "any_of", "in_top_k"),
        "labels": list_of("The labels that it looks for.", {"type": "string"}),
        "threshold": of("number", "any_of: the score that one of them must reach."),
        "k": of("integer", "in_top_k: how many of the best are looked at."),
    },
    optional=("labels", "threshold", "k"),
)

_SUBJECT = record(
    "Everything that defines the smoothed classifier and its input.",
    {
        "image": record(
            "The canonical image.",
            {
                "sha256": sha256("SHA-256 of its shape and pixels."),
                "width": count("Pixels."),
                "height": count("Pixels."),
            },
        ),
        "sigma": _SIGMA,
        "denoiser": record(
            "What cleans the samples.",
            {
                "name": of("string", "As in GET /denoisers."),
                "weights_sha256": maybe("string", "SHA-256 of its weights, null if it has none."),
            },
        ),
        "compute": of("string", "The denoiser's device class and precision."),
        "postprocess": _POSTPROCESS,
        "provider": record(
            "Who is asked.",
            {
                "name": of("string", "As in GET /providers."),
                "options": map_of("Settings that shape its answers, by the adapter's names.", True),
                "model_version": maybe(
                    "string",
                    "The version that answered; where it tells none, what a canary was answered.",
                ),
                "adapter": of("string", "What asks it, where the name is an operator's own."),
            },
            optional=("adapter",),
        ),
        "rule": _RULE,
        "label_map": map_of(
            "Synonyms: the label that each of these counts as.", {"type": "string"}
        ),
        "rerolls": record(
            "How an operator had the noise drawn anew; missing where nobody did.",
            {
                "count": of("integer", "Times.", minimum=1),
                "alpha_spent": amount("Sum of the alphas of the ledgers before."),
            },
        ),
    },
    optional=("rerolls",),
)

_PROOF = record(
    "All that the guarantee rests on; it depends on the votes alone.",
    {
        "guarantee": of("string", "False with probability at most alpha.", const="probabilistic"),
        "abstained": of("boolean", "Whether no label could be certified."),
        "label": maybe("string", "The certified label, null on an abstention."),
        "norm": of("string", "The norm of `radius`.", const="l2"),
        "radius": maybe("number", "L2 radius on the [0, 1] scale, rounded down."),
        "radius_linf": maybe("number", "Every pixel value may move by that much at once."),
        "radius_l1": maybe("number", "L1 radius on the [0, 1] scale, rounded down."),
        "sigma": _SIGMA,
        "alpha": _ALPHA,
        "confidence": _CONFIDENCE,
        "votes": record(
            "The votes that were counted.",
            {
                "n": count("How many."),
                "counts": VOTES_BY_LABEL,
                "abstentions": ABSTENTIONS,
                "sha256": sha256("SHA-256 of their sequence as canonical JSON (RFC 8785)."),
            },
        ),
        "subject": ref("Subject"),
        "subject_sha256": sha256("SHA-256 of the subject as canonical JSON (RFC 8785)."),
        "noise": record(
            "Where the noise comes from.",
            {
                "law": of("string", "Its distribution."),
                "generator": of("string", "The random generator."),
                "key_sha256": sha256("SHA-256 of the key."),
            },
        ),
        "stop_reason": of("string", _ENDINGS),
    },
)

_IMAGE = record(
    "The canonical image, which the answer is about, and how it came about.",
    {
        "sha256": sha256("SHA-256 of its shape and pixels."),
        "width": count("Pixels."),
        "height": count("Pixels."),
        "source": record(
            "The upload.",
            {
                "name": maybe("string", "What the client calls it, null if it does not say."),
                "sha256": sha256("SHA-256 of the file."),
                "format": of("string", "Its format, as found in the file."),
                "width": count("Pixels."),
                "height": count("Pixels."),
                "mode": of("string", "How its pixels are kept, as Pillow calls it."),
            },
        ),
        "steps": list_of("What was done to it, in order.", {"type": "string"}),
    },
)

_ACCOUNTING = record(
    "What this run took; not part of the proof.",
    {
        "calls": count("Calls to the provider."),
        "images": count("Pictures sent."),
        "retries": count("Pictures sent again after a failure."),
        "cost": amount("What the calls cost."),
        "currency": of("string", "Of `cost`."),
        "votes_reused": count("Votes that were there from earlier runs."),
        "seconds": amount("How long it took."),
        "cost_before_interruption_at_most": amount(
            "What the run may have cost before it was interrupted and taken up again."
        ),
    },
    optional=("cost_before_interruption_at_most",),
)

_CERTIFICATE = record(
    "A certificate: the label, and the radius within which it cannot change.",
    {
        "schema": of("string", "Name and version of this form.", const=SCHEMA),
        "id": of(
            "string",
            "First 32 digits of the SHA-256 of what it says.",
            pattern="^[0-9a-f]{32}$",
        ),
        "created": of("string", "Time of issue.", format="date-time"),
        "software": ref("Software"),
        "statement": of("string", "What it means, in one sentence."),
        "proof": ref("Proof"),
        "image": ref("Image"),
        "label_names": map_of("Label → the provider's spelling.", {"type": "string"}),
        "truth": {
            "description": "The label that the client holds to be true, null if it gave none.",
            "anyOf": [
                record(
                    "A comparison, no more.",
                    {
                        "label": of("string", "As the client wrote it."),
                        "correct": maybe("boolean", "Whether it is the certified one."),
                    },
                ),
                {"type": "null"},
            ],
        },
        "request": record(
            "What the client asked for that is not part of the subject.",
            {
                "target_radius": maybe("number", "Stop once the radius reaches it."),
                "max_votes": of("integer", "Votes that may be counted.", minimum=1),
                "max_cost": maybe("number", "US dollars that the calls may cost."),
                "max_seconds": maybe("number", "Stop after this time."),
                "good_enough": maybe("number", "Stop at this part of what max_votes would give."),
            },
        ),
        "accounting": ref("Accounting"),
        "signature": record(
            "By the deployment, over the canonical form (RFC 8785) without this member.",
            {
                "algorithm": of("string", "What it was signed with.", const="Ed25519"),
                "key_id": of("string", "Names the public key.", pattern="^[0-9a-f]{16}$"),
                "value": of("string", "64 bytes in base64.", contentEncoding="base64"),
            },
        ),
    },
)

_PREDICTION = record(
    "A prediction: the smoothed classifier's label, without a radius.",
    {
        "schema": of("string", "Name and version of this form.", const="surety.prediction/1"),
        "software": ref("Software"),
        "label": maybe("string", "The label, null on an abstention."),
        "label_name": maybe("string", "The provider's spelling of it."),
        "abstained": of(
            "boolean",
            "Whether it cannot tell; if n is below n_fixed, stop_reason says why.",
        ),
        "alpha": _ALPHA,
        "sigma": _SIGMA,
        "p_value": of(
            "number",
            "Of the two-sided binomial test; it proves nothing where n is below n_fixed.",
            minimum=0,
            maximum=1,
        ),
        "n": count("Votes counted."),
        "n_fixed": of("integer", "Votes to count, fixed with the first one.", minimum=1),
        "counts": VOTES_BY_LABEL,
        "abstentions": ABSTENTIONS,
        "stop_reason": of("string", _ENDINGS),
        "image": ref("Image"),
        "subject": ref("Subject"),
        "accounting": ref("Accounting"),
    },
)

SCHEMAS: dict[str, Schema] = {
    "Certificate": _CERTIFICATE,
    "Proof": _PROOF,
    "Subject": _SUBJECT,
    "Image": _IMAGE,
    "Accounting": _ACCOUNTING,
    "Prediction": _PREDICTION,
}
