"""What Rekognition's emulator says, as text and to the plain SDK."""

import asyncio
import base64
import datetime
import io
import json

import aiohttp
import boto3
import botocore.loaders
import botocore.session
import numpy as np
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials
from botocore.exceptions import ClientError, ConnectionClosedError
from PIL import Image

from adapters.emulators.aws import CREDENTIALS, JSON, REGION, AwsEmulator
from adapters.emulators.brain import Brain
from adapters.emulators.faults import FAULTS, Faults

((KEY_ID, SECRET),) = CREDENTIALS.items()


class Plain:
    labels = ("cat", "dog", "cell phone")
    size = (4, 4)
    version = "plain-1"
    max_batch = 32

    def scores(self, pictures):
        return np.tile(np.array([[0.625, 0.25, 0.125]], np.float32), (len(pictures), 1))


def encoded(width=80, height=80, kind="PNG"):
    file = io.BytesIO()
    Image.new("RGB", (width, height)).save(file, kind)
    return file.getvalue()


PICTURE = encoded()


@pytest.fixture
async def emulator():
    async with AwsEmulator(Brain(Plain())) as running:
        yield running


@pytest.fixture(scope="module")
def loader():
    return botocore.loaders.Loader()


@pytest.fixture
def client(emulator, loader):
    core = botocore.session.Session()
    core.register_component("data_loader", loader)
    made = boto3.session.Session(botocore_session=core).client(
        "rekognition",
        region_name=REGION,
        endpoint_url=emulator.addresses["rest"],
        aws_access_key_id=KEY_ID,
        aws_secret_access_key=SECRET,
        config=Config(retries={"total_max_attempts": 1, "mode": "standard"}),
    )
    yield made
    made.close()


async def labels(client, picture=PICTURE, **asked):
    return await asyncio.to_thread(client.detect_labels, Image={"Bytes": picture}, **asked)


def signed(emulator, document, operation="DetectLabels", secret=SECRET, region=REGION):
    """Return headers and body of a request, signed by the SDK's own signer."""
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    headers = {"Content-Type": JSON, "X-Amz-Target": f"RekognitionService.{operation}"}
    request = AWSRequest("POST", emulator.addresses["rest"] + "/", headers=headers, data=body)
    signer = SigV4Auth(Credentials(KEY_ID, secret), "rekognition", region)
    signer.add_auth(request)
    return dict(request.headers), body


@pytest.fixture
async def post(emulator):
    async with aiohttp.ClientSession() as session:

        async def send(headers, body):
            url = emulator.addresses["rest"] + "/"
            async with session.post(url, data=body, headers=headers) as response:
                return response.status, response.headers, await response.read()

        yield send


ASKED = {"Image": {"Bytes": base64.b64encode(PICTURE).decode()}, "MinConfidence": 0}


# Shapes


async def test_labels_word_by_word(emulator, post):
    status, headers, body = await post(*signed(emulator, {**ASKED, "MinConfidence": 55}))
    assert (status, headers["Content-Type"]) == (200, "application/x-amz-json-1.1")
    assert len(headers["x-amzn-RequestId"]) == 36
    assert json.loads(body) == {
        "LabelModelVersion": "3.0-plain-1",
        "Labels": [
            {
                "Name": name,
                "Confidence": 62.5,
                "Instances": [],
                "Parents": [{"Name": parent} for parent in parents],
                "Aliases": [],
                "Categories": [{"Name": "Animals and Pets"}],
            }
            for name, parents in [
                ("Cat", ["Mammal", "Animal"]),
                ("Mammal", ["Animal"]),
                ("Animal", []),
            ]
        ],
    }


async def test_moderation_word_by_word(emulator, post):
    status, _, body = await post(*signed(emulator, ASKED, "DetectModerationLabels"))
    assert status == 200
    assert json.loads(body) == {
        "ContentTypes": [],
        "ModerationModelVersion": "3.0-plain-1",
        "ModerationLabels": [
            {"Confidence": score, "Name": name, "ParentName": parent, "TaxonomyLevel": level}
            for name, score, parent, level in [
                ("Cat", 62.5, "Mammal", 3),
                ("Mammal", 62.5, "Animal", 2),
                ("Animal", 62.5, "", 1),
                ("Dog", 25.0, "Mammal", 3),
                ("Cell Phone", 12.5, "", 1),
            ]
        ],
    }


