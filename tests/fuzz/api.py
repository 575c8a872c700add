"""Schemathesis over the whole OpenAPI document: what it lists is what is asked, nothing else.

    python -m tests.fuzz.api --examples 100     # of each kind and route, of a service of its own

No answer may be a 5xx that the document does not name, nor have a status, a content type, a header
or a body that it does not describe.
"""

import argparse
import asyncio
import sys
import tempfile
import time
import warnings
import zlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from schemathesis.core.failures import FailureGroup
from schemathesis.generation import GenerationMode

from service.app import create_app
from service.core import Surety
from service.settings import Settings
from tests.fuzz.served import served
from tests.service.jobs.packing import zipped
from tests.service.pictures import animation, png, truncated

# Sound requests are refused too: the document cannot say that a zip has to hold pictures, that a
# name has to be one of GET /providers, or which numbers do not go together.
LEFT_OUT = ("positive_data_acceptance",)
LEFT_OUT_OF = {
    # Any bytes are a file, and what is no certificate or picture is what it is there to say.
    "POST /verify": ("negative_data_rejection",),
    # The document's schema is of the stream as a whole, Schemathesis holds it against each event.
    "GET /jobs/{job_id}/events": ("response_schema_conformance",),
}
LAST = ("delete", "cancel")  # what is deleted cannot be asked for any more

# What Schemathesis 4.32 says, rarely, where it holds a file that it has made against a schema that
# it has broken: the request was never sent, so others are made in place of those still to come.
UNMADE, ATTEMPTS = "Unsupported type: 'Binary'", 10

# Fields whose sound values the document cannot list.
NAMED = ("provider", "denoiser", "rule", "synonyms", "size", "milestone", "label", "labels")
NAMED += ("manifest", "rate", "target_radius", "allocation", "pictures", "pilot", "certificate")
ARCHIVE = zipped([("a.png", png()), ("cats/b.png", png(9, 9))])

FILES = st.one_of(
    st.sampled_from([png(), truncated("PNG"), animation("GIF"), ARCHIVE, b""]),
    st.binary(max_size=64),
)
schemathesis.openapi.format("binary", FILES)

PATIENCE = 300.0  # seconds; the machine may be busy with other things


@dataclass
class Found:
    """What a run came to.

    Attributes:
        statuses: how often each route gave each status.
        wrong: what must not have been answered, in words.
    """

    statuses: dict[str, Counter[int]] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)


def fuzz(
    address: str,
    ids: Mapping[str, Sequence[str]],
    examples: int,
    *,
    headers: Mapping[str, str] | None = None,
    run: int = 1,
    on_route: Callable[[str], object] = lambda _: None,
) -> Found:
    """Ask a service everything that its document lists.

    Args:
        address: where it is served.
        ids: path parameter → values of things that are there; half of the requests use one.
        examples: sound requests of each route, and as many that are not.
        headers: of every request.
        run: another seed makes other requests.
        on_route: is told each route before it is asked.
    """
    told = (
        httpx.get(f"{address}/openapi.json", headers=dict(headers or {})).raise_for_status().json()
    )
    if not headers:  # nobody needs a key where there is none, though the document tells of them
        for methods in told["paths"].values():
            for operation in methods.values():
                operation.pop("security", None)
    document = schemathesis.openapi.from_dict(told)
    document.config.update(base_url=address)
    sound = [True]
    _put_ids(document, ids, sound)
    found = Found()
    operations = [operation.ok() for operation in document.get_all_operations()]
    for operation in sorted(operations, key=_is_last):
        on_route(operation.label)
        modes = [GenerationMode.POSITIVE]
        if _can_be_wrong(operation):
            modes.append(GenerationMode.NEGATIVE)
        for mode in modes:
            sound[0] = mode is GenerationMode.POSITIVE
            _ask(operation, mode, examples, dict(headers or {}), run, found)
    return found


def _ask(
    operation: Any,
    mode: GenerationMode,
    examples: int,
    headers: dict[str, str],
    run: int,
    found: Found,
) -> None:
    statuses = found.statuses.setdefault(operation.label, Counter())
    left_out = {*LEFT_OUT, *LEFT_OUT_OF.get(operation.label, ())}
    checks = [c for c in schemathesis.checks.CHECKS.get_all() if c.__name__ not in left_out]

    def ask(case: Any) -> None:
        response = case.call(headers=headers, timeout=PATIENCE)
        statuses[response.status_code] += 1
        try:
            case.validate_response(response, checks=checks, headers=headers)
        except FailureGroup as group:
            found.wrong.extend(
                f"{operation.label}: {e.title}: {e.message}" for e in group.exceptions
            )

    wanted = statuses.total() + examples
    cases = operation.as_strategy(generation_mode=mode)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for attempt in range(ATTEMPTS):
            try:
                left = max(1, wanted - statuses.total())
                _each(cases, left, run + 1_000_000 * attempt, ask)()
            except ValueError as error:
                if UNMADE not in str(error) or attempt == ATTEMPTS - 1:
                    raise
            else:
                break


def _each(cases: Any, examples: int, run: int, ask: Any) -> Callable[[], None]:
    """Return what asks with so many cases, as Hypothesis draws them."""
    chosen = settings(
        max_examples=examples,
        deadline=None,
        database=None,
        phases=(Phase.generate,),
        suppress_health_check=[*HealthCheck],
    )
    asking: Callable[[], None] = seed(run)(chosen(given(case=cases)(ask)))
    return asking


