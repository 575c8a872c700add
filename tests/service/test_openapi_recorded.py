"""The recorded examples of the OpenAPI document are what the built-in provider really answers.

    python -m tests.service.test_openapi_recorded

records them anew: after a change of the weights, or of what an answer holds.
"""

import asyncio
import hashlib
import json
import os
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest
import rfc8785
from fastapi import FastAPI

from certification.certificate import certificate_id
from certification.confidence import recheck
from service import openapi_examples as examples
from service.app import create_app
from service.openapi_answers import run_responses
from service.settings import Settings
from tests.service.conftest import SECRET, connect
from tests.service.reading import EVENTS, parse

CAT = (files("service") / "samples" / "cat.png").read_bytes()
FREE = ("counts", "label_names", "label_map")  # their names are labels
AGAIN = "record the examples anew: python -m tests.service.test_openapi_recorded"


async def record(folder: Path) -> dict[str, Any]:
    """Ask a fresh deployment for one of everything."""
    forms = {"certificate": examples.CERTIFY_FORM, "prediction": examples.PREDICT_FORM}
    routes = {"certificate": "/certify", "prediction": "/predict"}
    events = {}
    for kind, form in forms.items():
        async with fresh(folder / kind) as client:
            streamed = await client.post(routes[kind], headers=EVENTS, **upload(form))
            events[kind] = parse(streamed.text)
    async with fresh(folder / "answers") as client:
        issued = await client.post("/certify", **upload(examples.CERTIFY_FORM))
        name = issued.json()["id"]
        short = await client.post(
            "/certify", **upload({"image": CAT, "max_votes": 3, "sigma": 0.5})
        )
        few = short.json()["id"]
        answers = {
            name: (await client.get(path)).json()
            for name, path in (
                ("Live", "/health/live"),
                ("Ready", "/health/ready"),
                ("Version", "/version"),
                ("Providers", "/providers"),
                ("Denoisers", "/denoisers"),
                ("Certificates", f"/certificates?until={quote(issued.json()['created'])}"),
                ("Votes", f"/certificates/{few}/votes"),
                ("Keys", "/keys"),
                ("RunState", f"/runs/{issued.headers['Surety-Run']}"),
            )
        }
        while True:  # what a run ends with is noted soon after its answer
            answers["Usage"] = (await client.get("/usage")).json()
            if answers["Usage"]["total"]["certificates"] == 2:
                break
            await asyncio.sleep(0.02)
        answers["Certificates"]["certificates"] = [
            line for line in answers["Certificates"]["certificates"] if line["id"] == name
        ]
        checked = await client.post("/verify", files={"certificate": issued.content, "image": CAT})
        answers["Verification"] = checked.json()
        # Other providers come and go; each has its own page.
        found = answers["Providers"]["providers"]
        answers["Providers"]["providers"] = [p for p in found if p["name"] == "local"]
        long = upload({"image": CAT, "good_enough": "none", "max_votes": 100_000})
        asking = asyncio.ensure_future(client.post("/certify", **long))
        while True:
            answers["Runs"] = (await client.get("/runs")).json()
            runs = answers["Runs"]["runs"]
            if runs and (runs[0]["progress"] or {}).get("n"):
                break
            assert not asking.done()
            await asyncio.sleep(0.02)
        answers["Cancelled"] = (await client.delete(f"/runs/{runs[0]['id']}")).json()
        await asking
    async with fresh(folder / "jobs") as client:
        told, events["job"] = await record_jobs(client)
    return {"events": events, "answers": answers | told}


async def record_jobs(client: httpx.AsyncClient) -> tuple[dict[str, Any], dict[str, Any]]:
    """Ask for one of everything about jobs; return the answers, and an event of one that ended."""
    files = {"image": ("cat.png", CAT)}
    told = {"Uploaded": (await client.post("/pictures", files=files)).json()}
    sha256 = told["Uploaded"]["pictures"][0]["sha256"]
    lines = [{"image": f"sha256:{sha256}", "name": "cats/cat.png", "label": "cat"}]
    manifest = {"manifest": json.dumps(lines[0]).encode()}
    form = {"name": "sample", "target_radius": "0.1", "max_cost": "40", "rate": "500/s"}
    events = []
    for _ in range(2):
        job = await client.post("/jobs", data=form, files=manifest)
        followed = await client.get(f"{job.headers['location']}/events")
        events.append(parse(followed.text)[-1][1])
    told["Workers"] = (await client.get("/workers")).json()
    first, second = (f"/jobs/{event['id']}" for event in events)
    told["Job"] = (await client.get(first)).json()
    told["Jobs"] = (await client.get("/jobs?limit=1")).json()
    told["Rows"] = (await client.get(f"{first}/pictures")).json()
    told["Row"] = (await client.get(f"{first}/pictures/0")).json()
    pair = {"a": first.removeprefix("/jobs/"), "b": second.removeprefix("/jobs/")}
    told["Comparison"] = (await client.get("/jobs/compare", params=pair)).json()
    told["Estimate"] = (await client.post("/estimate", **upload(examples.ESTIMATE_FORM))).json()
    for worker in told["Workers"]["workers"]:
        worker["host"] = "worker-1:4711"
    return told, events[0]


