"""Settings: `SURETY_*` environment variables, or a `.env` file in the working directory.

Files in /run/secrets go before both: see `service.secret_files`.
"""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    NoDecode,
    PydanticBaseSettingsSource,
    SecretsSettingsSource,
    SettingsConfigDict,
)

from denoisers import files
from denoisers.errors import DenoiserError
from service import secret_files
from service.access.origins import origins
from service.errors import ConfigurationError
from service.guard import host_names, is_loopback
from service.service_links import is_link


def default_data_dir() -> Path:
    """Return where this user's deployment keeps what must last."""
    try:
        return Path.home() / ".local" / "share" / "surety"
    except RuntimeError:  # a user that the system does not know, as in some containers
        raise ConfigurationError(
            "there is no home folder for the data: set SURETY_DATA_DIR to a folder that lasts"
        ) from None


def _path(value: str | Path) -> Path:
    try:
        return Path(value).expanduser()
    except RuntimeError:
        raise ValueError(f"{value}: there is no such home folder") from None


def _folder(value: object) -> object:
    if isinstance(value, str) and not value.strip():
        raise ValueError("name a folder, or leave it out")
    return _path(value) if isinstance(value, str | Path) else value


def _file(value: object) -> object:
    if isinstance(value, str) and not value.strip():
        return None
    return _path(value) if isinstance(value, str | Path) else value


def _denoiser_files(value: object) -> object:
    try:
        return files.parse(value) if isinstance(value, str | dict) else value
    except DenoiserError as error:
        raise ValueError(str(error)) from None


def _hosts(value: str) -> str:
    host_names(value)
    return value


def _origins(value: str) -> str:
    origins(value)
    return value


def _blank(value: object) -> object:
    return False if isinstance(value, str) and not value.strip() else value


def _nothing(value: object) -> object:
    return None if isinstance(value, str) and not value.strip() else value


def _prefix(value: str) -> str:
    if any(c in value for c in "*?[]\\{} \n") or not value.isprintable():
        raise ValueError("use letters, digits and :")
    return value


def _lower(value: object) -> object:
    return value.lower() if isinstance(value, str) else value


