"""Amazon Rekognition: DetectLabels, or DetectModerationLabels, one picture a call.

The SDK is synchronous, so calls run in threads of their own, as many as may be in flight; the
time limits of its sockets end a thread whose caller has gone.
"""

import asyncio
import threading
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from adapters import aws_credentials, facts
from adapters.aws_errors import judge, stop
from adapters.errors import AuthenticationFailed, MissingExtra
from adapters.interface import (
    Adapter,
    Answer,
    Outcome,
    Payload,
    Prediction,
    Profile,
    Refusal,
    Retry,
    Traits,
    fingerprint,
)

if TYPE_CHECKING:
    from concurrent.futures import Future

CONNECT_SECONDS = 10.0
UNFETCHED = (OSError, ValueError, LookupError, RuntimeError)  # of what fetches a credential
ROUNDING = 1e-3  # AWS computes in single precision: 100 may come as 100.00000763


class AwsProfile(Profile):
    """What an operator may set.

    Attributes:
        region: as in "eu-west-1"; None takes what the SDK finds (AWS_DEFAULT_REGION).
        endpoint_url: another address than the region's, such as a VPC endpoint.
        operation: what is asked for: objects and scenes, or content to be moderated.
        min_confidence: labels below are not sent, on AWS's scale of 0 to 100. With 0 any
            threshold of a decision rule works; AWS's own default is 55 (moderation: 50).
        max_labels: most labels that are sent, the best ones; not for moderation.
    """

    region: str | None = Field(None, pattern=r"^[a-z0-9][a-z0-9-]{0,61}[a-z0-9]$")
    endpoint_url: str | None = None
    operation: Literal["labels", "moderation"] = "labels"
    min_confidence: float = Field(0.0, ge=0, le=100)
    max_labels: int = Field(1000, ge=1, le=1000)

    @field_validator("endpoint_url")
    @classmethod
    def _url(cls, url: str | None) -> str | None:
        return None if url is None else aws_credentials.checked_url(url)

    @model_validator(mode="after")
    def _fitting(self) -> Self:
        if self.operation == "moderation" and "max_labels" in self.model_fields_set:
            raise ValueError("max_labels is not for operation = moderation: AWS has no such option")
        return self


