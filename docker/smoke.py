"""Certifies pictures of its own through a deployment that runs: see smoke.sh.

    python3 smoke.py http://127.0.0.1:8000 local aws

Standard library alone, so that it runs wherever Docker does.
"""

import http.client
import io
import json
import random
import struct
import sys
import time
import urllib.error
import urllib.request
import uuid
import zipfile
import zlib
from collections.abc import Mapping
from typing import Any, NamedTuple

SIDE = 96  # pixels
LABEL = "ship"
VOTES = 100
PICTURES = 4  # of the job
MOST_COST = 0.5  # US dollars, should a provider be a real one
PATIENCE = 120.0  # seconds, for the service to be ready and for each answer

# Proxies of the environment have no business on the loopback.
OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class Reply(NamedTuple):
    """What the service answered."""

    body: bytes
    headers: Mapping[str, str]

    def json(self) -> Any:  # noqa: ANN401
        """Return the document."""
        return json.loads(self.body)


class Deployment:
    """A service under a base URL."""

    def __init__(self, base: str) -> None:
        self._base = base.rstrip("/")

    def get(self, path: str) -> Reply:
        """Ask for a path."""
        return self._send(urllib.request.Request(self._base + path))  # noqa: S310  as given

    def post(self, path: str, fields: Mapping[str, str], files: Mapping[str, bytes]) -> Reply:
        """Send a form."""
        boundary = uuid.uuid4().hex
        parts = [
            f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n'.encode()
            + value.encode()
            for name, value in fields.items()
        ] + [
            f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"; filename="{name}"\r\n'
            "Content-Type: application/octet-stream\r\n\r\n".encode()
            + content
            for name, content in files.items()
        ]
        body = b"\r\n".join([*parts, f"--{boundary}--\r\n".encode()])
        kind = {"Content-Type": f"multipart/form-data; boundary={boundary}"}
        return self._send(urllib.request.Request(self._base + path, body, kind))  # noqa: S310

    def wait(self) -> None:
        """Wait until it is ready.

        Raises:
            SystemExit: if it does not become so.
        """
        end = time.monotonic() + PATIENCE
        while True:
            try:
                return self.get("/health/ready") and None
            except (OSError, http.client.HTTPException, Failed) as error:
                if time.monotonic() > end:
                    sys.exit(f"not ready after {PATIENCE:g} s: {error}")
                time.sleep(1)

    def _send(self, request: urllib.request.Request) -> Reply:
        try:
            with OPENER.open(request, timeout=PATIENCE) as answer:
                return Reply(answer.read(), dict(answer.headers))
        except urllib.error.HTTPError as error:
            told = error.read().decode(errors="replace")[:1000]
            raise Failed(
                f"{request.get_method()} {request.selector}: {error.code} {told}"
            ) from None


class Failed(Exception):
    """The service answered with an error."""


def draw(seed: int) -> bytes:
    """Return a PNG of a ship at sea, a little different for each seed: its ledger is new."""
    grain = random.Random(seed)  # noqa: S311  no secret
    rows = []
    for y in range(SIDE):
        row = bytearray([0])  # filter: none
        for x in range(SIDE):
            row += bytes(c + grain.randint(-6, 6) for c in _colour(x / SIDE, y / SIDE))
        rows.append(bytes(row))
    header = struct.pack(">IIBBBBB", SIDE, SIDE, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(b"".join(rows))), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    )


def _colour(u: float, v: float) -> tuple[int, int, int]:
    bow, stern = 0.15 + (v - 0.5) * 0.6, 0.9 - (v - 0.5) * 0.6
    if 0.5 < v < 0.68 and bow < u < stern:
        return (120, 30, 30) if v > 0.6 else (235, 235, 235)
    if 0.34 < v < 0.5 and 0.4 < u < 0.7:
        return (240, 240, 240)
    if 0.22 < v < 0.34 and 0.5 < u < 0.58:
        return (200, 60, 40)
    return (150, 190, 230) if v < 0.62 else (30, 70, 110)


