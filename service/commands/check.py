"""`surety providers check NAME`: one real call, and what is wrong if it fails."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from service.commands import arguments as a

if TYPE_CHECKING:
    from adapters.interface import Adapter, Outcome


def check(
    provider: Annotated[
        str, typer.Argument(metavar="PROVIDER", help="As `surety providers` lists it.")
    ],
    image: Annotated[
        Path | None, typer.Option(help="Picture to ask about.", show_default="a cat")
    ] = None,
    as_json: a.Json = False,
) -> None:
    """Make one real call, which is billed as any other, and show the answer.

    Exit codes: 0 it answered, 5 it did not (the message says why), 6 it is not configured,
    2 bad usage, 141 nobody reads the output, 1 internal error.
    """
    import asyncio
    import json

    from service.commands.readiness import keep_quiet
    from service.load_settings import load_settings
    from service.terminal import output

    if image is not None:
        a.check_pictures([image])
    keep_quiet()
    settings = load_settings()
    found = asyncio.run(_ask(settings, provider, image))
    if as_json:
        typer.echo(json.dumps(found))
    else:
        output().print(_text(found), highlight=False, markup=False)
    if found["outcome"] == "failed":
        from service.exit_codes import ExitCode
        from service.terminal import say

        say(f"error: {provider} did not answer: {found['reason']}", "bold red")
        raise typer.Exit(ExitCode.PROVIDER)


async def _ask(settings: Any, name: str, image: Path | None) -> dict[str, Any]:  # noqa: ANN401
    import time
    from importlib.resources import files

    from certification.canonical import Limits, canonicalise
    from certification.postprocess import PostProcess
    from service.core import Surety

    cat = files("service") / "samples" / "cat.png"
    data = cat.read_bytes() if image is None else a.read_file(image, settings.max_upload_bytes)
    surety = Surety(settings)
    try:
        adapter = await surety.adapter(name)
        limits = Limits(settings.max_upload_bytes, settings.max_pixels)
        picture = canonicalise(data, size=adapter.traits.input_size, limits=limits)
        plan = PostProcess.plan(picture.height, picture.width, adapter.traits)
        started = time.monotonic()
        (outcome,) = await adapter.classify([plan(picture.pixels)])
        seconds = time.monotonic() - started
        return {"provider": name, "seconds": round(seconds, 3), **_told(adapter, outcome)}
    finally:
        await surety.close()


def _told(adapter: "Adapter", outcome: "Outcome") -> dict[str, Any]:
    from certification.protocols import Answer, Refusal

    if isinstance(outcome, Answer):
        from certification.decision import ranked

        labels = [
            {"name": p.name, "score": p.score, "id": p.id} for p in ranked(outcome.predictions)
        ]
        return {
            "outcome": "answered",
            "labels": labels[:5],
            "model_version": outcome.model_version,
            "options": dict(adapter.options),
        }
    if isinstance(outcome, Refusal):
        return {"outcome": "refused", "reason": outcome.reason}
    return {"outcome": "failed", "reason": outcome.reason, "retry_after": outcome.after}


def _text(found: dict[str, Any]) -> str:
    from service.terminal import cell

    name, seconds = found["provider"], f"{found['seconds']:.2f} s"
    if found["outcome"] == "answered":
        version = found["model_version"] or "not told: a canary watches over the model instead"
        rows = [f"  {label['score']:.3f}  {cell(label['name'])}" for label in found["labels"]]
        return "\n".join(
            [
                f"{cell(name)} answered in {seconds}.",
                *(rows or ["  no label at all, which counts as an abstention"]),
                f"  model version: {cell(version)}",
            ]
        )
    if found["outcome"] == "refused":
        return (
            f"{cell(name)} is reached and accepts the credential, but refuses this picture: "
            f"{cell(found['reason'])}"
        )
    return f"{cell(name)} gave no answer in {seconds}."