class AwsAdapter(Adapter):
    """Asks Amazon Rekognition with boto3.

    Args:
        profile: the operator's settings.
    """

    name = "aws"
    summary = "Amazon Rekognition: labels of objects and scenes, or moderation labels"
    extra = "aws"
    profile_type = AwsProfile
    traits = Traits(
        payload="png",
        max_batch=1,
        concurrency=32,
        min_side=80,
        max_side=10_000,
        max_bytes=5 * 2**20,
        names_version=True,
        **facts.table()["aws"].traits(),
    )

    def __init__(self, profile: AwsProfile | None = None) -> None:
        self._profile = profile or AwsProfile()
        try:
            import boto3.exceptions  # type: ignore[import-untyped]  # noqa: PLC0415
            import boto3.session  # type: ignore[import-untyped]  # noqa: PLC0415
            import botocore.exceptions  # type: ignore[import-untyped]  # noqa: PLC0415
            import botocore.parsers  # type: ignore[import-untyped]  # noqa: PLC0415
            import botocore.session  # type: ignore[import-untyped]  # noqa: PLC0415
        except ImportError as error:
            raise MissingExtra('Amazon Rekognition needs its SDK: pip install ".[aws]"') from error
        self._errors: tuple[type[Exception], ...] = (
            botocore.exceptions.BotoCoreError,
            botocore.exceptions.ClientError,
            botocore.parsers.ResponseParserError,
            boto3.exceptions.Boto3Error,
        )
        self._failures = self._errors + UNFETCHED
        self._core = botocore.session.get_session()
        self._found = aws_credentials.find(
            self._core, self._profile.region, self._profile.endpoint_url
        )
        self._is_labels = self._profile.operation == "labels"
        self._operation = "DetectLabels" if self._is_labels else "DetectModerationLabels"
        self._parameters: dict[str, Any] = {"MinConfidence": self._profile.min_confidence}
        if self._is_labels:
            self._parameters["MaxLabels"] = self._profile.max_labels
        self._making = threading.Lock()
        self._client: Any = None
        self._credentials: Any = None
        self._threads: ThreadPoolExecutor | None = None

    @property
    def options(self) -> Mapping[str, Any]:
        """The operation and its parameters; the region, since models are rolled out by region.

        An endpoint that is not the region's own is named, since it may not be AWS at all.
        """
        shape = {"min_confidence", "max_labels"} if self._is_labels else {"min_confidence"}
        return {
            "operation": self._operation,
            "region": self._found.region,
            "endpoint": self._found.endpoint or "aws",
            **self._profile.model_dump(include=shape),
        }

    @property
    def account(self) -> str:
        """AWS counts calls by account, region and operation."""
        found = self._found
        return fingerprint(
            "aws", found.identity, found.region, found.endpoint or "", self._operation
        )

    @property
    def secrets(self) -> Collection[str]:
        """See :attr:`Adapter.secrets`."""
        return aws_credentials.secrets(self._core)

    async def classify(self, images: Sequence[Payload]) -> Sequence[Outcome]:
        """See :meth:`Adapter.classify`; AWS takes one picture a call."""
        return [await self._ask(image) for image in images]

    async def close(self) -> None:
        """Close connections; a thread whose call is under way ends with that call."""
        threads, self._threads = self._threads, None
        client, self._client = self._client, None
        if threads is not None:
            threads.shutdown(wait=False, cancel_futures=True)
        if client is not None:
            client.close()

    async def _ask(self, image: Payload) -> Outcome:
        if self._threads is None:
            self._threads = ThreadPoolExecutor(self.traits.concurrency, "surety-aws")
        if self._client is None:  # takes longer than a call; also looks the credential up
            failed = await asyncio.wrap_future(self._threads.submit(self._connect))
            if failed is not None:
                return failed
        job: Future[Outcome] = self._threads.submit(self._call, image)
        limit = self.traits.timeout
        try:
            async with asyncio.timeout(limit) as timer:
                return await asyncio.wrap_future(job)
        except TimeoutError:
            if not timer.expired():
                raise
            # One that still waited for a thread was never sent.
            return Retry(f"no answer within {limit:g} s", billed=not job.cancel())

    def _connect(self) -> Outcome | None:
        """Make the client; returns what is wrong if that may go away. In a thread."""
        import boto3.session  # noqa: PLC0415
        from botocore.config import Config  # type: ignore[import-untyped]  # noqa: PLC0415

        with self._making:
            if self._client is not None:
                return None
            config = Config(
                retries={"total_max_attempts": 1, "mode": "standard"},
                max_pool_connections=self.traits.concurrency,
                connect_timeout=min(CONNECT_SECONDS, self.traits.timeout),
                read_timeout=self.traits.timeout,
            )
            try:
                self._credentials = self._core.get_credentials()
                self._client = boto3.session.Session(botocore_session=self._core).client(
                    "rekognition",
                    region_name=self._found.region,
                    endpoint_url=self._found.endpoint,
                    config=config,
                )
            except self._failures as error:
                return self._judge_credential(error)
            return None

    def _call(self, image: Payload) -> Outcome:
        """Make one call. In a thread."""
        client = self._client
        if client is None:
            return Retry("the adapter was closed")
        try:
            if self._credentials is not None:
                self._credentials.get_frozen_credentials()  # renews it if it is about to expire
        except self._failures as error:
            return self._judge_credential(error)
        ask = client.detect_labels if self._is_labels else client.detect_moderation_labels
        try:
            reply = ask(Image={"Bytes": image}, **self._parameters)
            return read(reply, self._operation)
        except self._errors as error:
            self._check_region(error)
            return self._judge(error)
        except (AttributeError, KeyError, TypeError, ValueError, RecursionError) as error:
            # What the SDK's parsers, and `read`, raise over JSON that is not what AWS sends.
            return Retry(f"the reply cannot be read ({type(error).__name__})", billed=True)

    def _judge(self, error: Exception) -> Refusal | Retry:
        secrets = aws_credentials.secrets(self._core)
        if self._credentials is not None:
            secrets.update(aws_credentials.held(self._credentials))
        return judge(error, action=self._action, region=self._found.region, secrets=secrets)

    @property
    def _action(self) -> str:
        return f"rekognition:{self._operation}"

    def _judge_credential(self, error: Exception) -> Outcome:
        """Judge what went wrong with the credential, before the picture was sent."""
        if not isinstance(error, self._errors):
            # Its text may hold anything: the output of the user's own program, or a path.
            raise AuthenticationFailed(
                f"the SDK cannot fetch the AWS credential ({type(error).__name__}): "
                "`aws sts get-caller-identity` shows why"
            ) from None
        outcome = self._judge(error)
        if not isinstance(outcome, Retry):
            stop("auth", outcome.reason, action=self._action, region=self._found.region)
        return replace(outcome, billed=False)

    def _check_region(self, error: Exception) -> None:
        """End the run if there is no such host, and no wonder: the region has no Rekognition."""
        if type(error).__name__ != "EndpointConnectionError" or self._found.endpoint:
            return
        known = sorted(
            region
            for partition in self._core.get_available_partitions()
            for region in self._core.get_available_regions("rekognition", partition)
        )
        if self._found.region not in known:
            said = f"The regions with Rekognition are {', '.join(known)}."
            stop("rejected", said, action=self._action, region=self._found.region)


def read(reply: Mapping[str, Any], operation: str) -> Outcome:
    """Turn a reply into an answer.

    Args:
        reply: as the SDK parsed it.
        operation: that was asked for.
    """
    kind = "Label" if operation == "DetectLabels" else "Moderation"
    told = reply.get(f"{kind}ModelVersion")
    labels = reply.get("Labels" if kind == "Label" else "ModerationLabels")
    if not isinstance(labels, list) or not isinstance(told, str) or not told:
        return Retry("the reply is empty or cut: no labels or no model version", billed=True)
    predictions = []
    for label in labels:
        name, confidence = label.get("Name"), label.get("Confidence")
        if not (
            isinstance(name, str)
            and name
            and isinstance(confidence, int | float)
            and -ROUNDING <= confidence <= 100 + ROUNDING
        ):
            return Retry("the reply holds a label without a name or a confidence", billed=True)
        parents = [parent.get("Name") for parent in label.get("Parents") or ()]
        parents = [parent for parent in (*parents, label.get("ParentName")) if parent]
        score = min(max(confidence / 100, 0.0), 1.0)
        predictions.append(Prediction(name, score, parents=tuple(parents)))
    return Answer(tuple(predictions), model_version=told)