def expect(holds: bool, what: str, found: object) -> None:
    """Say what should be and what is.

    Raises:
        SystemExit: if it does not hold.
    """
    if not holds:
        sys.exit(f"FAILED: {what}; found {found!r}")


def certify(deployment: Deployment, provider: str, picture: bytes) -> None:
    """Certify, look the certificate up, have it checked, and ask again."""
    form = {
        "provider": provider,
        "sigma": "0.25",
        "max_votes": str(VOTES),
        "max_cost": str(MOST_COST),
    }
    first = deployment.post("/certify", form, {"image": picture})
    found = first.json()
    proof = found["proof"]
    expect(proof["subject"]["provider"]["name"] == provider, "the provider asked for", found)
    expect(not proof["abstained"], "a label that is certain", proof)
    label = found["label_names"][proof["label"]].casefold()
    expect(label == LABEL, f"certified as {LABEL}", found["label_names"])
    expect(proof["radius"] > 0, "a radius", proof)
    expect(found["accounting"]["calls"] > 0, "a provider that was asked", found["accounting"])

    kept = deployment.get(f"/certificates/{found['id']}")
    expect(kept.json() == found, "the certificate is kept", kept.body)
    report = deployment.post("/verify", {}, {"certificate": first.body, "image": picture}).json()
    expect(report["verified"], "a certificate that holds", report)
    again = deployment.post("/certify", form, {"image": picture})
    spent = json.loads({k.lower(): v for k, v in again.headers.items()}["surety-accounting"])
    expect(again.json() == found, "the same request gives the same certificate", again.body)
    expect(spent["calls"] == 0, "and asks nobody", spent)
    votes, calls = proof["votes"]["n"], found["accounting"]["calls"]
    told = f"{label}, radius {proof['radius']:.3f}, {votes} votes, {calls} calls"
    print(f"{provider}: {told}, certificate {found['id']}", flush=True)


def submit(deployment: Deployment, provider: str) -> None:
    """Submit a job of a few pictures, wait for its end, and look at what came of it."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for number in range(PICTURES):
            archive.writestr(f"{LABEL}/{number}.png", draw(time.time_ns()))
    form = {"provider": provider, "sigma": "0.25", "max_votes": str(VOTES), "labels": "folders"}
    form["max_cost"] = str(PICTURES * MOST_COST)
    job = deployment.post("/jobs", form, {"archive": packed.getvalue()}).json()
    end = time.monotonic() + PICTURES * PATIENCE
    while job["ended"] is None:
        expect(time.monotonic() < end and job["state"] == "running", "a job that goes on", job)
        time.sleep(1)
        job = deployment.get(f"/jobs/{job['id']}").json()
    expect(job["by_state"]["done"] == PICTURES, "a certificate for every picture", job)
    results = deployment.get(f"/jobs/{job['id']}/results?format=jsonl").body
    rows = [json.loads(line) for line in results.splitlines()]
    expect(len(rows) == PICTURES and all(row["correct"] for row in rows), "right ones", rows)
    expect(b"<svg" in deployment.get(f"/jobs/{job['id']}/report").body, "a report", job)
    workers = deployment.get("/workers").json()["workers"]
    there = sum(not worker["inside"] for worker in workers)
    print(f"job {job['id']}: {PICTURES} pictures, {job['images']} images, {there} workers there")


def main() -> None:
    """Run all steps."""
    base, *providers = sys.argv[1:]
    deployment = Deployment(base)
    deployment.wait()
    version = deployment.get("/version").json()
    print(f"{base} is ready: {version['name']} {version['version']}", flush=True)
    picture = draw(time.time_ns())
    for provider in providers:
        certify(deployment, provider, picture)
    if providers:
        submit(deployment, providers[0])
    print("smoke test passed", flush=True)


if __name__ == "__main__":
    main()
