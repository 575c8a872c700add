"""An application with small providers, a client for it, and a real server on loopback."""

import asyncio
import os
import secrets
import socket
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import httpx
import pytest
import redis
import structlog
import uvicorn
from fastapi import FastAPI

import adapters.registry
import denoisers.registry
from service.app import create_app
from service.seeing import readiness
from service.settings import Settings
from tests.service import providers
from tests.service.auditing import surety, turning  # noqa: F401  fixtures
from tests.service.command import PATIENCE

SECRET = "5a" * 32


@pytest.fixture
def small_providers(monkeypatch: pytest.MonkeyPatch) -> None:
    """The providers of this folder, beside the installed ones."""
    installed = adapters.registry._entries()
    monkeypatch.setattr(adapters.registry, "_entries", lambda: installed | providers.entries())
    clip = EntryPoint("none", "denoisers.registry:none", denoisers.registry.GROUP)
    cleaners = denoisers.registry._entries() | {"none": clip}
    monkeypatch.setattr(denoisers.registry, "_entries", lambda: cleaners)
    monkeypatch.setattr(providers.Slow, "calls", 0)


@pytest.fixture
def install_denoisers(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Let further denoisers be installed beside ours: name → "module:function"."""

    def install(**made: str) -> None:
        group = denoisers.registry.GROUP
        entries = {name: EntryPoint(name, target, group) for name, target in made.items()}
        known, own = denoisers.registry._entries(), denoisers.registry.OWN
        ours = {name: known[name] for name in own}
        monkeypatch.setattr(denoisers.registry, "_entries", lambda: ours | entries)

    return install


@pytest.fixture
def temp_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where temporary files go, so that a test can see whether any stay."""
    folder = tmp_path / "temp"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


@pytest.fixture
def make_app(tmp_path: Path, small_providers: None, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a context manager that runs an application's lifespan."""
    monkeypatch.chdir(tmp_path)

    @asynccontextmanager
    async def running(**settings: Any) -> AsyncIterator[FastAPI]:
        defaults = {
            "data_dir": tmp_path / "data",
            "secret": SECRET,
            "provider": "half",
            "denoiser": "none",
            "max_votes": 2000,
        }
        app = create_app(Settings(**(defaults | settings)))
        async with app.router.lifespan_context(app):
            yield app

    return running


@pytest.fixture
async def app(make_app: Any) -> AsyncIterator[FastAPI]:
    async with make_app() as running:
        yield running


@asynccontextmanager
async def connect(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app, raise_app_exceptions=True)
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
        yield client


@pytest.fixture
async def client(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    async with connect(app) as connected:
        yield connected


@asynccontextmanager
async def serve(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    """Serve an application whose lifespan already runs; yield a client."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        config = uvicorn.Config(app, lifespan="off", log_config=None, timeout_graceful_shutdown=2)
        server = uvicorn.Server(config)
        serving = asyncio.ensure_future(server.serve([listener]))
        try:
            async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=20) as c:
                while not server.started:  # noqa: ASYNC110  it has no event
                    await asyncio.sleep(0.01)
                yield c
        finally:
            server.should_exit = True
            await serving


@pytest.fixture
async def live(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    async with serve(app) as connected:
        yield connected


@pytest.fixture(autouse=True)
def _own_log() -> Iterator[None]:
    """An application, or a command, says how the log is written: for its own test alone."""
    yield
    structlog.reset_defaults()


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a busy machine take its time to load torch and weights."""
    monkeypatch.setattr(readiness, "PATIENCE", dict.fromkeys(readiness.PATIENCE, PATIENCE))


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch, redis_url: str) -> Iterator[None]:
    """No settings but the store of this session, and a part of it that is the test's own."""
    for name in [n for n in os.environ if n.startswith("SURETY_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("SURETY_REDIS_URL", redis_url)
    prefix = f"test-{secrets.token_hex(8)}:"
    monkeypatch.setenv("SURETY_REDIS_PREFIX", prefix)
    yield
    with redis.Redis.from_url(redis_url) as client:
        if keys := [*client.scan_iter(match=f"{prefix}*", count=1000)]:
            client.delete(*keys)
