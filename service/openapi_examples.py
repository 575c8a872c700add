"""One example for every route's answer and form, shown in OpenAPI.

The answers are real ones, recorded from the built-in provider about the sample picture; to
record them anew, after a change of the weights say:

    python -m tests.service.test_openapi_recorded
"""

import json
from importlib.resources import files
from typing import Any

from service import problem_kinds as kinds

CERTIFY_FORM: dict[str, Any] = {
    "image": "(bytes of cat.png)",
    "provider": "local",
    "sigma": 0.25,
    "target_radius": 0.1,
    "max_votes": 1000,
}
VERIFY_FORM: dict[str, Any] = {
    "certificate": "(bytes of certificate.json)",
    "votes": "(bytes of votes.json)",
    "image": "(bytes of cat.png)",
}
PREDICT_FORM: dict[str, Any] = {"image": "(bytes of cat.png)", "provider": "local", "n": 100}

JOB_FORM: dict[str, Any] = {
    "archive": "(bytes of pictures.zip)",
    "labels": "folders",
    "name": "sample",
    "provider": "local",
    "sigma": 0.25,
    "target_radius": 0.1,
    "max_cost": 40,
    "rate": "20/s",
}
ESTIMATE_FORM: dict[str, Any] = {
    "pictures": 5000,
    "provider": "local",
    "sigma": 0.25,
    "target_radius": 0.1,
    "max_votes": 100,
}
EXTEND_BODY: dict[str, Any] = {"target_radius": 0.2, "max_cost": 60}

CREATE_KEY_BODY: dict[str, Any] = {
    "name": "night jobs",
    "scopes": ["certify", "jobs"],
    "expires": "2027-06-30T00:00:00Z",
    "rate": 5,
    "budget": 40,
    "budget_period": "month",
}
CHANGE_KEY_BODY: dict[str, Any] = {"rate": 10, "budget": None}
ROTATE_KEY_BODY: dict[str, Any] = {"overlap_seconds": 86400}
API_KEY_ID = "9f86d081884c7d65"
_API_KEY: dict[str, Any] = {
    "id": API_KEY_ID,
    **CREATE_KEY_BODY,
    "state": "active",
    "created": "2027-01-01T12:00:00.000+00:00",
    "expires": "2027-06-30T00:00:00.000+00:00",
    "revoked": None,
    "overlap": None,
}

RECORDED: dict[str, Any] = json.loads(
    files("service").joinpath("openapi_recorded.json").read_text("utf-8")
)
STREAMS: dict[str, list[tuple[str, dict[str, Any]]]] = {
    kind: [(name, data) for name, data in RECORDED["events"][kind]]
    for kind in ("certificate", "prediction")
}
CERTIFICATE: dict[str, Any] = STREAMS["certificate"][-1][1]
PREDICTION: dict[str, Any] = STREAMS["prediction"][-1][1]
PROGRESS: dict[str, Any] = [d for name, d in STREAMS["certificate"] if name == "progress"][-1]
JOB_ID: str = RECORDED["answers"]["Job"]["id"]
OTHER_JOB_ID: str = RECORDED["answers"]["Jobs"]["jobs"][0]["id"]
JOB_EVENT: dict[str, Any] = RECORDED["events"]["job"]
RUN_ID: str = RECORDED["answers"]["Cancelled"]["id"]
PROBLEM_KIND = {
    "type": kinds.NOT_AN_IMAGE.type,
    "title": kinds.NOT_AN_IMAGE.title,
    "status": kinds.NOT_AN_IMAGE.status,
    "explanation": kinds.NOT_AN_IMAGE.explanation,
}

# By the name of the schema that they have.
EXAMPLES: dict[str, Any] = {
    "Certificate": CERTIFICATE,
    "Prediction": PREDICTION,
    **RECORDED["answers"],
    "ApiKey": _API_KEY,
    "ApiKeys": {"api_keys": [_API_KEY]},
    "NewApiKey": {**_API_KEY, "key": f"surety_{API_KEY_ID}_{'0123456789abcdef' * 4}"},
    "ProblemKind": PROBLEM_KIND,
    "ProblemKinds": {"problems": [PROBLEM_KIND]},
}