async def test_every_member_is_one_that_the_service_has(emulator, client, post):
    for operation in ("DetectLabels", "DetectModerationLabels"):
        shape = client.meta.service_model.operation_model(operation).output_shape
        _, _, body = await post(*signed(emulator, ASKED, operation))
        unknown(shape, json.loads(body))


def unknown(shape, value):
    if shape.type_name == "structure":
        for name, part in value.items():
            unknown(shape.members[name], part)
    elif shape.type_name == "list":
        for part in value:
            unknown(shape.member, part)
    else:
        kinds = {"string": str, "float": float, "integer": int}
        assert isinstance(value, kinds[shape.type_name])


async def test_the_plain_sdk(client, emulator):
    found = await labels(client)
    assert [label["Name"] for label in found["Labels"]] == ["Cat", "Mammal", "Animal"]  # over 55
    found = await labels(client, MinConfidence=0)
    names = [label["Name"] for label in found["Labels"]]
    assert names == ["Cat", "Mammal", "Animal", "Dog", "Cell Phone"]
    found = await labels(client, MinConfidence=20.5, MaxLabels=4)
    assert [label["Name"] for label in found["Labels"]] == names[:4]
    assert (await labels(client, encoded(kind="JPEG")))["Labels"]
    found = await asyncio.to_thread(client.detect_moderation_labels, Image={"Bytes": PICTURE})
    assert [label["Name"] for label in found["ModerationLabels"]] == names[:3]
    assert emulator.desk.counts.answered.total() == 5


async def test_the_version_changes_on_request(client, emulator):
    emulator.desk.faults = Faults(change_version_after=1)
    versions = [(await labels(client))["LabelModelVersion"] for _ in range(2)]
    assert versions == ["3.0-plain-1", "3.0-plain-1.1"]


# Limits


@pytest.mark.parametrize(
    ("picture", "code", "said"),
    [
        (PICTURE + bytes(5 * 2**20), "ValidationException", "less than or equal to 5242880"),
        (b"GIF89a", "InvalidImageFormatException", "invalid image format"),
        (encoded(kind="GIF"), "InvalidImageFormatException", "invalid image format"),
        (PICTURE[:60], "InvalidImageFormatException", "invalid image format"),
        (encoded(79, 200), "InvalidParameterException", "invalid parameters"),
        (encoded(80, 10_001), "ImageTooLargeException", "80 x 10001 exceed"),
    ],
    ids=["heavy", "header", "gif", "cut", "small", "large"],
)
async def test_pictures_that_are_not_taken(client, emulator, picture, code, said):
    with pytest.raises(ClientError, match=said) as caught:
        await labels(client, picture)
    assert caught.value.response["Error"]["Code"] == code
    assert type(caught.value) is getattr(client.exceptions, code, ClientError)
    assert emulator.desk.counts.refused.total() == 1
    assert emulator.desk.counts.answered.total() == 0


async def test_the_ends_of_the_limits_are_taken(client):
    for sides in ((80, 80), (80, 10_000)):
        assert (await labels(client, encoded(*sides)))["Labels"]
    assert (await labels(client, PICTURE + bytes(5 * 2**20 - len(PICTURE))))["Labels"]


@pytest.mark.parametrize(
    ("document", "code"),
    [
        ({**ASKED, "MinConfidence": -1}, "ValidationException"),
        ({**ASKED, "MinConfidence": 100.5}, "ValidationException"),
        ({**ASKED, "MaxLabels": -1}, "ValidationException"),
        ({**ASKED, "MaxLabels": "many"}, "SerializationException"),
        ({}, "ValidationException"),
        ({"Image": {}}, "InvalidParameterException"),
        ({"Image": {"Bytes": ""}}, "ValidationException"),
        ({"Image": {"Bytes": "no base64"}}, "SerializationException"),
        ({"Image": {"Bytes": 7}}, "SerializationException"),
        ({"Image": {"S3Object": {"Bucket": "b", "Name": "n"}}}, "InvalidS3ObjectException"),
        ([], "SerializationException"),
        (b"{", "SerializationException"),
        (b"\xff", "SerializationException"),
        (b"[" * 100_000, "SerializationException"),
    ],
    ids=lambda value: str(value)[:30],
)
async def test_documents_that_are_not_understood(emulator, post, document, code):
    status, headers, body = await post(*signed(emulator, document))
    assert (status, headers["Content-Type"]) == (400, JSON)
    assert json.loads(body)["__type"] == code