@asynccontextmanager
async def fresh(folder: Path) -> AsyncIterator[httpx.AsyncClient]:
    prefix = f"{os.environ.get('SURETY_REDIS_PREFIX', '')}{folder.name}:"
    settings = Settings(_env_file=None, data_dir=folder, secret=SECRET, redis_prefix=prefix)
    app: FastAPI = create_app(settings)
    async with app.router.lifespan_context(app), connect(app) as client:
        yield client


def upload(form: dict[str, Any]) -> dict[str, Any]:
    fields = {name: str(value) for name, value in form.items() if name != "image"}
    picture = {"image": ("cat.png", CAT)} if "image" in form else {}
    return {"files": picture or {"rate": (None, "20/s")}, "data": fields}


def keys(node: Any) -> Any:
    """The names of all members at any depth, but not those that are labels."""
    if isinstance(node, dict):
        return {name: None if name in FREE else keys(value) for name, value in node.items()}
    if isinstance(node, list):
        return [keys(node[0])] if node else []
    return None


def without_compute(node: Any) -> Any:
    """All but the compute types, which are the machine's."""
    if isinstance(node, dict):
        return {k: without_compute(v) for k, v in node.items() if k != "compute"}
    return [without_compute(v) for v in node] if isinstance(node, list) else node


async def test_they_have_exactly_the_members_of_fresh_ones(tmp_path: Path) -> None:
    now = await record(tmp_path)
    assert keys(now["answers"]) == keys(examples.RECORDED["answers"]), AGAIN
    for kind in ("certificate", "prediction"):
        was, is_ = examples.STREAMS[kind], now["events"][kind]
        assert {name: keys(data) for name, data in is_} == {n: keys(d) for n, d in was}, AGAIN
        assert is_[0][0] == was[0][0] == "run"
        assert is_[-1][0] == was[-1][0] == kind
    # What does not depend on the machine and the moment is the same.
    certificate, prediction = (now["events"][k][-1][1] for k in ("certificate", "prediction"))
    for now_, was_ in (
        (certificate["proof"]["subject"], examples.CERTIFICATE["proof"]["subject"]),
        (prediction["subject"], examples.PREDICTION["subject"]),
    ):
        assert now_ == {**was_, "compute": now_["compute"]}, AGAIN  # bfloat16 is not everywhere
    for document, example in (
        (certificate, examples.CERTIFICATE),
        (prediction, examples.PREDICTION),
    ):
        assert document["image"] == example["image"], AGAIN
    for name, part in (("Providers", "providers"), ("Denoisers", "denoisers")):
        was = examples.RECORDED["answers"][name]
        known = {entry["name"] for entry in was[part]}  # others may be installed beside ours
        now["answers"][name][part] = [e for e in now["answers"][name][part] if e["name"] in known]
    for name in ("Providers", "Denoisers", "Live", "Ready"):
        fresh_, recorded = now["answers"][name], examples.RECORDED["answers"][name]
        assert without_compute(fresh_) == without_compute(recorded), AGAIN


def test_the_certificate_is_possible() -> None:
    certificate = examples.CERTIFICATE
    assert certificate_id(certificate) == certificate["id"]
    proof = certificate["proof"]
    how = proof["confidence"]
    arguments = {
        "n": how["look"]["n"],
        "s": how["look"]["s"],
        "alpha": proof["alpha"],
        "named": proof["label"] == how["named_label"],
        "prior_named": how["named_label"] is not None,
        "margin": how["margin"],
        "milestone": how["milestone"],
    }
    assert recheck(how["pointer"], **arguments)
    assert not recheck(how["pointer"] + 20, **arguments)
    assert proof["radius"] == pytest.approx(proof["sigma"] * how["pointer"] / 200)
    dimension = 3 * certificate["image"]["width"] * certificate["image"]["height"]
    assert proof["radius_linf"] == pytest.approx(proof["radius"] / dimension**0.5, abs=1e-6)
    assert hashlib.sha256(rfc8785.dumps(proof["subject"])).hexdigest() == proof["subject_sha256"]
    source = certificate["image"]["source"]
    assert (source["name"], source["sha256"]) == ("cat.png", hashlib.sha256(CAT).hexdigest())


def test_the_examples_belong_together() -> None:
    asked, certificate = examples.CERTIFY_FORM, examples.CERTIFICATE
    assert certificate["proof"]["sigma"] == asked["sigma"]
    for name in ("target_radius", "max_votes"):
        assert certificate["request"][name] == asked[name]
    assert certificate["proof"]["subject"]["provider"]["name"] == asked["provider"]
    assert examples.PREDICTION["n_fixed"] == examples.PREDICT_FORM["n"]
    run = examples.RECORDED["answers"]["Runs"]["runs"][0]
    assert run["id"] == examples.RECORDED["answers"]["Cancelled"]["id"] == examples.RUN_ID


@pytest.mark.parametrize("kind", ["certificate", "prediction"])
def test_the_stream_is_written_as_it_is_sent(kind: Any) -> None:
    answer = run_responses(kind)[200]
    assert parse(answer["content"]["text/event-stream"]["example"]) == examples.STREAMS[kind]
    assert answer["headers"]["Surety-Run"]["example"] == examples.STREAMS[kind][0][1]["id"]


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        recorded = asyncio.run(record(Path(folder)))
    text = json.dumps(recorded, ensure_ascii=False, indent=1) + "\n"
    with Path("service/openapi_recorded.json").open("w", encoding="utf-8") as file:
        file.write(text)


if __name__ == "__main__":
    main()