class Settings(BaseSettings):
    """One deployment. Every field is an environment variable with the prefix SURETY_."""

    model_config = SettingsConfigDict(env_prefix="SURETY_", env_file=".env", extra="ignore")

    host: str = Field("127.0.0.1", description="Address to listen on.")
    port: int = Field(8000, ge=0, le=65535, description="Port to listen on; 0 takes a free one.")
    data_dir: Annotated[Path, BeforeValidator(_folder)] = Field(
        default_factory=default_data_dir, description="What must last."
    )
    secret: SecretStr | None = Field(
        None,
        description="Deployment secret that noise keys are derived from: 64 hexadecimal digits. "
        "Without it one is made and kept in the data directory.",
    )
    old_secrets: SecretStr | None = Field(
        None,
        description="Deployment secrets before it, separated by commas: ledgers that were begun "
        "with them go on with them.",
    )
    signing_key: SecretStr | None = Field(
        None,
        description="Ed25519 key that certificates are signed with: 64 hexadecimal digits, the "
        "seed. Without it one is made and kept in the data directory.",
    )
    redis_url: SecretStr | None = Field(
        None,
        description="Redis or Valkey server, 7 or newer, for ledgers and certificates: "
        "redis://, rediss:// or unix://. Without it a server of Surety's own runs in the data "
        "directory.",
    )
    redis_prefix: Annotated[str, AfterValidator(_prefix)] = Field(
        "surety:", description="Before every key in it; deployments that share a server differ."
    )
    lease_seconds: float = Field(
        10.0,
        ge=1,
        le=600,
        description="After so long without a sign of life a process counts as dead, and its runs "
        "are taken up by another.",
    )
    provider: str = Field("local", description="Provider where a request names none.")
    providers_file: Annotated[Path | None, BeforeValidator(_file)] = Field(
        None,
        description="TOML file with a table for each provider that needs settings: models and "
        "addresses of your own, other prices, rates and options of the clouds.",
    )
    denoiser: str = Field(
        "auto",
        description="Denoiser where a request names none; auto takes cifar for pictures of 32×32 "
        "and photo for all others.",
    )
    denoiser_files: Annotated[dict[str, Path], NoDecode, BeforeValidator(_denoiser_files)] = Field(
        default_factory=dict,
        description="Denoisers of your own beside those installed, name=path,name=path or a JSON "
        "object: .safetensors with a manifest, or .onnx.",
    )
    device: str = Field(
        "auto",
        description="Where denoisers run: cpu, cuda, cuda:1, or auto, a CUDA GPU if there is one.",
    )
    allowed_hosts: Annotated[str, AfterValidator(_hosts)] = Field(
        "",
        description="Names under which clients reach the service, such as a proxy's, separated "
        "by commas; * for any. Without it the loopback answers to its own names alone.",
    )
    allow_public: Annotated[bool, BeforeValidator(_blank)] = Field(
        False,
        description="Let other machines use the service though there are no API keys.",
    )
    require_keys: Annotated[bool | None, BeforeValidator(_nothing)] = Field(
        None,
        description="Answer nobody without an API key, even where there never was one.",
    )
    published_on: str = Field(
        "",
        description="Where a container's port is published: anywhere but on the loopback, API keys "
        "are required unless `require_keys` says otherwise.",
    )
    cors_origins: Annotated[str, AfterValidator(_origins)] = Field(
        "",
        description="Origins whose web pages may call the API, such as https://app.example, "
        "separated by commas. Without it none may.",
    )
    max_upload_bytes: int = Field(20 * 2**20, ge=1024, description="Largest upload.")
    max_archive_bytes: int = Field(
        2 * 2**30, ge=1024, description="Largest archive of a job, as it is sent."
    )
    max_pixels: int = Field(25_000_000, ge=1024, description="Largest picture, in pixels.")
    max_votes: int = Field(100_000, ge=1, description="Most votes that a request may ask for.")
    max_runs: int = Field(8, ge=1, description="Runs that are worked on at the same time.")
    max_waiting: int = Field(64, ge=0, description="Requests that may wait for a run to end.")
    max_async_runs: int = Field(
        32, ge=0, description="Runs that may go on while no client waits for them."
    )
    max_uploads_bytes: int = Field(
        512 * 2**20,
        ge=1024,
        description="Bytes of pictures that may be taken in at the same time, all uploads "
        "together.",
    )
    max_stored_pictures_bytes: int = Field(
        2 * 2**30,
        ge=1024,
        description="Bytes that pictures of jobs, and uploads for them, may take in the store, "
        "tables of jobs included; an API key may have half of it.",
    )
    max_connections: int = Field(
        1_000, ge=1, description="Connections at the same time; further ones are sent away."
    )
    max_followers: int = Field(
        200, ge=1, description="Event streams of jobs that may be read at the same time."
    )
    upload_bytes_per_second: int = Field(
        16 * 2**10, ge=1, description="An upload that is slower is given up."
    )
    upload_grace_seconds: float = Field(
        10, gt=0, description="Seconds that an upload may take beyond that."
    )
    header_seconds: float = Field(
        10, gt=0, description="Seconds within which the head of a request has to arrive."
    )
    reader_seconds: float = Field(
        60, gt=0, description="A client that reads nothing of its answer for so long is cut off."
    )
    idempotency_hours: float = Field(
        24, gt=0, description="Hours for which an Idempotency-Key leads to its answer."
    )
    drain_seconds: float = Field(
        0,
        ge=0,
        le=600,
        description="Seconds between the signal that ends the service and its end in which it is "
        "not ready but still answers, for a balancer to notice.",
    )
    grace_seconds: float = Field(
        20,
        ge=1,
        le=600,
        description="Seconds after that within which runs end in order: their calls in flight are "
        "waited for, so that no vote is lost.",
    )
    work_inside: bool = Field(
        True,
        description="Whether the service itself works on jobs while no `surety worker` does.",
    )
    keep_images: bool = Field(
        False, description="Keep the canonical picture of every certificate, as keep_image does."
    )
    keep_images_days: float = Field(30, gt=0, description="Kept pictures are dropped after that.")
    keep_images_most: int = Field(1_000, ge=0, description="Pictures kept; the oldest go first.")
    keep_runs_days: float = Field(7, gt=0, description="Ended runs can be looked up for so long.")
    keep_runs_most: int = Field(10_000, ge=0, description="Ended runs kept; the oldest go first.")
    keep_jobs_days: float = Field(
        30, gt=0, description="Ended jobs are deleted after that, with their pictures."
    )
    keep_jobs_most: int = Field(1_000, ge=0, description="Ended jobs kept; the oldest go first.")
    keep_certificates_days: Annotated[float | None, BeforeValidator(_nothing)] = Field(
        None, gt=0, description="Certificates are dropped after that; without it never."
    )
    keep_certificates_most: Annotated[int | None, BeforeValidator(_nothing)] = Field(
        None, ge=1, description="Certificates kept; without it all. Ledgers always stay."
    )
    keep_usage_days: int = Field(
        800, ge=1, description="What was used on a day can be looked up for so long."
    )
    log_level: Annotated[Literal["debug", "info", "warning", "error"], BeforeValidator(_lower)] = (
        Field("info", description="Least important lines that are logged.")
    )

    @property
    def keys_required(self) -> bool:
        """Whether nobody is answered without an API key, even where there never was one."""
        if self.require_keys is not None:
            return self.require_keys
        where = self.published_on.strip()
        # Compose wants an IPv6 address in brackets.
        return bool(where) and not is_loopback(where.removeprefix("[").removesuffix("]"))

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Put files with secrets before the environment, which a compose file may have filled."""
        folder = secret_files.folder()
        files = [] if folder is None else [SecretsSettingsSource(settings_cls, folder)]
        if isinstance(env_settings, EnvSettingsSource):
            given = env_settings.env_vars
            env_settings.env_vars = {n: v for n, v in given.items() if not is_link(n, v)}
        return init_settings, *files, env_settings, dotenv_settings