def _can_be_wrong(operation: Any) -> bool:
    """Tell whether any request is against the document: any text will do as an id."""
    told = operation.definition.raw
    typed = any(p["schema"].get("type") != "string" for p in told.get("parameters", ()))
    return "requestBody" in told or typed


def _is_last(operation: Any) -> bool:
    return operation.method == "delete" or operation.path.endswith(LAST)


def _put_ids(document: Any, ids: Mapping[str, Sequence[str]], sound: Sequence[bool]) -> None:
    """See to it that some requests are about something that is there, and are wholly sound."""

    @document.hook("map_path_parameters")  # type: ignore[untyped-decorator]
    def real(_: object, parameters: dict[str, Any] | None) -> dict[str, Any] | None:
        return _known(parameters, ids) if sound[0] else parameters

    @document.hook("map_query")  # type: ignore[untyped-decorator]
    def real_query(_: object, parameters: dict[str, Any] | None) -> dict[str, Any] | None:
        both = {"a": ids["job_id"], "b": ids["job_id"]}
        return _known(parameters, both) if sound[0] else parameters

    # In a query and in a form an empty list is nothing, not something of a wrong type.
    @document.hook("filter_query")  # type: ignore[untyped-decorator]
    def sent_in_query(_: object, parameters: dict[str, Any] | None) -> bool:
        return [] not in (parameters or {}).values()

    @document.hook("filter_body")  # type: ignore[untyped-decorator]
    def sent_in_form(context: Any, body: Any) -> bool:
        listed = isinstance(body, dict) and [] in body.values()
        return not (listed and _properties(context.operation))

    @document.hook("map_body")  # type: ignore[untyped-decorator]
    def plain(context: Any, body: Any) -> Any:
        properties = _properties(context.operation)
        if not (sound[0] and isinstance(body, dict) and properties) or _die(body):
            return body
        kept = {name: value for name, value in body.items() if name not in NAMED}
        files = {"image": png(), "archive": ARCHIVE}
        return kept | {name: files[name] for name in files if name in properties}


def _known(
    parameters: dict[str, Any] | None, ids: Mapping[str, Sequence[str]]
) -> dict[str, Any] | None:
    for name in parameters or {}:
        if parameters and (known := ids.get(name)) and not _die(parameters[name]):
            parameters[name] = known[_die(name + str(parameters[name])) % len(known)]
    return parameters


def _properties(operation: Any) -> dict[str, Any]:
    content = operation.definition.raw.get("requestBody", {}).get("content", {})
    return dict(content.get("multipart/form-data", {}).get("schema", {}).get("properties", {}))


def _die(value: object) -> int:
    """Return 0 or 1, the same for the same value: a run can be repeated."""
    return zlib.crc32(repr(value).encode()) % 2


def furnish(address: str, headers: Mapping[str, str] | None = None) -> dict[str, list[str]]:
    """Put a certificate and two ended jobs there; return their ids by path parameter."""
    with httpx.Client(base_url=address, headers=dict(headers or {}), timeout=PATIENCE) as client:
        made = client.post(
            "/certify",
            files={"image": ("a.png", png())},
            data={"max_votes": "20", "keep_image": "true", "denoiser": "none"},
        )
        certificate = made.raise_for_status().json()["id"]
        jobs = [_job(client, name) for name in ("one", "two")]
    return {"certificate_id": [certificate], "job_id": jobs, "number": ["0", "1"]}


def _job(client: httpx.Client, name: str) -> str:
    made = client.post(
        "/jobs",
        files={"archive": ("a.zip", ARCHIVE)},
        data={"name": name, "max_votes": "10", "denoiser": "none"},
    )
    job = str(made.raise_for_status().json()["id"])
    ends = time.monotonic() + PATIENCE
    while client.get(f"/jobs/{job}").json()["state"] not in ("finished",):
        if time.monotonic() > ends:
            raise TimeoutError(f"job {job} does not end")
        time.sleep(0.05)
    return job


async def admin_key(place: Settings) -> str:
    """Make a key that may do everything; from then on every request needs one."""
    async with Surety.opened(place) as surety:
        _, text = await surety.state.api_keys.create("fuzz", frozenset({"admin"}))
        return str(text)


def _say(route: str) -> None:
    print(route, file=sys.stderr, flush=True)


def main(arguments: list[str] | None = None) -> int:
    """Run the command; return its status."""
    parser = argparse.ArgumentParser(prog="tests.fuzz.api", description=__doc__)
    parser.add_argument("--examples", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keyed", action="store_true", help="with API keys")
    chosen = parser.parse_args(arguments)
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        place = Settings(
            data_dir=Path(folder), log_level="error", max_votes=60, denoiser="none", max_runs=4
        )
        shown = {}
        if chosen.keyed:
            shown = {"Authorization": f"Bearer {asyncio.run(admin_key(place))}"}
        with served(create_app(place)) as address:
            ids = furnish(address, shown)
            found = fuzz(
                address, ids, chosen.examples, headers=shown, run=chosen.seed, on_route=_say
            )
    for route, statuses in found.statuses.items():
        print(f"{route:45}", ", ".join(f"{s}: {n}" for s, n in sorted(statuses.items())))
    for said, times in Counter(found.wrong).most_common():
        print(f"\nWRONG, {times} times: {said}")
    print(f"{time.monotonic() - started:.0f} s")
    return 1 if found.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