async def test_other_operations_methods_and_sizes(emulator, post):
    status, _, body = await post(*signed(emulator, ASKED, "DetectFaces"))
    assert (status, json.loads(body)["__type"]) == (400, "UnknownOperationException")
    headers, body = signed(emulator, bytes(17 * 2**20))
    status, *_ = await post(headers, io.BytesIO(body))
    assert status == 413
    url = emulator.addresses["rest"]
    async with aiohttp.ClientSession() as session, session.get(url) as response:
        assert response.status == 405
    assert not emulator.desk.counts.calls


# Signatures


async def test_requests_without_a_whole_signature(emulator, post):
    headers, body = signed(emulator, ASKED)
    status, _, answer = await post({**headers, "Authorization": ""}, body)
    assert (status, json.loads(answer)) == (
        400,
        {
            "__type": "MissingAuthenticationTokenException",
            "message": "Missing Authentication Token",
        },
    )
    good = headers["Authorization"]
    for broken in (
        "Basic abc",
        "AWS4-HMAC-SHA256",
        good.partition(", Signature")[0],
        good.replace("/aws4_request", ""),
        good.replace("AWS4-HMAC-SHA256", "AWS4-HMAC-MD5"),
    ):
        status, _, answer = await post({**headers, "Authorization": broken}, body)
        assert (status, json.loads(answer)["__type"]) == (400, "IncompleteSignatureException")
    status, _, answer = await post({**headers, "X-Amz-Date": "today"}, body)
    assert json.loads(answer)["__type"] == "IncompleteSignatureException"
    assert len(emulator.desk.counts.calls) == 7
    assert emulator.desk.counts.answered.total() == 0


async def test_anything_that_was_signed_and_changed_is_noticed(emulator, post):
    headers, body = signed(emulator, ASKED)
    assert (await post(headers, body))[0] == 200
    other, _ = signed(emulator, ASKED, "DetectModerationLabels")
    now = datetime.datetime.now(datetime.UTC) - datetime.timedelta(minutes=1)
    wrong = [
        (headers, body.replace(b'"MinConfidence": 0', b'"MinConfidence": 9')),
        ({**headers, "X-Amz-Target": other["X-Amz-Target"]}, body),
        ({**headers, "X-Amz-Date": f"{now:%Y%m%dT%H%M%SZ}"}, body),
        ({**headers, "Authorization": headers["Authorization"][:-1] + "g"}, body),
        ({**headers, "Authorization": headers["Authorization"].replace("host;", "")}, body),
        signed(emulator, ASKED, secret="another"),  # noqa: S106
        signed(emulator, ASKED, region="eu-west-1"),
    ]
    for sent in wrong:
        status, _, answer = await post(*sent)
        assert (status, json.loads(answer)["__type"]) == (400, "InvalidSignatureException")
    assert emulator.desk.counts.answered.total() == 1


async def test_an_unknown_key(emulator, post):
    # pragma: allowlist nextline secret
    emulator.credentials = {"AKIAANOTHER000000000": SECRET}
    status, _, answer = await post(*signed(emulator, ASKED))
    assert (status, json.loads(answer)) == (
        400,
        {
            "__type": "UnrecognizedClientException",
            "message": "The security token included in the request is invalid.",
        },
    )


@pytest.mark.parametrize(
    ("ahead", "said"),
    [
        (301, r"Signature expired: \w+ is now earlier than \w+ \(\w+ - 5 min\.\)"),
        (-303, r"Signature not yet current: \w+ is still later than \w+ \(\w+ \+ 5 min\.\)"),
    ],
)
async def test_a_clock_more_than_five_minutes_off(client, emulator, ahead, said):
    emulator.clock_ahead = ahead
    with pytest.raises(ClientError, match=said) as caught:
        await labels(client)
    assert caught.value.response["Error"]["Code"] == "InvalidSignatureException"
    emulator.clock_ahead = ahead / 2
    assert (await labels(client))["Labels"]


# Faults

FAILURES = {
    "throttle": (400, "ThrottlingException"),
    "server_error": (500, "InternalServerError"),
    "unavailable": (503, "ServiceUnavailableException"),
    "partial": (503, "ServiceUnavailableException"),
    "bad_credentials": (400, "UnrecognizedClientException"),
    "forbidden": (400, "AccessDeniedException"),
    "quota": (400, "SubscriptionRequiredException"),
}
CUT = {"timeout", "drop", "truncate"}


def test_no_fault_is_left_out():
    assert set(FAULTS) == {*FAILURES, *CUT, "ok", "empty"}


@pytest.mark.parametrize("fault", FAILURES)
async def test_faults_that_are_answered(client, emulator, fault):
    emulator.desk.faults = Faults(script=[fault], retry_after=3)
    with pytest.raises(ClientError) as caught:
        await labels(client)
    response = caught.value.response
    meta = response["ResponseMetadata"]
    assert (meta["HTTPStatusCode"], response["Error"]["Code"]) == FAILURES[fault]
    assert response["Error"]["Message"]
    assert len(meta["RequestId"]) == 36
    assert meta["HTTPHeaders"].get("retry-after") == ("3" if fault == "throttle" else None)
    assert emulator.desk.counts.answered.total() == 0
    assert (await labels(client))["Labels"]


async def test_the_body_of_a_failure_of_the_service(emulator, post):
    emulator.desk.faults = Faults(script=["server_error"])
    status, _, body = await post(*signed(emulator, ASKED))
    document = json.loads(body)
    assert status == 500
    assert document["__type"] == document["Code"] == "InternalServerError"
    assert set(document) == {"__type", "Code", "Logref", "Message"}


@pytest.mark.parametrize("fault", sorted(CUT))
async def test_faults_that_cut_the_connection(emulator, post, fault):
    emulator.desk.faults = Faults(script=[fault], timeout=0.05)
    with pytest.raises(aiohttp.ClientError):
        await post(*signed(emulator, ASKED))
    assert emulator.desk.counts.answered.total() == (fault == "truncate")
    assert (await post(*signed(emulator, ASKED)))[0] == 200


async def test_a_dropped_connection_to_the_plain_sdk(client, emulator):
    emulator.desk.faults = Faults(script=["drop"])
    with pytest.raises(ConnectionClosedError):
        await labels(client)


async def test_a_success_that_holds_nothing(emulator, post):
    emulator.desk.faults = Faults(script=["empty"])
    status, _, body = await post(*signed(emulator, ASKED))
    assert (status, body) == (200, b"")
    assert emulator.desk.counts.answered.total() == 0


async def test_a_rate_limit_and_refused_pictures(client, emulator):
    emulator.desk.faults = Faults(rate={"limit": 2, "per_seconds": 60})
    seen = []
    for _ in range(4):
        try:
            seen.append(len((await labels(client))["Labels"]))
        except ClientError as error:
            seen.append(error.response["Error"]["Code"])
    assert seen[:2] == [3, 3]
    assert set(seen[2:]) == {"ThrottlingException", "ProvisionedThroughputExceededException"}
    emulator.desk.faults = Faults(refused=1.0)
    with pytest.raises(client.exceptions.InvalidImageFormatException):
        await labels(client)
    assert emulator.desk.counts.refused.total() == 1


async def test_credentials_of_ones_own():
    # pragma: allowlist nextline secret
    own = {"AKIAMINE000000000000": "mine"}
    async with AwsEmulator(Brain(Plain()), credentials=own, region="eu-west-1") as running:
        environment = dict(running.environment())
    assert environment.pop("AWS_ENDPOINT_URL_REKOGNITION").startswith("http://127.0.0.1:")
    assert environment == {
        # pragma: allowlist nextline secret
        "AWS_ACCESS_KEY_ID": "AKIAMINE000000000000",
        "AWS_SECRET_ACCESS_KEY": "mine",
        "AWS_SESSION_TOKEN": "",
        "AWS_DEFAULT_REGION": "eu-west-1",
    }
